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

#[cfg(test)]
mod tests {
    use alloy_consensus::BlockBody;
    use assay_types::{ChainConfig, Header};

    use super::*;

    fn block(number: u64, difficulty: u64, uncles: &[u64]) -> Block {
        let header = |number| Header {
            number,
            difficulty: U256::from(difficulty),
            beneficiary: Address::with_last_byte(1),
            ..Header::default()
        };
        let ommers = uncles.iter().map(|number| header(*number)).collect();
        let body = BlockBody {
            ommers,
            ..BlockBody::default()
        };
        Block::new(header(number), body)
    }

    #[test]
    fn miner_earns_a_share_for_each_uncle_and_uncles_earn_less_with_age() {
        let config = ChainConfig {
            terminal_total_difficulty: Some(U256::ZERO),
            ..ChainConfig::default()
        };
        let spec = ChainSpec::new(config, None);
        let ether = |thousandths: u64| U256::from(thousandths) * U256::from(10_u64.pow(15));
        let paid = rewards(&spec, &block(3, 1, &[2, 1]));
        let miner = Address::with_last_byte(1);
        let own = ether(5_000) + ether(5_000) / U256::from(32) * U256::from(2);
        assert_eq!(paid.block, Some((miner, own)));
        assert_eq!(paid.uncles, [(miner, ether(4_375)), (miner, ether(3_750))]);
        assert_eq!(rewards(&spec, &block(3, 0, &[])), Rewards::default());
    }
}
