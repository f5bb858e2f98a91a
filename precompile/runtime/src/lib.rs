//! From model bytes to outputs: parse, validate, plan, cost, run.

pub mod onnx;
