//! Header, body and outcome rules: what makes a block valid besides its transactions.
//!
//! Proof of work is not checked, nor difficulty and the ancestry of uncles, which only proof of
//! work makes meaningful: blocks of that time are executed as history.

use alloy_consensus::{
    EMPTY_OMMER_ROOT_HASH, Transaction as _,
    proofs::{calculate_ommers_root, calculate_transaction_root, calculate_withdrawals_root},
};
use alloy_eips::{eip1559::BaseFeeParams, eip7840::BlobParams};
use alloy_hardforks::{EthereumHardfork, EthereumHardforks};
use alloy_primitives::{B64, B256};
use alloy_rlp::Encodable;
use assay_types::{Block, ChainSpec, Header};

use crate::{InvalidBlock, Outcome};

const MAX_EXTRA_DATA_BYTES: usize = 32;
const MIN_GAS_LIMIT: u64 = 5_000;
const MAX_GAS_LIMIT: u64 = i64::MAX as u64;
const GAS_LIMIT_BOUND_DIVISOR: u64 = 1_024;
const ELASTICITY: u64 = 2;
const INITIAL_BASE_FEE: u64 = 1_000_000_000;
const MAX_OMMERS: usize = 2;
const GAS_PER_BLOB: u64 = 131_072;
/// Spec: EIP-7934, 10 MiB less a margin of 2 MiB.
const MAX_RLP_BLOCK_SIZE: usize = 8 << 20;

/// Computes the base fee of a block from its parent; `None` before London.
#[must_use]
pub fn next_base_fee(spec: &ChainSpec, parent: &Header, timestamp: u64) -> Option<u64> {
    let number = parent.number.saturating_add(1);
    let forks = spec.forks(number, timestamp, parent.difficulty);
    if !forks.is_active(EthereumHardfork::London) {
        return None;
    }
    // The first block of London starts at a fixed fee.
    Some(
        parent
            .next_block_base_fee(BaseFeeParams::ethereum())
            .unwrap_or(INITIAL_BASE_FEE),
    )
}

/// Computes the excess blob gas of a block from its parent; `None` before Cancun.
#[must_use]
pub fn next_excess_blob_gas(spec: &ChainSpec, parent: &Header, timestamp: u64) -> Option<u64> {
    let params = spec.blob_params(timestamp)?;
    let osaka = spec.forks(parent.number, timestamp, parent.difficulty);
    let (Some(excess), Some(used)) = (parent.excess_blob_gas, parent.blob_gas_used) else {
        // The first block of Cancun has a parent without blob fields.
        return Some(0);
    };
    Some(match osaka.is_osaka_active_at_timestamp(timestamp) {
        true => {
            let base_fee = parent.base_fee_per_gas.unwrap_or_default();
            params.next_block_excess_blob_gas_osaka(excess, used, base_fee)
        }
        false => excess
            .saturating_add(used)
            .saturating_sub(params.target_blob_gas_per_block()),
    })
}

/// Checks a header against its parent.
///
/// # Errors
/// With the first rule broken.
pub fn validate_header(
    spec: &ChainSpec,
    header: &Header,
    parent: &Header,
    parent_hash: B256,
) -> Result<(), InvalidBlock> {
    let forks = spec.forks_at(header);
    let active = |fork| forks.is_active(fork);
    equal("parentHash", header.parent_hash, parent_hash)?;
    equal("number", header.number, parent.number.saturating_add(1))?;
    if header.timestamp <= parent.timestamp {
        let want = format!("above the parent's {}", parent.timestamp);
        return Err(InvalidBlock::header("timestamp", header.timestamp, want));
    }
    if header.extra_data.len() > MAX_EXTRA_DATA_BYTES {
        let got = format!("{} bytes", header.extra_data.len());
        return Err(InvalidBlock::header("extraData", got, "at most 32 bytes"));
    }
    validate_gas_limit(header, parent, active(EthereumHardfork::London))?;
    let base_fee = active(EthereumHardfork::London)
        .then(|| next_base_fee(spec, parent, header.timestamp))
        .flatten();
    fork_field("baseFeePerGas", header.base_fee_per_gas, base_fee)?;
    validate_merge(header, parent, active(EthereumHardfork::Paris))?;
    presence(
        "withdrawalsRoot",
        header.withdrawals_root,
        active(EthereumHardfork::Shanghai),
    )?;
    validate_blobs(spec, header, parent)?;
    let cancun = active(EthereumHardfork::Cancun);
    presence(
        "parentBeaconBlockRoot",
        header.parent_beacon_block_root,
        cancun,
    )?;
    presence(
        "requestsHash",
        header.requests_hash,
        active(EthereumHardfork::Prague),
    )
}

