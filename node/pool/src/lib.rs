//! Transactions that wait for a block: their order, limits and replacement.
//!
//! ```text
//! rpc, network --admit--> Pool --best(base fee)--> Best --next--> builder
//!                          ^------- settle(block) ----------------'
//! ```
//!
//! A sender's transactions go in order of nonce; among senders the one that pays the most comes
//! first, the earlier arrival among equals. What the pool holds is bounded in number and bytes:
//! when it is full the worst-paying transaction makes room, or the newcomer is refused. The pool is
//! pure: accounts and fees are arguments, no clock and no I/O.

mod best;
mod pool;
mod rules;
#[cfg(test)]
mod tests;

pub use best::Best;
pub use pool::{Content, Limits, Pool, TRANSACTION_BYTES_MAX, Waiting};
pub use rules::{Admission, PoolError};
