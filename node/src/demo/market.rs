//! The lending market of the demo: deployed, used, its answers read from its events.

use alloy_primitives::{Address, B256, Bytes, I256, TxKind, U256};
use alloy_sol_types::{SolCall, SolEvent as _, SolValue as _, sol};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    cli::Failure,
    client::{Client, parse},
    wallet::{Action, Wallet},
};

/// The contract that sets everything up: contracts/src/examples/demo/LendingDemo.sol.
const ARTIFACT: &str = include_str!("../../../contracts/artifacts/LendingDemo.json");
/// Longest wait for a transaction's block, in seconds.
const PATIENCE_S: u64 = 30;
/// Gas for a loan that may be refused: an estimate would refuse it first.
const LOAN_GAS: u64 = 3_000_000;

sol! {
    interface ILendingDemo {
        function market() external view returns (address);
        function gold() external view returns (address);
        function prices() external view returns (address);
    }

    interface IToken {
        function approve(address spender, uint256 amount) external returns (bool);
    }

    interface ILendingMarket {
        event Borrowed(address indexed borrower, address indexed asset, uint256 amount, int256 risk, uint8 rule);
        function addCollateral(address asset, uint256 amount) external;
        function borrow(address asset, uint256 amount) external;
        function ltvAt(int256 risk) external pure returns (uint256);
    }
}

#[derive(Deserialize)]
struct Artifact {
    bytecode: Bytes,
}

/// A market that runs.
pub(super) struct Market {
    pub(super) market: Address,
    pub(super) gold: Address,
    pub(super) prices: Address,
}

/// A loan that was granted.
pub(super) struct Loan {
    pub(super) transaction: B256,
    /// What the model said: the probability of a liquidation within a day, at 18 decimals.
    pub(super) risk: I256,
    /// What may be lent on that, at 18 decimals.
    pub(super) loan_to_value: U256,
}

impl Market {
    /// Deploys tokens, prices and market, with this model.
    pub(super) fn deploy(client: &Client, wallet: &Wallet, model: B256) -> Result<Self, Failure> {
        let artifact: Artifact = serde_json::from_str(ARTIFACT).map_err(Failure::failed)?;
        let code = [artifact.bytecode.as_ref(), &model.abi_encode()].concat();
        let receipt = send(client, wallet, TxKind::Create, code.into())?;
        let demo: Address = parse(&receipt["contractAddress"], "contract address")?;
        Ok(Self {
            market: client.ask(demo, &ILendingDemo::marketCall {})?,
            gold: client.ask(demo, &ILendingDemo::goldCall {})?,
            prices: client.ask(demo, &ILendingDemo::pricesCall {})?,
        })
    }

    /// Puts gold into the market, and borrows on it.
    pub(super) fn first_loan(
        &self,
        client: &Client,
        wallet: &Wallet,
        gold: U256,
        amount: U256,
    ) -> Result<Loan, Failure> {
        let (spender, asset) = (self.market, self.gold);
        let approve = IToken::approveCall {
            spender,
            amount: gold,
        };
        call(client, wallet, self.gold, &approve)?;
        let add = ILendingMarket::addCollateralCall {
            asset,
            amount: gold,
        };
        call(client, wallet, self.market, &add)?;
        let borrow = ILendingMarket::borrowCall { asset, amount };
        let receipt = call(client, wallet, self.market, &borrow)?;
        let logs: Vec<alloy_primitives::Log> = parse(&receipt["logs"], "logs")?;
        let borrowed = logs
            .iter()
            .find_map(|log| ILendingMarket::Borrowed::decode_log(log).ok())
            .ok_or_else(|| Failure::failed("the loan's receipt has no event Borrowed"))?;
        let risk = borrowed.risk;
        let loan_to_value = client.ask(self.market, &ILendingMarket::ltvAtCall { risk })?;
        Ok(Loan {
            transaction: parse(&receipt["transactionHash"], "transaction hash")?,
            risk,
            loan_to_value,
        })
    }

    /// Signs the request for a loan that may be refused.
    pub(super) fn sign_loan(
        &self,
        client: &Client,
        wallet: &Wallet,
        amount: U256,
    ) -> Result<Bytes, Failure> {
        let asset = self.gold;
        let action = Action {
            to: TxKind::Call(self.market),
            input: ILendingMarket::borrowCall { asset, amount }
                .abi_encode()
                .into(),
            value: U256::ZERO,
            gas: Some(LOAN_GAS),
        };
        Ok(wallet.sign(client, action)?)
    }

    /// Returns the word of storage that holds the price of gold.
    pub(super) fn price_slot(&self) -> U256 {
        // The mapping `price` is DemoPrices' first word.
        alloy_primitives::keccak256((self.gold, U256::ZERO).abi_encode()).into()
    }
}

fn call(
    client: &Client,
    wallet: &Wallet,
    to: Address,
    call: &impl SolCall,
) -> Result<Value, Failure> {
    send(client, wallet, TxKind::Call(to), call.abi_encode().into())
}

fn send(client: &Client, wallet: &Wallet, to: TxKind, input: Bytes) -> Result<Value, Failure> {
    let action = Action {
        to,
        input,
        value: U256::ZERO,
        gas: None,
    };
    let raw = wallet.sign(client, action)?;
    let hash = client.call("eth_sendRawTransaction", json!([raw]))?;
    client.wait(parse(&hash, "transaction hash")?, PATIENCE_S)
}
