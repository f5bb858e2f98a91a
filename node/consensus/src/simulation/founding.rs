//! Who takes part: the genesis of a network, and the key and machine of each node.

use std::sync::{Arc, OnceLock};

use alloy_primitives::{B256, U256};
use assay_chain::{Chain, ChainGenesis, Founder, Founders};
use assay_state::Store;
use assay_types::{Block, ChainSpec, StateChanges, Validator};
use malachitebft_app::types::PeerId;

use super::{
    liars::{FalseKey, OtherTaste, WrongRoot},
    plan::{Lie, Plan},
};
use crate::{Recompute, Sign, ValidatorKey};

pub(super) const CHAIN_ID: u64 = 4_242;

/// The first block of a network.
pub(super) struct Foundation {
    pub(super) spec: ChainSpec,
    pub(super) block: Block,
    pub(super) state: StateChanges,
    pub(super) set: Vec<Validator>,
    pub(super) hash: B256,
}

/// Gives a node its key and its machine, a faulty one where it is to lie.
pub(super) fn roles(
    plan: &Plan,
    index: usize,
    chain: &Arc<Chain>,
) -> (Arc<dyn Sign>, Arc<dyn Recompute>) {
    let last = plan.validators - 1;
    let own = key((index as u8).min(last));
    let chain = Arc::clone(chain);
    match (plan.honest(index), plan.lie) {
        (false, Some(Lie::WrongResults)) => (Arc::new(own), Arc::new(WrongRoot(chain))),
        (false, Some(Lie::FalseSignatures)) => (Arc::new(FalseKey(own)), chain),
        (false, Some(Lie::Twin)) if index > usize::from(last) => {
            (Arc::new(own), Arc::new(OtherTaste(chain)))
        }
        _ => (Arc::new(own), chain),
    }
}

fn key(index: u8) -> ValidatorKey {
    ValidatorKey::new(&[index + 1; 32]).unwrap()
}

/// Names a node to its peers: an identity multihash of its number.
pub(super) fn peer(index: usize) -> PeerId {
    PeerId::from_bytes(&[0, 1, index as u8]).unwrap()
}

/// Makes the genesis of a network once, for all seeds.
pub(super) fn foundation(validators: u8) -> &'static Foundation {
    static FOUR: OnceLock<Foundation> = OnceLock::new();
    static SEVEN: OnceLock<Foundation> = OnceLock::new();
    let place = if validators == 4 { &FOUR } else { &SEVEN };
    place.get_or_init(|| {
        let founders = (0..validators).map(|index| Founder {
            account: key(index).account(),
            public_key: (U256::from(1), U256::from(index)),
            power: 10,
        });
        let founders = Founders {
            validators: founders.collect(),
            admin: None,
            epoch_blocks: 10,
        };
        let genesis = ChainGenesis::new(CHAIN_ID, 1, founders).build().unwrap();
        let state = genesis.state();
        let root = Store::in_memory().unwrap().root(&state).unwrap().root;
        let block = genesis.block(root);
        let set = (0..validators).map(|index| Validator {
            account: key(index).account(),
            power: 10,
        });
        Foundation {
            spec: genesis.spec.clone(),
            hash: block.header.hash_slow(),
            block,
            state,
            set: set.collect(),
        }
    })
}
