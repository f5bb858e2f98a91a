//! Nodes of a network: their configuration, the command that runs one, and a network on one machine.

pub(crate) mod config;
pub(crate) mod founding;
pub(crate) mod localnet;
pub(crate) mod processes;
pub(crate) mod run;
