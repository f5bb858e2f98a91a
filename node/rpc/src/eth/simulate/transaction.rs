//! Makes the transactions that the calls of a simulation stand for, signed by nobody.

use alloy_primitives::{Address, TxKind};
use alloy_rpc_types_eth::TransactionRequest;
use assay_executor::Execution;
use assay_state::StateError;
use assay_types::{Header, StateView, Transaction};

use crate::{RpcError, eth::message::unsigned};

use super::{logs::LogCollector, result::code, run::Simulator};

impl Simulator<'_> {
    /// Makes the transaction a request stands for, signed by nobody.
    pub(super) fn transaction<V>(
        &self,
        request: &TransactionRequest,
        execution: &mut Execution<'_, V, LogCollector>,
        header: &Header,
    ) -> Result<(Transaction, Address), RpcError>
    where
        V: StateView<Error = StateError> + std::fmt::Debug,
    {
        let sender = request.from.unwrap_or_default();
        let used = execution.gas_used();
        let left = header.gas_limit.saturating_sub(used);
        if request.gas.is_some_and(|gas| gas > left) {
            let message = format!("block gas limit reached: {used} >= {}", header.gas_limit);
            return Err(RpcError::new(code::BLOCK_GAS_LIMIT, message));
        }
        let nonce = match request.nonce {
            Some(nonce) => nonce,
            None => execution.nonce(sender)?,
        };
        if self.validation && nonce == u64::MAX {
            return Err(RpcError::internal("err: nonce has max value"));
        }
        let mut filled = request.clone();
        filled.nonce = Some(nonce);
        filled.gas = Some(request.gas.unwrap_or(left).min(self.gas_left));
        filled.chain_id = Some(self.backend.chain.spec().chain_id);
        filled.to = Some(request.to.unwrap_or(TxKind::Create));
        filled.input.input = request
            .input
            .input
            .clone()
            .or_else(|| request.input.data.clone());
        if request.gas_price.is_none() {
            filled.max_fee_per_gas = Some(request.max_fee_per_gas.unwrap_or_default());
            let tip = request.max_priority_fee_per_gas.unwrap_or_default();
            filled.max_priority_fee_per_gas = Some(tip);
        }
        Ok((unsigned(filled)?, sender))
    }
}
