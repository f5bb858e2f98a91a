//! alloy, unchanged: deploy, call, estimate, send, wait, logs, subscriptions, errors by name.
//!
//! Run by tests/clients/run, which starts the node and names it in ASSAY_RPC_URL.

use std::time::Duration;

use alloy::network::{EthereumWallet, ReceiptResponse as _, TransactionBuilder as _};
use alloy::primitives::{Address, B256, Bytes, I256, TxKind, U256, address, hex, keccak256};
use alloy::providers::{Provider, ProviderBuilder, WsConnect};
use alloy::rpc::types::{Filter, TransactionRequest};
use alloy::signers::SignerSync as _;
use alloy::signers::local::coins_bip39::English;
use alloy::signers::local::{MnemonicBuilder, PrivateKeySigner};
use alloy::sol;
use alloy::sol_types::{SolError, SolEvent as _};
use eyre::{OptionExt as _, Result, bail, ensure, eyre};
use tokio::time::timeout;

sol! {
    #[sol(rpc)]
    contract Ask {
        event Kept(bytes32 indexed model, int256 answer);
        function ask(bytes32 model, int256[] calldata features) external view returns (int256);
        function keep(bytes32 model, int256[] calldata features) external;
        function last() external view returns (int256);
    }

    #[derive(Debug, PartialEq)]
    #[sol(rpc)]
    interface Inference {
        struct Tensor { uint8 dtype; uint64[] shape; bytes data; }
        error UnknownModel(bytes32 model);
        error ModelNotActive(bytes32 model);
        error ModelSuspended(bytes32 model);
        error WrongInputCount(uint256 expected, uint256 got);
        error WrongShape(uint256 input, uint64[] expected, uint64[] got);
        error WrongType(uint256 input, uint8 expected, uint8 got);
        error NonFinite(uint256 output);
        error OutOfRange(uint256 output);
        error InputOutOfRange(uint256 index);
        error LimitExceeded(bytes32 what, uint256 limit, uint256 got);
        error NotInteger(uint256 index);
        error MissingNotAllowed(uint256 index);
        error DirectCallOnly();
        error NotPayable();
        error BadCalldata();
        function predict(bytes32 model, int256[] calldata features) external view returns (int256[] memory);
        function run(bytes32 model, Tensor[] calldata inputs) external view returns (Tensor[] memory outputs);
        function quoteRun(bytes32 model, uint64[][] calldata shapes) external view returns (uint256 gas, uint256 coldExtra);
    }

    #[sol(rpc)]
    interface Registry {
        struct Summary { address publisher; uint64 size; bytes32 schemaHash; }
        function register(bytes calldata manifest, Summary calldata summary) external payable returns (bytes32 model);
        function depositFor(uint64 size) external view returns (uint256);
        function suspend(bytes32 model, string calldata reason, bytes[] calldata signatures) external;
        function reinstate(bytes32 model, string calldata reason, bytes[] calldata signatures) external;
        function suspensionDigest(bytes32 model, string calldata reason) external view returns (bytes32);
        function reinstatementDigest(bytes32 model, string calldata reason) external view returns (bytes32);
    }
}

const MNEMONIC: &str = "test test test test test test test test test test test junk";
const ACCOUNT: &str = "m/44'/60'/0'/0/0";
/// Path of the developer chain's one validator.
const VALIDATOR: &str = "m/44'/60'/1'/0/0";
const INFERENCE: Address = address!("0000000000000000000000000000000000000a11");
const REGISTRY: Address = address!("0000000000000000000000000000000000000a12");
const ROW: [i64; 5] = [21_000, 19_000, 17_000, -12_000, 9_000];
const ANSWER: i64 = 18_722_712_993_621_826;
const ONE: i64 = 1_000_000_000_000_000_000;
const UNKNOWN: B256 = B256::repeat_byte(0x11);
/// How long a subscription may stay silent.
const PATIENCE: Duration = Duration::from_secs(20);
/// A contract that hands its calldata to the precompile by DELEGATECALL, and what comes back on.
const DELEGATING: [u8; 36] =
    hex!("601b8060095f395ff3365f5f375f5f365f610a115af43d5f5f3e6017573d5ffd5b3d5ff3");

/// What every check needs.
struct Client<P> {
    node: P,
    account: Address,
    volatility: B256,
    growth: B256,
    ask: Address,
}

#[tokio::main]
async fn main() -> Result<()> {
    let url = std::env::var("ASSAY_RPC_URL")?;
    let signer = derived(ACCOUNT)?;
    let account = signer.address();
    let node = ProviderBuilder::new()
        .wallet(EthereumWallet::from(signer))
        .connect_http(url.parse()?);
    node.client().set_poll_interval(Duration::from_millis(50));
    let ask = deployed(&node, compiled("Ask")?).await?;
    let client = Client {
        node,
        account,
        volatility: std::env::var("MODEL_VOLATILITY")?.parse()?,
        growth: std::env::var("MODEL_GROWTH")?.parse()?,
        ask,
    };
    client.answers_agree().await?;
    client
        .streams_arrive(&url.replacen("http", "ws", 1))
        .await?;
    client.refusals_of_predict().await?;
    client.refusals_of_run().await?;
    client.refusals_of_the_call().await?;
    client.refusals_of_the_registry().await?;
    client.little_gas().await
}

