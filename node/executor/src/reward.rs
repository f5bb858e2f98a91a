//! What proof of work pays: the block's miner and the miners of its uncles.

use alloy_evm::block::calc::{base_block_reward, block_reward, ommer_reward};
use alloy_primitives::{Address, U256};
use assay_types::{Block, ChainSpec};

use crate::env::ExecutorForks;

/// Who earns what by a block of proof-of-work days.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewards {
    /// What the block's own miner earns, with a share for each uncle; `None` after the merge.
    pub block: Option<(Address, U256)>,
    /// What the miner of each uncle earns.
    pub uncles: Vec<(Address, U256)>,
}

/// Computes what a block pays to miners.
#[must_use]
pub fn rewards(spec: &ChainSpec, block: &Block) -> Rewards {
    let (header, ommers) = (&block.header, &block.body.ommers);
    let forks = ExecutorForks(spec.forks_at(header));
    let Some(base) = base_block_reward(forks, header.number) else {
        return Rewards::default();
    };
    let uncle = |ommer: &assay_types::Header| {
        let reward = ommer_reward(base, header.number, ommer.number);
        (ommer.beneficiary, U256::from(reward))
    };
    Rewards {
        block: Some((
            header.beneficiary,
            U256::from(block_reward(base, ommers.len())),
        )),
        uncles: ommers.iter().map(uncle).collect(),
    }
}
