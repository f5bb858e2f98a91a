//! From model bytes to outputs: parse, validate, plan, cost, run.
//!
//! ```text
//! bytes -> onnx::decode (bounded) -> graph (names become numbers, constants fold, operators built)
//!       -> plan (concrete shapes: every shape, cost and buffer) -> exec (kernels of assay-numerics)
//! ```
//!
//! Everything a foreign model or input can ask for is checked against [`Limits`] before anything is
//! allocated, and every result is a function of model and input alone.

pub mod bundle;
pub mod candle;
pub mod elements;
pub mod identity;
pub mod json;
pub mod manifest;
pub mod onnx;
pub mod ops;
pub mod predict;
pub mod published;
pub mod samples;

mod cost;
mod dtype;
mod error;
mod exec;
mod graph;
mod limits;
mod model;
mod plan;
mod tensor;

pub use assay_numerics as numerics;
pub use cost::Cost;
pub use dtype::DType;
pub use error::{ExecError, LimitKind, LoadError, OpError, TensorError, UnsupportedNode};
pub use graph::{Dim, Graph, Node, Port, PortKind, ValueId};
pub use limits::Limits;
pub use model::{
    Difference, ML_OPSETS, Model, NotComparable, ONNX_OPSETS, Operator, Path, Traced, display_dims,
    first_difference,
};
pub use ops::{Fact, TensorFact};
pub use plan::Plan;
pub use tensor::{Data, Element, Out, Tensor, Value, View, element_count};
