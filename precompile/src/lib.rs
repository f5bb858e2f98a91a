//! The EVM surface of inference.
