//! The fork configuration of EIP-7910.

use alloy_eips::{eip2124::ForkHash, eip2935, eip4788, eip7002, eip7251};
use alloy_primitives::B256;
use assay_types::ChainConfig;
use revm::{
    precompile::{PrecompileSpecId, Precompiles},
    primitives::hardfork::SpecId,
};
use serde_json::{Map, Value, json};

use crate::{Backend, json::quantity};

pub(crate) fn describe(backend: &Backend, genesis: B256, now: u64) -> Value {
    let config = &backend.chain.spec().config;
    let times = fork_times(config);
    let active = times.iter().copied().filter(|time| *time <= now).max();
    let next = times.iter().copied().find(|time| *time > now);
    let last = times.last().copied().filter(|time| *time > now);
    let at = |time: Option<u64>| time.map_or(Value::Null, |t| entry(backend, genesis, t));
    json!({"current": at(active), "next": at(next), "last": at(last)})
}

/// Lists the times at which forks by time start, in order.
fn fork_times(config: &ChainConfig) -> Vec<u64> {
    let mut times: Vec<u64> = [
        config.shanghai_time,
        config.cancun_time,
        config.prague_time,
        config.osaka_time,
        config.bpo1_time,
        config.bpo2_time,
        config.bpo3_time,
        config.bpo4_time,
        config.bpo5_time,
    ]
    .into_iter()
    .flatten()
    .collect();
    times.sort_unstable();
    times.dedup();
    times
}

/// Lists the blocks at which forks by block start, in order.
fn fork_blocks(config: &ChainConfig) -> Vec<u64> {
    let mut blocks: Vec<u64> = [
        config.homestead_block,
        config.dao_fork_block,
        config.eip150_block,
        config.eip155_block,
        config.eip158_block,
        config.byzantium_block,
        config.constantinople_block,
        config.petersburg_block,
        config.istanbul_block,
        config.muir_glacier_block,
        config.berlin_block,
        config.london_block,
        config.arrow_glacier_block,
        config.gray_glacier_block,
        config.merge_netsplit_block,
    ]
    .into_iter()
    .flatten()
    .filter(|block| *block > 0)
    .collect();
    blocks.sort_unstable();
    blocks.dedup();
    blocks
}

fn entry(backend: &Backend, genesis: B256, time: u64) -> Value {
    let spec = backend.chain.spec();
    let blobs = spec.blob_params(time).map(|params| {
        json!({
            "target": params.target_blob_count,
            "max": params.max_blob_count,
            "baseFeeUpdateFraction": params.update_fraction,
        })
    });
    json!({
        "activationTime": time,
        "blobSchedule": blobs,
        "chainId": quantity(spec.chain_id),
        "forkId": fork_id(&spec.config, genesis, time),
        "precompiles": precompiles(&spec.config, time),
        "systemContracts": system_contracts(backend, time),
    })
}

fn fork_id(config: &ChainConfig, genesis: B256, time: u64) -> String {
    let mut hash = ForkHash::from(genesis);
    fork_blocks(config)
        .into_iter()
        .for_each(|block| hash += block);
    fork_times(config)
        .into_iter()
        .filter(|fork| *fork <= time && *fork > 0)
        .for_each(|fork| hash += fork);
    alloy_primitives::hex::encode_prefixed(hash.0)
}

fn precompiles(config: &ChainConfig, time: u64) -> Value {
    let active = |start: Option<u64>| start.is_some_and(|start| start <= time);
    let spec = if active(config.osaka_time) {
        SpecId::OSAKA
    } else if active(config.prague_time) {
        SpecId::PRAGUE
    } else if active(config.cancun_time) {
        SpecId::CANCUN
    } else {
        SpecId::SHANGHAI
    };
    let mut map = Map::new();
    for (address, precompile) in Precompiles::new(PrecompileSpecId::from_spec_id(spec)).inner() {
        map.insert(precompile.id().name().to_owned(), json!(address));
    }
    map.into()
}

fn system_contracts(backend: &Backend, time: u64) -> Value {
    let config = &backend.chain.spec().config;
    let active = |start: Option<u64>| start.is_some_and(|start| start <= time);
    let mut map = Map::new();
    if active(config.cancun_time) {
        map.insert(
            "BEACON_ROOTS_ADDRESS".into(),
            json!(eip4788::BEACON_ROOTS_ADDRESS),
        );
    }
    if active(config.prague_time) {
        let consolidation = eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS;
        let withdrawal = eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS;
        let deposit = backend.chain.spec().deposit_contract;
        map.insert(
            "CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS".into(),
            json!(consolidation),
        );
        map.insert("DEPOSIT_CONTRACT_ADDRESS".into(), json!(deposit));
        map.insert(
            "HISTORY_STORAGE_ADDRESS".into(),
            json!(eip2935::HISTORY_STORAGE_ADDRESS),
        );
        map.insert(
            "WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS".into(),
            json!(withdrawal),
        );
    }
    map.into()
}
