//! Gas: the one place that holds every constant of the inference schedule.
//!
//! Published in docs/spec/gas.md; calibrated so that no shape of call runs below 60 million gas a
//! second on one core of the reference class (one gas is at most 16.7 ns of work).

use assay_runtime::{Cost, ExecError, Fact, Plan};

/// Version of the schedule; a change of any constant is a protocol change.
pub const SCHEDULE_VERSION: u32 = 1;

/// Every call: dispatch, checks, hashing.
pub const BASE: u64 = 700;
/// Each 32-byte word of calldata: keccak256 for the record (as dear as the EVM's own, 6), decoding,
/// conversion to tensors, hashing for the cache.
pub const INPUT_WORD: u64 = 12;
/// Each 32-byte word of the answer: conversion, encoding, keccak256 for the record.
pub const OUTPUT_WORD: u64 = 12;
/// Each node of the graph: the walk that finds shapes and cost.
pub const WALK_NODE: u64 = 60;
/// Each node run, besides its work.
pub const RUN_NODE: u64 = 12;

/// 32-bit (and narrower) float multiply-adds for one gas.
pub const MACS_F32: u64 = 32;
/// 64-bit float multiply-adds for one gas.
pub const MACS_F64: u64 = 12;
/// Integer multiply-adds for one gas.
pub const MACS_INT: u64 = 32;
/// Bytes read or written for one gas.
pub const BYTES: u64 = 64;
/// Simple elementwise operations for one gas.
pub const ELEMENTS: u64 = 4;
/// Gas for one transcendental.
pub const TRANSCENDENTAL: u64 = 3;
/// Gas for one tree step.
pub const TREE_STEP: u64 = 1;
/// Gas for one sort step.
pub const SORT_STEP: u64 = 1;

/// First touch of a model in a transaction: finding and mapping it.
pub const COLD_BASE: u64 = 12_000;
/// Bytes of the model for one gas at its first touch: paging it in from disk with nothing cached.
pub const COLD_BYTES: u64 = 16;

/// Reading the model's record from the registry, as an SLOAD.
pub const RECORD_COLD: u64 = 2_100;
/// Reading it again in the transaction.
pub const RECORD_WARM: u64 = 100;

/// Prices a node: the scarcest resource decides, because work and traffic overlap.
pub fn node(cost: &Cost) -> u64 {
    let bytes = cost.bytes_read.saturating_add(cost.bytes_written);
    let work = [
        cost.macs_f32.div_ceil(MACS_F32),
        cost.macs_f64.div_ceil(MACS_F64),
        cost.macs_int.div_ceil(MACS_INT),
        bytes.div_ceil(BYTES),
        cost.elements.div_ceil(ELEMENTS),
        cost.transcendentals.saturating_mul(TRANSCENDENTAL),
        cost.tree_steps.saturating_mul(TREE_STEP),
        cost.sort_steps.saturating_mul(SORT_STEP),
    ];
    let most = work.into_iter().max().unwrap_or(0);
    cost.nodes.saturating_mul(RUN_NODE).saturating_add(most)
}

/// Prices one run of a plan; fails when a node's work has no bound before the run.
pub fn run(plan: &Plan) -> Result<u64, ExecError> {
    plan.cost()?;
    let nodes = plan.node_costs().iter().flatten();
    let nodes = nodes.fold(0u64, |sum, cost| sum.saturating_add(node(cost)));
    // Every output is copied out once, also one that is a constant of the graph.
    let outputs = plan.outputs().iter().map(|fact| match fact {
        Fact::Tensor(fact) => fact.size_bytes(),
        _ => 0,
    });
    let bytes = outputs.fold(0u64, u64::saturating_add);
    Ok(nodes.saturating_add(bytes.div_ceil(BYTES)))
}

/// Prices the walk of a graph, which is charged before it is walked.
pub fn walk(nodes: usize) -> u64 {
    (nodes as u64).saturating_mul(WALK_NODE)
}

/// Prices what every call pays for its calldata.
pub fn input(bytes: usize) -> u64 {
    BASE.saturating_add((bytes as u64).div_ceil(32).saturating_mul(INPUT_WORD))
}

/// Prices encoding an answer.
pub fn output(bytes: u64) -> u64 {
    bytes.div_ceil(32).saturating_mul(OUTPUT_WORD)
}

/// Prices the first touch of a model in a transaction.
pub fn cold(size_bytes: u64) -> u64 {
    COLD_BASE.saturating_add(size_bytes.div_ceil(COLD_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scarcest_resource_decides() {
        let cost = Cost {
            nodes: 1,
            macs_f32: 3_200,
            bytes_read: 640,
            ..Cost::default()
        };
        assert_eq!(node(&cost), RUN_NODE + 100);
        let cost = Cost {
            bytes_read: 64_000,
            ..cost
        };
        assert_eq!(node(&cost), RUN_NODE + 1_000);
    }

    #[test]
    fn saturates_rather_than_wraps() {
        let cost = Cost {
            nodes: u64::MAX,
            transcendentals: u64::MAX,
            ..Cost::default()
        };
        assert_eq!(node(&cost), u64::MAX);
        assert_eq!(cold(u64::MAX), COLD_BASE + (1 << 60));
    }
}
