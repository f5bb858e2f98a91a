//! Hashes of what calls read and answered: taken together, because several at once take less time.

use alloy_primitives::{B256, keccak256};
use assay_runtime::numerics::Engine;
use assay_runtime::numerics::keccak::{LANES, WORTH, keccak256_at_once, permutations};

/// Keeps messages until they are hashed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digests {
    bytes: Vec<u8>,
    /// Is where each message ends.
    ends: Vec<usize>,
}

impl Digests {
    /// Keeps a message.
    pub(crate) fn push(&mut self, message: &[u8]) {
        self.bytes.extend_from_slice(message);
        self.ends.push(self.bytes.len());
    }

    /// Returns the bytes kept.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Hashes all messages, in the order in which they came, and forgets them.
    pub(crate) fn take(&mut self, engine: &Engine) -> Vec<B256> {
        let mut start = 0;
        let messages: Vec<&[u8]> = self
            .ends
            .iter()
            .map(|&end| &self.bytes[std::mem::replace(&mut start, end)..end])
            .collect();
        let digests = keccak256_each(engine, &messages);
        self.bytes.clear();
        self.ends.clear();
        digests
    }
}

/// Hashes messages, those of like length at once where that is faster.
fn keccak256_each(engine: &Engine, messages: &[&[u8]]) -> Vec<B256> {
    let mut digests = vec![B256::ZERO; messages.len()];
    let mut order: Vec<usize> = (0..messages.len()).collect();
    order.sort_by_key(|&at| permutations(messages[at].len()));
    for group in order.chunks(LANES) {
        let mut parts: [&[u8]; LANES] = [&[]; LANES];
        let mut found = [[0; 32]; LANES];
        for (part, &at) in parts.iter_mut().zip(group) {
            *part = messages[at];
        }
        let parts = &parts[..group.len()];
        let work = parts.iter().map(|part| permutations(part.len()));
        let most = work.clone().max().unwrap_or(0);
        let together = work.sum::<usize>() >= WORTH * most
            && keccak256_at_once(engine, parts, &mut found[..group.len()]);
        for ((&at, part), found) in group.iter().zip(parts).zip(found) {
            digests[at] = if together {
                B256::new(found)
            } else {
                keccak256(part)
            };
        }
    }
    digests
}

#[cfg(test)]
mod tests {
    use assay_runtime::numerics::isa::Isa;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn digests_are_keccak256_of_the_messages_in_their_order(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 0..20),
        ) {
            let wanted: Vec<B256> = messages.iter().map(keccak256).collect();
            for isa in Isa::available() {
                let mut digests = Digests::default();
                messages.iter().for_each(|message| digests.push(message));
                prop_assert_eq!(&digests.take(&Engine::new(isa, 1)), &wanted);
                prop_assert_eq!((digests.len(), digests.take(&Engine::single())), (0, vec![]));
            }
        }
    }
}
