//! `eth_`: one file per subject.

pub(crate) mod block;
pub(crate) mod call;
pub(crate) mod chain;
pub(crate) mod fork;
pub(crate) mod logs;
pub(crate) mod message;
pub(crate) mod send;
pub(crate) mod sign;
pub(crate) mod simulate;
pub(crate) mod state;
