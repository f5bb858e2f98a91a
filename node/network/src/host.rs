//! What the network asks of the node it belongs to.

use std::io;

use alloy_primitives::B256;
use bytes::Bytes;

use crate::SinkError;

/// What a node thinks of a transaction a peer sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is new and may wait for a block: it is forwarded.
    Accept,
    /// It is not wanted now (known, stale, unaffordable, no room): it is not forwarded, and the
    /// sender is not to blame, because its view of the chain may be another.
    Ignore,
    /// It could never be valid, on any state (undecodable, bad signature, another chain's id): the
    /// sender checked nothing and is to blame.
    Reject,
}

/// A file of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelFile {
    /// Its size.
    pub size_bytes: u64,
    /// Its BLAKE3 hash.
    pub blake3: [u8; 32],
}

/// A model that is here, as peers ask for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldModel {
    /// Its manifest, whose keccak256 hash is the model's id.
    pub manifest: Bytes,
    /// Its files, in the manifest's order.
    pub files: Vec<ModelFile>,
}

/// The node behind the network. Calls come from threads that may block; none is made inside the
/// task that talks to peers.
pub trait Host: Send + Sync + 'static {
    /// Judges a transaction a peer sent, taking it into the pool when it is accepted. Transactions
    /// come one at a time, in the order they arrived.
    fn transaction(&self, bytes: Bytes) -> Verdict;

    /// Finds a model that is here.
    ///
    /// # Errors
    /// When this machine cannot read it.
    fn model(&self, id: B256) -> io::Result<Option<HeldModel>>;

    /// Reads bytes of a model's files, as if they followed one another; `None` when it is not here.
    ///
    /// # Errors
    /// When this machine cannot read it.
    fn model_chunk(&self, id: B256, offset: u64, length: u32) -> io::Result<Option<Bytes>>;
}

/// What a sink tells of a model whose manifest it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// The model's files, in the manifest's order.
    pub files: Vec<ModelFile>,
    /// Bytes of the files that are here from an earlier attempt.
    pub received_bytes: u64,
}

/// Where a fetched model goes. Calls come in order, from a thread that may block.
pub trait Sink: Send + 'static {
    /// Learns the manifest, whose hash is the id asked for, and says which files must follow.
    ///
    /// # Errors
    /// When the model is not wanted, or this machine fails.
    fn begin(&mut self, manifest: &[u8]) -> Result<Beginning, SinkError>;

    /// Takes the next bytes, each verified against the manifest, and answers the offset wanted
    /// next. That is an earlier one when bytes of an earlier attempt turn out to be wrong.
    ///
    /// # Errors
    /// When this machine fails.
    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<u64, SinkError>;
}