/// Checks that a block's body is the one its header commits to, and within its limits.
///
/// # Errors
/// With the first rule broken.
pub fn validate_body(spec: &ChainSpec, block: &Block) -> Result<(), InvalidBlock> {
    let (header, body) = (&block.header, &block.body);
    root(
        "transactionsRoot",
        calculate_transaction_root(&body.transactions),
        header.transactions_root,
    )?;
    root(
        "sha3Uncles",
        calculate_ommers_root(&body.ommers),
        header.ommers_hash,
    )?;
    if body.ommers.len() > MAX_OMMERS {
        let got = format!("{} uncles", body.ommers.len());
        return Err(InvalidBlock::header("sha3Uncles", got, "at most 2 uncles"));
    }
    presence(
        "withdrawals",
        body.withdrawals.as_ref(),
        header.withdrawals_root.is_some(),
    )?;
    if let (Some(want), Some(withdrawals)) = (header.withdrawals_root, &body.withdrawals) {
        root(
            "withdrawalsRoot",
            calculate_withdrawals_root(withdrawals),
            want,
        )?;
    }
    let blob_gas = body
        .transactions
        .iter()
        .filter_map(|transaction| transaction.blob_gas_used())
        .fold(0_u64, u64::saturating_add);
    equal(
        "blobGasUsed",
        header.blob_gas_used.unwrap_or_default(),
        blob_gas,
    )?;
    let forks = spec.forks_at(header);
    let size = block.length();
    if forks.is_active(EthereumHardfork::Osaka) && size > MAX_RLP_BLOCK_SIZE {
        return Err(InvalidBlock::Size {
            size,
            limit: MAX_RLP_BLOCK_SIZE,
        });
    }
    Ok(())
}

/// Checks that execution gave what the header says.
///
/// # Errors
/// With the first difference.
pub fn validate_outcome(
    header: &Header,
    outcome: &Outcome,
    state_root: B256,
) -> Result<(), InvalidBlock> {
    if outcome.gas_used != header.gas_used {
        return Err(InvalidBlock::GasUsed {
            got: outcome.gas_used,
            want: header.gas_used,
        });
    }
    root(
        "receiptsRoot",
        outcome.receipts_root(),
        header.receipts_root,
    )?;
    let bloom = outcome.logs_bloom();
    if bloom != header.logs_bloom {
        return Err(InvalidBlock::Bloom(Box::new((bloom, header.logs_bloom))));
    }
    if let Some(want) = header.requests_hash {
        root("requestsHash", outcome.requests.requests_hash(), want)?;
    }
    root("stateRoot", state_root, header.state_root)
}

fn validate_gas_limit(header: &Header, parent: &Header, london: bool) -> Result<(), InvalidBlock> {
    if header.gas_used > header.gas_limit {
        let want = format!("at most the limit of {}", header.gas_limit);
        return Err(InvalidBlock::header("gasUsed", header.gas_used, want));
    }
    let first_of_london = london && parent.base_fee_per_gas.is_none();
    let base = match first_of_london {
        true => parent.gas_limit.saturating_mul(ELASTICITY),
        false => parent.gas_limit,
    };
    let step = base / GAS_LIMIT_BOUND_DIVISOR;
    if header.gas_limit.abs_diff(base) >= step.max(1) && header.gas_limit != base
        || !(MIN_GAS_LIMIT..=MAX_GAS_LIMIT).contains(&header.gas_limit)
    {
        let want = format!("within {step} of {base} and at least {MIN_GAS_LIMIT}");
        return Err(InvalidBlock::header("gasLimit", header.gas_limit, want));
    }
    Ok(())
}

fn validate_merge(header: &Header, parent: &Header, merged: bool) -> Result<(), InvalidBlock> {
    if !merged {
        // A chain that has merged stays merged: difficulty cannot come back.
        let parent_merged = parent.difficulty.is_zero() && parent.number > 0;
        return match parent_merged && !header.difficulty.is_zero() {
            true => Err(InvalidBlock::difficulty(header.difficulty)),
            false => Ok(()),
        };
    }
    equal("nonce", header.nonce, B64::ZERO)?;
    equal("sha3Uncles", header.ommers_hash, EMPTY_OMMER_ROOT_HASH)
}

fn validate_blobs(spec: &ChainSpec, header: &Header, parent: &Header) -> Result<(), InvalidBlock> {
    let params: Option<BlobParams> = spec.blob_params(header.timestamp);
    presence("blobGasUsed", header.blob_gas_used, params.is_some())?;
    let excess = next_excess_blob_gas(spec, parent, header.timestamp);
    fork_field("excessBlobGas", header.excess_blob_gas, excess)?;
    let (Some(params), Some(used)) = (params, header.blob_gas_used) else {
        return Ok(());
    };
    let limit = params.max_blob_gas_per_block();
    if used > limit || used % GAS_PER_BLOB != 0 {
        let want = format!("at most {limit} and whole blobs");
        return Err(InvalidBlock::header("blobGasUsed", used, want));
    }
    Ok(())
}

fn equal<T: PartialEq + std::fmt::Display>(
    field: &'static str,
    got: T,
    want: T,
) -> Result<(), InvalidBlock> {
    match got == want {
        true => Ok(()),
        false => Err(InvalidBlock::header(field, got, want)),
    }
}

fn fork_field(
    field: &'static str,
    got: Option<u64>,
    want: Option<u64>,
) -> Result<(), InvalidBlock> {
    presence(field, got, want.is_some())?;
    equal(field, got.unwrap_or_default(), want.unwrap_or_default())
}

fn presence<T>(field: &'static str, got: Option<T>, due: bool) -> Result<(), InvalidBlock> {
    match got.is_some() == due {
        true => Ok(()),
        false => Err(InvalidBlock::HeaderFork { field, due }),
    }
}

fn root(field: &'static str, got: B256, want: B256) -> Result<(), InvalidBlock> {
    match got == want {
        true => Ok(()),
        false => Err(InvalidBlock::Root { field, got, want }),
    }
}
