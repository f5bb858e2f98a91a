//! `assay_`: models, their uploads and quotes, answers without a transaction, inference records,
//! validators. docs/spec/rpc.md describes each method with an example.

mod errors;
pub(crate) mod infer;
pub(crate) mod models;
pub(crate) mod receipts;
pub(crate) mod records;
mod registry;
pub(crate) mod replay;
pub(crate) mod status;
#[cfg(test)]
mod tests;
pub(crate) mod trace;
pub(crate) mod upload;
pub(crate) mod votes;
