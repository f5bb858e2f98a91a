//! What must never happen, looked at after every step.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::B256;
use assay_chain::Chain;
use assay_types::{Domain, Validator};

/// Where something may be signed once: node, height, round and step.
pub(super) type Place = (usize, u64, i64, u8);

/// What honest nodes decided and signed so far.
#[derive(Debug)]
pub(super) struct Checks {
    domain: Domain,
    set: Vec<Validator>,
    decided: BTreeMap<u64, (usize, B256)>,
    signed: BTreeMap<Place, B256>,
    /// Certificates that were checked, encoded.
    certificates: BTreeSet<Vec<u8>>,
    /// Newest height that was looked at, by node.
    seen: BTreeMap<usize, u64>,
}

impl Checks {
    pub(super) fn new(domain: Domain, set: Vec<Validator>) -> Self {
        Self {
            domain,
            set,
            decided: BTreeMap::new(),
            signed: BTreeMap::new(),
            certificates: BTreeSet::new(),
            seen: BTreeMap::new(),
        }
    }

    /// Looks at what a node has decided since the last look.
    pub(super) fn decisions(&mut self, node: usize, chain: &Chain) {
        let (first, head) = (
            self.seen.get(&node).map_or(1, |seen| seen + 1),
            chain.head(),
        );
        for height in first..=head.header.number {
            let reader = chain.reader().unwrap();
            let hash = reader.hash(height).unwrap().unwrap();
            let (other, before) = *self.decided.entry(height).or_insert((node, hash));
            assert_eq!(
                before, hash,
                "FORK at height {height}: nodes {other} and {node} decided different blocks"
            );
            let certificate = reader.certificate(height).unwrap();
            let certificate = certificate.expect("a decided block has a certificate");
            assert_eq!((certificate.height, certificate.block_hash), (height, hash));
            if self.certificates.insert(certificate.encode()) {
                let proven = certificate.verify(&self.domain, &self.set);
                assert!(proven.is_ok(), "height {height}, node {node}: {proven:?}");
            }
            self.seen.insert(node, height);
        }
    }

    /// Looks at something a node signed.
    pub(super) fn signature(&mut self, place: Place, digest: B256) {
        let before = *self.signed.entry(place).or_insert(digest);
        assert_eq!(before, digest, "two things are signed at {place:?}");
    }
}
