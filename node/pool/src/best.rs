//! The order in which waiting transactions are offered to a block.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    sync::Arc,
};

use alloy_primitives::Address;

use crate::Waiting;

/// Waiting transactions, best first: each sender's in order of nonce, the highest tip first among
/// senders, the earlier arrival among equals.
#[derive(Debug)]
pub struct Best {
    base_fee: u64,
    /// First transaction of each sender: tip, arrival, sender.
    heads: BinaryHeap<(u128, Reverse<u64>, Address)>,
    chains: HashMap<Address, VecDeque<Arc<Waiting>>>,
}

impl Best {
    pub(crate) fn new(chains: impl Iterator<Item = Vec<Arc<Waiting>>>, base_fee: u64) -> Self {
        let mut best = Self {
            base_fee,
            heads: BinaryHeap::new(),
            chains: HashMap::new(),
        };
        for chain in chains {
            if let Some(sender) = chain.first().map(|waiting| waiting.sender) {
                best.chains.insert(sender, chain.into());
                best.push_head(sender);
            }
        }
        best
    }

    /// Leaves out the rest of a sender's transactions.
    pub fn skip_sender(&mut self, sender: Address) {
        self.chains.remove(&sender);
    }

    fn push_head(&mut self, sender: Address) {
        let head = self.chains.get(&sender).and_then(VecDeque::front);
        // A fee below the base fee stops the sender's later transactions too.
        if let Some((tip, arrival)) = head.and_then(|w| Some((w.tip(self.base_fee)?, w.arrival))) {
            self.heads.push((tip, Reverse(arrival), sender));
        }
    }
}

impl Iterator for Best {
    type Item = Arc<Waiting>;

    fn next(&mut self) -> Option<Arc<Waiting>> {
        loop {
            let (_, _, sender) = self.heads.pop()?;
            let next = self.chains.get_mut(&sender).and_then(VecDeque::pop_front);
            if next.is_some() {
                self.push_head(sender);
                return next;
            }
        }
    }
}
