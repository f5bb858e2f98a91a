//! Votes of the validators on recomputed blocks: the adapter of the Malachite engine.
//!
//! ```text
//! engine --asks--> application --build, execute, commit_decided--> chain service --> store
//!    |                  |
//!    |                  +-- proposals: streams of parts, kept before they are voted for
//!    +-- votes, proposals, certificates over its own peer-to-peer network, signed by signer
//! ```
//!
//! The engine knows no blocks: it votes on a block's hash. The application translates its questions
//! into the calls every driver makes, and answers only what it recomputed itself: a block whose
//! execution gives other roots is invalid, a fault of this machine is no answer at all. The
//! application is synchronous and runs on a thread of its own; only engine.rs and lib.rs know tokio.

mod application;
mod clock;
mod codec;
mod context;
mod divergence;
mod engine;
mod evidence;
mod members;
mod proposal;
mod rules;
mod signer;
#[cfg(test)]
mod simulation;
mod status;
mod streams;
mod wire;

pub use application::{Application, ApplicationError, Recompute, Stopped, Waiting};
pub use codec::Codec;
pub use context::{Account, Assay, BlockId, Height, Part, Proposal, Seal, Vote};
pub use engine::{ConsensusError, Network, Peers, Running, Settings, log_in, start, start_with};
pub use members::{Member, Members};
pub use signer::{KeyFile, LastSigned, Sign, SignError, ValidatorKey, Voter};
pub use status::{Status, engine_metrics};
