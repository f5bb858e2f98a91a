//! Which registered models a node takes before the chain makes it.

use std::collections::BTreeSet;

use alloy_primitives::B256;

/// What an operator is willing to hold. It concerns models that wait for attestations: one that is
/// active is held by every node that executes blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Policy {
    /// Every model the registry took.
    #[default]
    All,
    /// These models.
    Only(BTreeSet<B256>),
    /// Models as long as all that are here stay below so many bytes.
    UpTo(u64),
}

impl Policy {
    /// Tells whether a model of so many bytes is taken beside the bytes that are here.
    #[must_use]
    pub fn takes(&self, id: B256, size_bytes: u64, held_bytes: u64) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.contains(&id),
            Self::UpTo(limit) => held_bytes.saturating_add(size_bytes) <= *limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_take_what_they_say() {
        let (one, two) = (B256::with_last_byte(1), B256::with_last_byte(2));
        assert!(Policy::All.takes(one, u64::MAX, u64::MAX));
        let only = Policy::Only([one].into());
        assert!(only.takes(one, 1, 0) && !only.takes(two, 1, 0));
        let up_to = Policy::UpTo(10);
        assert!(up_to.takes(one, 4, 6) && !up_to.takes(one, 5, 6));
        assert!(!up_to.takes(one, u64::MAX, u64::MAX));
    }
}
