//! Errors as geth gives them: its codes, its words, revert data.

use alloy_primitives::{Bytes, hex};
use assay_chain::{ChainError, Refusal};
use assay_dev::DevError;
use assay_executor::{ExecuteError, TransactError};
use assay_pool::PoolError;
use assay_state::StateError;
use revm::context::result::InvalidTransaction;
use serde_json::Value;

/// Code of an error no other code names.
pub(crate) const SERVER_ERROR: i32 = -32_000;
/// Code of arguments that do not fit the method.
pub(crate) const INVALID_PARAMS: i32 = -32_602;
/// Code of an unknown method.
pub(crate) const METHOD_NOT_FOUND: i32 = -32_601;
/// Code of this machine's own faults.
pub(crate) const INTERNAL_ERROR: i32 = -32_603;
/// Code of a call that reverted; `data` holds what it returned.
pub(crate) const REVERTED: i32 = 3;

/// Code of a block that is known but not kept, as geth and EIP-4444 have it.
pub(crate) const PRUNED_HISTORY: i32 = 4444;

/// Selector of `Error(string)`.
const ERROR_SELECTOR: [u8; 4] = hex!("08c379a0");
/// Selector of `Panic(uint256)`.
const PANIC_SELECTOR: [u8; 4] = hex!("4e487b71");

/// An error as the client receives it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message} (code {code})")]
pub struct RpcError {
    /// The JSON-RPC code.
    pub code: i32,
    /// What went wrong, in words.
    pub message: String,
    /// More of it, for programs.
    pub data: Option<Value>,
}

impl RpcError {
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    pub(crate) fn server(message: impl Into<String>) -> Self {
        Self::new(SERVER_ERROR, message)
    }

    pub(crate) fn params(message: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, message)
    }

    pub(crate) fn internal(message: impl std::fmt::Display) -> Self {
        Self::new(INTERNAL_ERROR, message.to_string())
    }

    /// Says that a call reverted, with its reason when it has the form of one.
    pub(crate) fn reverted(output: &Bytes) -> Self {
        Self {
            code: REVERTED,
            message: revert_message(output),
            data: Some(Value::String(hex::encode_prefixed(output))),
        }
    }
}

/// Words for a revert: "execution reverted", and the reason when the output carries one.
pub(crate) fn revert_message(output: &[u8]) -> String {
    match revert_reason(output) {
        Some(reason) => format!("execution reverted: {reason}"),
        None => "execution reverted".into(),
    }
}

fn revert_reason(output: &[u8]) -> Option<String> {
    let (selector, data) = output.split_first_chunk::<4>()?;
    match *selector {
        ERROR_SELECTOR => {
            let length = usize::try_from(u64::from_be_bytes(*data.get(56..64)?.first_chunk()?));
            let text = data.get(64..)?.get(..length.ok()?)?;
            Some(String::from_utf8_lossy(text).into_owned())
        }
        PANIC_SELECTOR => {
            let code = *data.get(31)?;
            Some(match code {
                0x00 => "generic panic".into(),
                0x01 => "assert(false)".into(),
                0x11 => "arithmetic underflow or overflow".into(),
                0x12 => "division or modulo by zero".into(),
                0x21 => "enum overflow".into(),
                0x22 => "invalid encoded storage byte array accessed".into(),
                0x31 => "out-of-bounds array access; popping on an empty array".into(),
                0x32 => "out-of-bounds access of an array or bytesN".into(),
                0x41 => "out of memory".into(),
                0x51 => "uninitialized function".into(),
                other => format!("unknown panic code: {other:#x}"),
            })
        }
        _ => None,
    }
}

impl From<StateError> for RpcError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::NoState { .. } => Self::server(error.to_string()),
            _ => Self::internal(error),
        }
    }
}

impl From<ChainError> for RpcError {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Store(error) => error.into(),
            ChainError::Precompile(_) => Self::internal(error),
            _ => Self::server(error.to_string()),
        }
    }
}

impl From<DevError> for RpcError {
    fn from(error: DevError) -> Self {
        match error {
            DevError::Chain(error) => error.into(),
            DevError::Refused(Refusal::Invalid(reason)) => Self::server(refusal(&reason)),
            DevError::Timestamp { .. } | DevError::Dump(_) => Self::params(error.to_string()),
            _ => Self::server(error.to_string()),
        }
    }
}

impl From<PoolError> for RpcError {
    fn from(error: PoolError) -> Self {
        Self::server(error.to_string())
    }
}

impl From<TransactError<StateError>> for RpcError {
    fn from(error: TransactError<StateError>) -> Self {
        match error {
            TransactError::Invalid(reason) => Self::server(refusal(&reason)),
            TransactError::BlockGasLeft { .. } => Self::server("gas limit reached"),
            TransactError::Fatal(error) => error.into(),
        }
    }
}

impl From<ExecuteError<StateError>> for RpcError {
    fn from(error: ExecuteError<StateError>) -> Self {
        match error {
            ExecuteError::Invalid(error) => Self::server(error.to_string()),
            ExecuteError::Local(error) => error.into(),
            ExecuteError::Precompile(reason) => Self::internal(reason),
        }
    }
}

/// Words for a message the rules refuse, as geth puts them.
pub(crate) fn refusal(reason: &InvalidTransaction) -> String {
    match reason {
        InvalidTransaction::LackOfFundForMaxFee { fee, balance } => {
            format!("insufficient funds for gas * price + value: have {balance} want {fee}")
        }
        InvalidTransaction::GasPriceLessThanBasefee => {
            "max fee per gas less than block base fee".into()
        }
        InvalidTransaction::CallGasCostMoreThanGasLimit {
            gas_limit,
            initial_gas,
        } => {
            format!("intrinsic gas too low: have {gas_limit}, want {initial_gas}")
        }
        InvalidTransaction::GasFloorMoreThanGasLimit {
            gas_limit,
            gas_floor,
        } => {
            format!("insufficient gas for floor data gas cost: have {gas_limit}, want {gas_floor}")
        }
        InvalidTransaction::NonceTooLow { tx, state } => {
            format!("nonce too low: tx: {tx} state: {state}")
        }
        InvalidTransaction::NonceTooHigh { tx, state } => {
            format!("nonce too high: tx: {tx} state: {state}")
        }
        InvalidTransaction::NonceOverflowInTransaction => "nonce has max value".into(),
        InvalidTransaction::CreateInitCodeSizeLimit => "max initcode size exceeded".into(),
        InvalidTransaction::PriorityFeeGreaterThanMaxFee => {
            "max priority fee per gas higher than max fee per gas".into()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_of_a_revert_is_read_only_where_it_is_whole() {
        let reason = hex!(
            "08c379a0"
            "0000000000000000000000000000000000000000000000000000000000000020"
            "0000000000000000000000000000000000000000000000000000000000000002"
            "6869000000000000000000000000000000000000000000000000000000000000"
        );
        assert_eq!(revert_message(&reason), "execution reverted: hi");
        assert_eq!(revert_message(&reason[..69]), "execution reverted");
        assert_eq!(revert_message(&[1, 2]), "execution reverted");
    }
}
