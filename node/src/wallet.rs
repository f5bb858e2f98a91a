//! An account that signs its own transactions.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, Bytes, TxKind, U256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use serde_json::json;

use crate::{
    cli::Failure,
    client::{CallError, Client, number},
};

/// Signs for one account.
pub(crate) struct Wallet(PrivateKeySigner);

/// What a transaction does.
pub(crate) struct Action {
    pub(crate) to: TxKind,
    pub(crate) input: Bytes,
    pub(crate) value: U256,
    /// Gas to allow; what the node estimates when it is `None`, which refuses what would revert.
    pub(crate) gas: Option<u64>,
}

impl Wallet {
    /// Takes the account of a key.
    pub(crate) const fn new(key: PrivateKeySigner) -> Self {
        Self(key)
    }

    /// Returns the account's address.
    pub(crate) const fn address(&self) -> Address {
        self.0.address()
    }

    /// Signs an action at the node's price, with the account's next nonce.
    pub(crate) fn sign(&self, client: &Client, action: Action) -> Result<Bytes, CallError> {
        let ask = |method: &str, params| client.call(method, params);
        let gas = match action.gas {
            Some(gas) => gas,
            None => {
                let mut request =
                    json!({"from": self.address(), "value": action.value, "input": action.input});
                if let (TxKind::Call(to), Some(request)) = (action.to, request.as_object_mut()) {
                    request.insert("to".into(), json!(to));
                }
                number(&ask("eth_estimateGas", json!([request]))?, "gas estimate")?
            }
        };
        let price = number(&ask("eth_gasPrice", json!([]))?, "gas price")?;
        let nonce = ask(
            "eth_getTransactionCount",
            json!([self.address(), "pending"]),
        )?;
        let transaction = TxEip1559 {
            chain_id: number(&ask("eth_chainId", json!([]))?, "chain id")?,
            nonce: number(&nonce, "nonce")?,
            gas_limit: gas,
            max_fee_per_gas: u128::from(price).saturating_mul(2),
            max_priority_fee_per_gas: 0,
            to: action.to,
            value: action.value,
            input: action.input,
            ..TxEip1559::default()
        };
        let signature = self.0.sign_hash_sync(&transaction.signature_hash());
        let signature = signature.map_err(Failure::failed)?;
        let signed = TxEnvelope::Eip1559(transaction.into_signed(signature));
        Ok(signed.encoded_2718().into())
    }
}
