//! What fees have been, and what to offer.

use alloy_consensus::Transaction as _;
use alloy_eips::BlockId;
use serde_json::{Value, json};

use crate::{Backend, RpcError, json::quantity, resolve::At};

/// Tip offered when recent blocks tell nothing better.
const DEFAULT_TIP: u128 = 1_000_000_000;
/// Blocks looked at for a tip.
const TIP_BLOCKS: u64 = 20;
/// Percentile of recent tips that is suggested.
const TIP_PERCENTILE: usize = 60;

/// Suggests a gas price for the next block.
pub(crate) fn suggested_price(backend: &Backend) -> Result<u128, RpcError> {
    let base_fee = backend.next_header().base_fee_per_gas.unwrap_or_default();
    Ok(suggested_tip(backend)?.saturating_add(base_fee.into()))
}

/// Suggests a tip from what recent transactions paid.
pub(crate) fn suggested_tip(backend: &Backend) -> Result<u128, RpcError> {
    let reader = backend.chain.reader()?;
    let tip = reader.tip();
    let mut tips = Vec::new();
    for number in tip.saturating_sub(TIP_BLOCKS)..=tip {
        let Some(block) = reader.block(number)? else {
            continue;
        };
        let base_fee = block.block.header.base_fee_per_gas.unwrap_or_default();
        let transactions = &block.block.body.transactions;
        tips.extend(
            transactions
                .iter()
                .filter_map(|tx| tx.effective_tip_per_gas(base_fee)),
        );
    }
    tips.sort_unstable();
    let index = tips.len().saturating_mul(TIP_PERCENTILE) / 100;
    Ok(tips
        .get(index)
        .copied()
        .filter(|tip| *tip > 0)
        .unwrap_or(DEFAULT_TIP))
}

/// Answers `eth_feeHistory`.
pub(crate) fn history(
    backend: &Backend,
    count: u64,
    newest: BlockId,
    percentiles: &[f64],
) -> Result<Value, RpcError> {
    check_percentiles(percentiles)?;
    let at = backend.at(Some(newest))?;
    let count = count
        .min(backend.limits.fee_history_blocks)
        .min(at.number.saturating_add(1));
    if count == 0 {
        return Ok(json!({"oldestBlock": quantity(0_u64), "gasUsedRatio": null}));
    }
    let oldest = (at.number + 1 - count).max(at.reader.oldest_block().min(at.number));
    let (mut fees, mut ratios, mut rewards) = (Vec::new(), Vec::new(), Vec::new());
    let (mut blob_fees, mut blob_ratios) = (Vec::new(), Vec::new());
    let spec = backend.chain.spec();
    for number in oldest..=at.number {
        let block = At::mined(backend.chain.reader()?, number);
        let header = block.header()?;
        let params = spec.blob_params(header.timestamp);
        let blob_fee = header
            .excess_blob_gas
            .zip(params)
            .map(|(e, p)| p.calc_blob_fee(e));
        let used = header.blob_gas_used.unwrap_or_default();
        fees.push(quantity(header.base_fee_per_gas.unwrap_or_default()));
        ratios.push(ratio(header.gas_used, header.gas_limit));
        blob_fees.push(quantity(blob_fee.unwrap_or_default()));
        blob_ratios.push(params.map_or(json!(0), |p| ratio(used, p.max_blob_gas_per_block())));
        if !percentiles.is_empty() {
            rewards.push(block_rewards(&block, percentiles)?);
        }
        if number == at.number {
            let next = assay_executor::next_base_fee(spec, &header, header.timestamp + 1);
            fees.push(quantity(next.unwrap_or_default()));
            let excess = assay_executor::next_excess_blob_gas(spec, &header, header.timestamp + 1);
            let fee = excess.zip(params).map(|(e, p)| p.calc_blob_fee(e));
            blob_fees.push(quantity(fee.unwrap_or_default()));
        }
    }
    let mut answer = json!({
        "oldestBlock": quantity(oldest),
        "baseFeePerGas": fees,
        "gasUsedRatio": ratios,
        "baseFeePerBlobGas": blob_fees,
        "blobGasUsedRatio": blob_ratios,
    });
    if let (Some(map), false) = (answer.as_object_mut(), rewards.is_empty()) {
        map.insert("reward".into(), rewards.into());
    }
    Ok(answer)
}

/// Writes a share as JSON has it: a whole number when it is none or all.
fn ratio(part: u64, whole: u64) -> Value {
    match part {
        0 => json!(0),
        part if part == whole => json!(1),
        part => json!(part as f64 / whole.max(1) as f64),
    }
}

fn check_percentiles(percentiles: &[f64]) -> Result<(), RpcError> {
    let rising = percentiles
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a <= b));
    match rising && percentiles.iter().all(|p| (0.0..=100.0).contains(p)) {
        true => Ok(()),
        false => Err(RpcError::server(
            "invalid reward percentile: must rise from 0 to 100",
        )),
    }
}

/// Finds the tips at some percentiles of a block's gas.
fn block_rewards(at: &At, percentiles: &[f64]) -> Result<Value, RpcError> {
    let block = at.block()?;
    let base_fee = block.block.header.base_fee_per_gas.unwrap_or_default();
    let receipts = at.receipts()?;
    let mut paid = Vec::new();
    let mut before = 0;
    for (tx, receipt) in block.block.body.transactions.iter().zip(&receipts) {
        let gas = receipt.cumulative_gas_used().saturating_sub(before);
        before = receipt.cumulative_gas_used();
        paid.push((tx.effective_tip_per_gas(base_fee).unwrap_or_default(), gas));
    }
    paid.sort_unstable();
    let total = block.block.header.gas_used as f64;
    let rewards: Vec<Value> = percentiles
        .iter()
        .map(|percentile| {
            let threshold = total * percentile / 100.0;
            let mut sum = 0.0;
            let found = paid.iter().find(|(_, gas)| {
                sum += *gas as f64;
                sum >= threshold
            });
            quantity(found.or(paid.last()).map_or(0, |(tip, _)| *tip))
        })
        .collect();
    Ok(rewards.into())
}
