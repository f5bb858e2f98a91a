//! Transactions that wait long are sent to peers again: one may have been away, or dropped them.

use std::{sync::Arc, time::Duration};

use alloy_eips::eip2718::Encodable2718 as _;
use assay_network::Network;
use assay_pool::{Pool, Waiting};
use bytes::Bytes;

/// How often; longer than the network takes a message for a duplicate (60 s).
const EVERY: Duration = Duration::from_secs(90);
/// Transactions sent again at a time.
const MOST: usize = 512;

/// Sends again what waits since the last time, as long as the process lives.
pub(crate) fn start(pool: Arc<Pool>, network: Network) {
    tokio::spawn(async move {
        let mut before = pool.arrivals();
        loop {
            tokio::time::sleep(EVERY).await;
            for transaction in waiting_since(&pool, before) {
                if let Err(error) = network.broadcast(transaction) {
                    tracing::debug!(%error, "transaction not sent again");
                    break;
                }
            }
            before = pool.arrivals();
        }
    });
}

/// Lists the executable transactions that arrived before so many had, the oldest first.
fn waiting_since(pool: &Pool, arrivals: u64) -> Vec<Bytes> {
    let (pending, _) = pool.content();
    let mut old: Vec<Arc<Waiting>> = pending
        .into_values()
        .flat_map(|of_sender| of_sender.into_values())
        .filter(|one| one.arrival < arrivals)
        .collect();
    old.sort_by_key(|one| one.arrival);
    old.truncate(MOST);
    let encoded = old.iter().map(|one| one.transaction.encoded_2718().into());
    encoded.collect()
}
