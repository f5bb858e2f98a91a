//! The two hashes that name a model and its feature schema.

use alloy_primitives::{B256, keccak256};

/// Names a model in consensus: the keccak256 of its manifest's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelId(pub B256);

impl ModelId {
    /// Computes the id of the model whose manifest has these bytes.
    pub fn of_manifest(bytes: &[u8]) -> Self {
        Self(keccak256(bytes))
    }
}

impl std::fmt::Display for ModelId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Names a feature schema: the keccak256 of the manifest's `schema` member, byte for byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaHash(pub B256);

impl SchemaHash {
    /// Computes the hash of a schema's canonical bytes.
    pub fn of_schema(bytes: &[u8]) -> Self {
        Self(keccak256(bytes))
    }
}

impl std::fmt::Display for SchemaHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
