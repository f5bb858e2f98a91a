//! Builds receipts from execution results.

use alloy_consensus::{EthereumTxEnvelope, Receipt as ReceiptFields, TxEip4844, TxType};
use alloy_evm::{
    Evm,
    eth::receipt_builder::{ReceiptBuilder, ReceiptBuilderCtx},
};
use assay_types::Receipt;

/// Builds the receipt of a transaction as blocks store it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockReceipts;

impl ReceiptBuilder for BlockReceipts {
    type Transaction = EthereumTxEnvelope<TxEip4844>;
    type Receipt = Receipt;

    fn build_receipt<E: Evm>(&self, ctx: ReceiptBuilderCtx<'_, TxType, E>) -> Receipt {
        let fields = ReceiptFields {
            status: ctx.result.is_success().into(),
            cumulative_gas_used: ctx.cumulative_gas_used,
            logs: ctx.result.into_logs(),
        };
        Receipt::from_typed(ctx.tx_type, fields.with_bloom())
    }
}