impl<P: Provider + Clone> Client<P> {
    fn inference(&self) -> Inference::InferenceInstance<P> {
        Inference::new(INFERENCE, self.node.clone())
    }

    fn ask(&self) -> Ask::AskInstance<P> {
        Ask::new(self.ask, self.node.clone())
    }

    async fn answers_agree(&self) -> Result<()> {
        let ask = self.ask();
        let answer = int(ANSWER);
        same(
            "call",
            ask.ask(self.volatility, row(&ROW)).call().await?,
            answer,
        )?;
        let keep = ask.keep(self.volatility, row(&ROW));
        let gas = keep.estimate_gas().await?;
        let receipt = keep.gas(gas).send().await?.get_receipt().await?;
        same("send with the estimated gas", receipt.status(), true)?;
        let block = receipt
            .block_number
            .ok_or_eyre("the receipt names no block")?;
        let filter = ask
            .Kept_filter()
            .topic1(self.volatility)
            .from_block(block)
            .query()
            .await?;
        let kept: Vec<I256> = filter.iter().map(|(event, _)| event.answer).collect();
        same("log", kept, vec![answer])?;
        same("stored", ask.last().call().await?, answer)
    }

    async fn streams_arrive(&self, url: &str) -> Result<()> {
        let live = ProviderBuilder::new()
            .connect_ws(WsConnect::new(url))
            .await?;
        let mut heads = live.subscribe_blocks().await?;
        let filter = Filter::new()
            .address(self.ask)
            .event_signature(Ask::Kept::SIGNATURE_HASH);
        let mut logs = live.subscribe_logs(&filter).await?;
        let sent = self.ask().keep(self.volatility, row(&ROW)).send().await?;
        let hash = *sent.tx_hash();
        let log = timeout(PATIENCE, logs.recv()).await??;
        same("log over WebSocket", log.transaction_hash, Some(hash))?;
        let head = timeout(PATIENCE, heads.recv()).await??;
        same("head over WebSocket", Some(head.hash), log.block_hash)
    }

    async fn refusals_of_predict(&self) -> Result<()> {
        let inference = self.inference();
        let (volatility, growth) = (self.volatility, self.growth);
        let large = int(100) << 64;
        let cases: [(B256, Vec<I256>, Bytes); 7] = [
            (
                UNKNOWN,
                row(&ROW),
                of(Inference::UnknownModel { model: UNKNOWN }),
            ),
            (
                volatility,
                row(&ROW[1..]),
                of(Inference::WrongInputCount {
                    expected: U256::from(5),
                    got: U256::from(4),
                }),
            ),
            (
                growth,
                row(&[ONE, 150]),
                of(Inference::NotInteger { index: U256::ONE }),
            ),
            (
                growth,
                vec![I256::MIN, int(100)],
                of(Inference::MissingNotAllowed { index: U256::ZERO }),
            ),
            (
                growth,
                vec![int(ONE), large],
                of(Inference::InputOutOfRange { index: U256::ONE }),
            ),
            (
                growth,
                vec![int(ONE) * int(1000), int(100)],
                of(Inference::NonFinite { output: U256::ZERO }),
            ),
            (
                growth,
                vec![int(ONE) * int(150), int(100)],
                of(Inference::OutOfRange { output: U256::ZERO }),
            ),
        ];
        for (model, features, want) in cases {
            refused(inference.predict(model, features).call().await, &want)?;
        }
        let passed_on = self.ask().ask(UNKNOWN, row(&ROW)).call().await;
        refused(passed_on, &of(Inference::UnknownModel { model: UNKNOWN }))
    }

    async fn refusals_of_run(&self) -> Result<()> {
        let inference = self.inference();
        let tensor = |dtype, shape: &[u64], size: usize| Inference::Tensor {
            dtype,
            shape: shape.to_vec(),
            data: vec![0; size].into(),
        };
        let thin = inference.run(self.volatility, vec![tensor(1, &[1, 4], 16)]);
        let want = Inference::WrongShape {
            input: U256::ZERO,
            expected: vec![u64::MAX, 5],
            got: vec![1, 4],
        };
        refused(thin.call().await, &of(want))?;
        let doubles = inference.run(self.volatility, vec![tensor(11, &[1, 5], 40)]);
        let want = Inference::WrongType {
            input: U256::ZERO,
            expected: 1,
            got: 11,
        };
        refused(doubles.call().await, &of(want))?;
        let quote = inference.quoteRun(self.volatility, vec![vec![1 << 40, 5]]);
        let error: Inference::LimitExceeded = decoded(quote.call().await)?;
        same("LimitExceeded by name", error.got > error.limit, true)
    }

