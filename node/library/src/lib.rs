//! The models of a node among others: what the chain asks it to hold, where the bytes come from, and
//! what it promises about them.
//!
//! ```text
//! registry's events and storage --> Catalog --> Librarian --fetch--> network --> Models
//!                                                  |
//! evidence the node keeps --------------------------'--attest, accuse--> pool, network
//! peers --transactions, requests for models--> Door --> pool, Models
//! ```
//!
//! Active models are always fetched: without their bytes this node could not execute blocks.
//! Registered ones are fetched as far as the operator's policy goes; a validator attests to those
//! whose bytes loaded here and whose samples gave the same bits. What was attested is read from the
//! registry's storage, so a restart forgets nothing and repeats nothing. The validator's account also
//! proves equivocations that its node saw: a look around after each block finds both. Nothing here
//! runs on the thread that executes blocks.

mod accuse;
mod attest;
mod catalog;
mod door;
mod librarian;
mod policy;
mod sender;
mod sink;

pub use attest::Attestation;
pub use catalog::{Entry, LibraryError};
pub use door::Door;
pub use librarian::{Librarian, Standing};
pub use policy::Policy;
pub use sender::{Attester, SignFailed};
