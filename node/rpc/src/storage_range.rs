//! `debug_storageRangeAt`: the storage of an account in the middle of a block, page by page.

use std::collections::BTreeMap;

use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use revm::inspector::NoOpInspector;
use serde_json::{Map, Value, json};

use crate::{
    Backend, RpcError,
    arguments::Arguments,
    method::{Method, heavy},
    replay::Replay,
};

/// Most slots an account may have for its storage to be listed.
const MAX_SLOTS: usize = 100_000;
/// Most slots of one page.
const MAX_PAGE: u64 = 1_024;

pub(crate) const METHODS: &[Method] = &[heavy("debug_storageRangeAt", storage_range_at)];

fn storage_range_at(backend: &Backend, arguments: &mut Arguments) -> Result<Value, RpcError> {
    let (id, index): (BlockId, u64) = (arguments.next()?, arguments.number()?);
    let address: Address = arguments.next()?;
    let begin: Bytes = arguments.next()?;
    let most = arguments.number()?.min(MAX_PAGE);
    let at = backend
        .find(Some(id))?
        .ok_or_else(|| RpcError::server("block not found"))?;
    let block = at.block()?;
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    if index > block.block.body.transactions.len() {
        return Err(RpcError::server("transaction not found"));
    }
    let Some(mut slots) = at.reader.slots_ever_used(address, MAX_SLOTS)? else {
        let message = format!("account {address} has more than {MAX_SLOTS} slots");
        return Err(RpcError::server(message));
    };
    let mut replay = Replay::begin(backend, &at, &block, NoOpInspector)?;
    replay.skip_to(index)?;
    // A slot the block fills and empties again is in no state that is kept.
    slots.extend(replay.slots_met(address));
    // In the order of the state trie: by the hash of the slot.
    let begin = B256::left_padding_from(begin.get(..32).unwrap_or(&begin));
    let by_hash: BTreeMap<B256, U256> = slots
        .into_iter()
        .map(|slot| (keccak256(B256::from(slot)), slot))
        .filter(|(hash, _)| *hash >= begin)
        .collect();
    let (mut storage, mut next) = (Map::new(), Value::Null);
    for (hash, slot) in by_hash {
        let held = replay.storage(address, slot)?;
        if held.is_zero() {
            continue;
        }
        if storage.len() as u64 >= most {
            next = json!(hash);
            break;
        }
        let entry = json!({"key": B256::from(slot), "value": B256::from(held)});
        storage.insert(hash.to_string(), entry);
    }
    Ok(json!({"storage": storage, "nextKey": next}))
}
