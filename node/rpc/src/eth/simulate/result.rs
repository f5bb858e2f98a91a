//! What a simulation answers: results of calls, and why a block is impossible.

use assay_executor::TransactError;
use assay_state::{StateError, StoredBlock};
use revm::context::result::{ExecutionResult, HaltReason, InvalidTransaction};
use serde_json::{Map, Value, json};

use crate::{
    RpcError,
    error::{REVERTED, refusal, revert_message},
    eth::call::halt_message,
    json::quantity,
};

use super::logs::{self, CallLogs};

/// Code of a failure inside a call that is no revert.
const VM_ERROR: i32 = -32_015;

/// Codes the specification gives to what makes a simulation impossible.
pub(super) mod code {
    pub(in super::super) const NONCE_TOO_LOW: i32 = -38_010;
    pub(in super::super) const NONCE_TOO_HIGH: i32 = -38_011;
    pub(in super::super) const FEE_BELOW_BASE_FEE: i32 = -38_012;
    pub(in super::super) const INTRINSIC_GAS: i32 = -38_013;
    pub(in super::super) const INSUFFICIENT_FUNDS: i32 = -38_014;
    pub(in super::super) const BLOCK_GAS_LIMIT: i32 = -38_015;
    pub(in super::super) const BLOCK_NUMBER: i32 = -38_020;
    pub(in super::super) const BLOCK_TIMESTAMP: i32 = -38_021;
    pub(in super::super) const MOVED_TO_ITSELF: i32 = -38_022;
    pub(in super::super) const SENDER_NOT_EOA: i32 = -38_024;
    pub(in super::super) const INIT_CODE_SIZE: i32 = -38_025;
    pub(in super::super) const TOO_MANY_BLOCKS: i32 = -38_026;
}

/// What became of one call.
pub(super) struct CallResult {
    pub(super) result: ExecutionResult,
    /// Gas the call was given.
    pub(super) gas: u64,
    pub(super) logs: CallLogs,
}

/// Says why a call cannot be part of a block at all.
pub(super) fn impossible(error: TransactError<StateError>) -> RpcError {
    let reason = match &error {
        TransactError::Invalid(reason) => reason,
        TransactError::BlockGasLeft { .. } => {
            return RpcError::new(code::BLOCK_GAS_LIMIT, error.to_string());
        }
        TransactError::Fatal(_) => return error.into(),
    };
    let number = match reason {
        InvalidTransaction::NonceTooLow { .. } => code::NONCE_TOO_LOW,
        InvalidTransaction::NonceTooHigh { .. } => code::NONCE_TOO_HIGH,
        InvalidTransaction::GasPriceLessThanBasefee => code::FEE_BELOW_BASE_FEE,
        InvalidTransaction::CallGasCostMoreThanGasLimit { .. }
        | InvalidTransaction::GasFloorMoreThanGasLimit { .. } => code::INTRINSIC_GAS,
        InvalidTransaction::LackOfFundForMaxFee { .. }
        | InvalidTransaction::OverflowPaymentInTransaction => code::INSUFFICIENT_FUNDS,
        InvalidTransaction::CallerGasLimitMoreThanBlock => code::BLOCK_GAS_LIMIT,
        InvalidTransaction::RejectCallerWithCode => code::SENDER_NOT_EOA,
        InvalidTransaction::CreateInitCodeSizeLimit => code::INIT_CODE_SIZE,
        InvalidTransaction::NonceOverflowInTransaction => crate::error::INTERNAL_ERROR,
        _ => crate::error::SERVER_ERROR,
    };
    RpcError::new(number, format!("err: {}", refusal(reason)))
}

/// Writes the results of a block's calls.
pub(super) fn show_calls(
    block: &StoredBlock,
    calls: &[CallResult],
) -> Result<Vec<Value>, RpcError> {
    calls
        .iter()
        .enumerate()
        .map(|(index, call)| {
            let result = &call.result;
            let logs = logs::show(&call.logs, block, index)?;
            let mut map = Map::new();
            // A revert's bytes are in its error.
            let output = result.output().filter(|_| result.is_success()).cloned();
            let output = output.unwrap_or_default();
            map.insert("returnData".into(), json!(output));
            map.insert("logs".into(), logs.into());
            map.insert("gasUsed".into(), quantity(result.tx_gas_used()));
            map.insert("maxUsedGas".into(), quantity(most_gas(result)));
            map.insert("status".into(), quantity(u8::from(result.is_success())));
            if let Some(error) = call_error(result, call.gas) {
                map.insert("error".into(), error);
            }
            Ok(map.into())
        })
        .collect()
}

fn most_gas(result: &ExecutionResult) -> u64 {
    let gas = result.gas();
    gas.total_gas_spent().max(result.tx_gas_used())
}

fn call_error(result: &ExecutionResult, gas: u64) -> Option<Value> {
    match result {
        ExecutionResult::Success { .. } => None,
        ExecutionResult::Revert { output, .. } => Some(json!({
            "code": REVERTED,
            "message": revert_message(output),
            "data": output,
        })),
        ExecutionResult::Halt { reason, .. } => {
            let message = match reason {
                HaltReason::OutOfGas(_) => "out of gas".into(),
                other => halt_message(other, gas),
            };
            Some(json!({"code": VM_ERROR, "message": message}))
        }
    }
}
