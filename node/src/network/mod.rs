//! Nodes of a network: their configuration, the command that runs one, and a network on one machine.

pub(crate) mod config;
pub(crate) mod founding;
pub(crate) mod init;
pub(crate) mod localnet;
pub(crate) mod preflight;
pub(crate) mod processes;
mod repeat;
pub(crate) mod run;
