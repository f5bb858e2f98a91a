//! From model bytes to outputs: parse, validate, plan, cost, run.

pub mod bundle;
pub mod identity;
pub mod json;
pub mod manifest;
pub mod onnx;
pub mod samples;
