//! What a proposed block must be beyond what Ethereum's rules say.

use assay_types::{Block, Header};

/// Seconds a block may be ahead of a validator's clock.
const MOST_AHEAD_S: u64 = 1;

/// Says which rule of this network a block breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// The gas limit moved.
    #[error("gas limit is {found}, every block has {wanted}")]
    GasLimit {
        /// The block's.
        found: u64,
        /// The chain's.
        wanted: u64,
    },
    /// The block comes from the future.
    #[error(
        "timestamp is {found}, {now} is now, and its parent's is {parent}: the proposer's clock is fast or this one slow, run an NTP client and see `assay doctor --rpc URL`"
    )]
    Future {
        /// The block's.
        found: u64,
        /// This machine's clock.
        now: u64,
        /// The parent's.
        parent: u64,
    },
    /// A field that has one value here has another.
    #[error("{0} must be empty or zero on this network")]
    NotEmpty(&'static str),
}

/// Checks a block's fields that a proposer could choose and must not.
///
/// Spec: docs/spec/consensus.md, Blocks.
pub(crate) fn check(block: &Block, parent: &Header) -> Result<(), Broken> {
    let header = &block.header;
    if header.gas_limit != parent.gas_limit {
        return Err(Broken::GasLimit {
            found: header.gas_limit,
            wanted: parent.gas_limit,
        });
    }
    let withdrawals = block.body.withdrawals.as_ref();
    let blobs = block.body.transactions.iter().any(|one| one.is_eip4844());
    let beacon = header.parent_beacon_block_root.unwrap_or_default();
    let fields = [
        ("mixHash", header.mix_hash.is_zero()),
        ("parentBeaconBlockRoot", beacon.is_zero()),
        ("extraData", header.extra_data.is_empty()),
        (
            "withdrawals",
            withdrawals.is_none_or(|list| list.is_empty()),
        ),
        ("blob transactions", !blobs),
    ];
    match fields.into_iter().find(|(_, empty)| !empty) {
        Some((field, _)) => Err(Broken::NotEmpty(field)),
        None => Ok(()),
    }
}

/// Checks that a block is not from the future. Blocks faster than one a second push their
/// timestamps ahead of the clock; a second after the parent is always allowed.
pub(crate) fn check_time(header: &Header, parent: &Header, now: u64) -> Result<(), Broken> {
    let latest = now
        .saturating_add(MOST_AHEAD_S)
        .max(parent.timestamp.saturating_add(1));
    match header.timestamp <= latest {
        true => Ok(()),
        false => Err(Broken::Future {
            found: header.timestamp,
            now,
            parent: parent.timestamp,
        }),
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;

    use super::*;

    #[test]
    fn fields_without_a_choice_are_checked() {
        let parent = Header {
            gas_limit: 60,
            ..Header::default()
        };
        let block = |change: fn(&mut Block)| {
            let mut block = Block::new(parent.clone(), Default::default());
            change(&mut block);
            check(&block, &parent)
        };
        assert_eq!(block(|_| {}), Ok(()));
        assert_eq!(
            block(|block| block.header.mix_hash = B256::repeat_byte(1)),
            Err(Broken::NotEmpty("mixHash"))
        );
        assert_eq!(
            block(|block| block.header.extra_data = vec![1].into()),
            Err(Broken::NotEmpty("extraData"))
        );
        assert!(matches!(
            block(|block| block.header.gas_limit = 61),
            Err(Broken::GasLimit {
                found: 61,
                wanted: 60
            })
        ));
    }

    #[test]
    fn clock_bounds_the_future_and_fast_chains_go_on() {
        let at = |timestamp| Header {
            timestamp,
            ..Header::default()
        };
        assert_eq!(check_time(&at(101), &at(50), 100), Ok(()));
        assert!(check_time(&at(102), &at(50), 100).is_err());
        assert_eq!(check_time(&at(201), &at(200), 100), Ok(()));
        assert!(check_time(&at(202), &at(200), 100).is_err());
    }
}
