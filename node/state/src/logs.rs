//! Finds the blocks that may hold logs of a query, by address and topic.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256};
use redb::ReadOnlyTable;

use crate::{
    Reader, StateError,
    codec::{block_of_key, log_address_key, log_topic_key},
    tables,
};

/// What logs are asked for: one of the addresses, and in each position one of the topics. An empty
/// set stands for any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Addresses that may have emitted the log.
    pub addresses: BTreeSet<Address>,
    /// Topics by position.
    pub topics: [BTreeSet<B256>; 4],
}

impl LogQuery {
    /// Tells whether a log answers the query.
    #[must_use]
    pub fn matches(&self, log: &alloy_primitives::Log) -> bool {
        let address = self.addresses.is_empty() || self.addresses.contains(&log.address);
        address
            && self.topics.iter().enumerate().all(|(position, wanted)| {
                let topic = log.topics().get(position);
                wanted.is_empty() || topic.is_some_and(|topic| wanted.contains(topic))
            })
    }
}

impl Reader {
    /// Lists the blocks from `first` to `last` that may hold logs of a query, in order. Every
    /// block that does is among them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn blocks_with_logs(
        &self,
        query: &LogQuery,
        first: u64,
        last: u64,
    ) -> Result<Vec<u64>, StateError> {
        let mut found: Option<BTreeSet<u64>> = None;
        if !query.addresses.is_empty() {
            let table = self.transaction.open_table(tables::LOG_ADDRESSES)?;
            let ranges = query.addresses.iter().map(|address| {
                (
                    log_address_key(*address, first),
                    log_address_key(*address, last),
                )
            });
            found = Some(blocks_in(&table, ranges)?);
        }
        for (position, topics) in (0_u8..).zip(&query.topics).filter(|(_, t)| !t.is_empty()) {
            let table = self.transaction.open_table(tables::LOG_TOPICS)?;
            let key = |topic, block| log_topic_key(position, topic, block);
            let ranges = topics
                .iter()
                .map(|topic| (key(*topic, first), key(*topic, last)));
            let blocks = blocks_in(&table, ranges)?;
            found = Some(match found {
                Some(found) => found.intersection(&blocks).copied().collect(),
                None => blocks,
            });
        }
        Ok(match found {
            Some(blocks) => blocks.into_iter().collect(),
            None => (first..=last.min(self.tip())).collect(),
        })
    }
}

fn blocks_in<const N: usize>(
    table: &ReadOnlyTable<[u8; N], ()>,
    ranges: impl Iterator<Item = ([u8; N], [u8; N])>,
) -> Result<BTreeSet<u64>, StateError> {
    let mut blocks = BTreeSet::new();
    for (first, last) in ranges.filter(|(first, last)| first <= last) {
        for entry in table.range::<[u8; N]>(first..=last)? {
            blocks.insert(block_of_key(&entry?.0.value())?);
        }
    }
    Ok(blocks)
}