    async fn refusals_of_the_call(&self) -> Result<()> {
        let inference = self.inference();
        let predict = inference.predict(self.volatility, row(&ROW));
        let paid = predict.clone().value(U256::ONE).from(self.account);
        refused(paid.call().await, &of(Inference::NotPayable {}))?;
        let between = deployed(&self.node, DELEGATING.to_vec().into()).await?;
        let delegated = Inference::new(between, self.node.clone());
        let asked = delegated.predict(self.volatility, row(&ROW));
        refused(asked.call().await, &of(Inference::DirectCallOnly {}))?;
        let strange = TransactionRequest::default()
            .to(INFERENCE)
            .with_input(hex!("01020304"));
        let error = self.node.call(strange).await.err().ok_or_eyre("answered")?;
        let data = error.as_error_resp().and_then(|e| e.as_revert_data());
        same("BadCalldata", data, Some(of(Inference::BadCalldata {})))
    }

    async fn refusals_of_the_registry(&self) -> Result<()> {
        let registry = Registry::new(REGISTRY, self.node.clone());
        let inference = self.inference();
        let manifest = Bytes::from_static(b"bytes nobody holds, by alloy");
        let summary = Registry::Summary {
            publisher: self.account,
            size: 1_000,
            schemaHash: UNKNOWN,
        };
        let deposit = registry.depositFor(summary.size).call().await?;
        let sent = registry
            .register(manifest.clone(), summary)
            .value(deposit)
            .send()
            .await?;
        same("registered", sent.get_receipt().await?.status(), true)?;
        let model = keccak256(&manifest);
        let asked = inference.predict(model, row(&ROW)).call().await;
        refused(asked, &of(Inference::ModelNotActive { model }))?;

        let validator = derived(VALIDATOR)?;
        let reason = || "a test".to_owned();
        let digest = registry
            .suspensionDigest(self.growth, reason())
            .call()
            .await?;
        let signature = Bytes::from(validator.sign_hash_sync(&digest)?.as_bytes());
        let sent = registry
            .suspend(self.growth, reason(), vec![signature])
            .send()
            .await?;
        same("suspended", sent.get_receipt().await?.status(), true)?;
        let asked = inference
            .predict(self.growth, row(&[ONE, 100]))
            .call()
            .await;
        let digest = registry
            .reinstatementDigest(self.growth, reason())
            .call()
            .await?;
        let signature = Bytes::from(validator.sign_hash_sync(&digest)?.as_bytes());
        let sent = registry
            .reinstate(self.growth, reason(), vec![signature])
            .send()
            .await?;
        same("reinstated", sent.get_receipt().await?.status(), true)?;
        refused(asked, &of(Inference::ModelSuspended { model: self.growth }))
    }

    async fn little_gas(&self) -> Result<()> {
        let inference = self.inference();
        let asked = inference.predict(self.volatility, row(&ROW)).gas(25_000);
        let Err(error) = asked.call().await else {
            bail!("answered with too little gas")
        };
        same(
            "too little gas answers no data",
            error.as_revert_data(),
            None,
        )
    }
}

fn derived(path: &str) -> Result<PrivateKeySigner> {
    let builder = MnemonicBuilder::<English>::default().phrase(MNEMONIC);
    Ok(builder.derivation_path(path)?.build()?)
}

/// Reads a contract's creation code from what forge compiled.
fn compiled(name: &str) -> Result<Bytes> {
    let path = format!(
        "{}/../../../contracts/out/{name}.sol/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let artifact: serde_json::Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let code = artifact
        .pointer("/bytecode/object")
        .and_then(|v| v.as_str());
    Ok(code.ok_or_eyre("the artifact has no bytecode")?.parse()?)
}

async fn deployed<P: Provider>(node: &P, code: Bytes) -> Result<Address> {
    let mut request = TransactionRequest::default().with_input(code);
    request.to = Some(TxKind::Create);
    let receipt = node.send_transaction(request).await?.get_receipt().await?;
    ensure!(receipt.status(), "the deployment failed");
    receipt
        .contract_address()
        .ok_or_eyre("nothing was deployed")
}

fn int(value: i64) -> I256 {
    I256::try_from(value).unwrap_or_default()
}

fn row(values: &[i64]) -> Vec<I256> {
    values.iter().copied().map(int).collect()
}

fn of<E: SolError>(error: E) -> Bytes {
    error.abi_encode().into()
}

/// Decodes the error a call must have failed with.
fn decoded<E: SolError, T>(answer: Result<T, alloy::contract::Error>) -> Result<E> {
    let Err(error) = answer else {
        bail!("{} was answered", E::SIGNATURE)
    };
    error
        .as_decoded_error::<E>()
        .ok_or_else(|| eyre!("no {}: {error}", E::SIGNATURE))
}

/// Ends the run unless a call failed with exactly this revert data.
fn refused<T>(answer: Result<T, alloy::contract::Error>, want: &Bytes) -> Result<()> {
    let Err(error) = answer else {
        bail!("{want} was expected, the call was answered")
    };
    let interface = error
        .as_decoded_interface_error::<Inference::InferenceErrors>()
        .ok_or_else(|| eyre!("not an error of the interface: {error}"))?;
    same(
        &format!("{interface:?}"),
        error.as_revert_data().as_ref(),
        Some(want),
    )
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, want: T) -> Result<()> {
    ensure!(got == want, "{what}: expected {want:?}, got {got:?}");
    println!("ok {what}");
    Ok(())
}
