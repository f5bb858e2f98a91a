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

#[cfg(test)]
mod tests {
    use alloy_consensus::{SignableTransaction as _, TxEip1559};
    use alloy_primitives::{Address, Signature, U256};
    use assay_pool::Admission;
    use assay_types::{Account, Transaction};

    use super::*;

    fn admit(pool: &Pool, sender: u8, nonce: u64) -> Bytes {
        let fields = TxEip1559 {
            chain_id: 1,
            nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 100,
            value: U256::from(sender),
            ..TxEip1559::default()
        };
        let transaction = Transaction::Eip1559(fields.into_signed(Signature::test_signature()));
        let encoded = transaction.encoded_2718().into();
        let admission = Admission {
            account: Account {
                balance: U256::from(10_u64.pow(18)),
                ..Account::default()
            },
            chain_id: 1,
            block_gas_limit: 60_000_000,
            gas_cap: None,
            intrinsic_gas: 21_000,
            blobs: false,
        };
        let sender = Address::repeat_byte(sender);
        pool.admit(transaction, sender, &admission).unwrap();
        encoded
    }

    #[test]
    fn what_waits_since_the_time_before_is_sent_again_the_oldest_first() {
        let pool = Pool::default();
        let second_sender_first = admit(&pool, 2, 0);
        let first_sender = admit(&pool, 1, 0);
        // A gap before it: not executable, and nobody's business yet.
        admit(&pool, 3, 5);
        let before = pool.arrivals();
        admit(&pool, 4, 0);
        assert_eq!(
            waiting_since(&pool, before),
            [second_sender_first, first_sender]
        );
        assert!(waiting_since(&pool, 0).is_empty());
    }
}
