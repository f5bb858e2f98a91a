//! Operators: the contract each one fulfils, and the table that finds them.
//!
//! One family per file. A family ends with a `TABLE` of [`Entry`]s; [`find`] looks them up by domain,
//! name and opset. An operator sees concrete shapes only: the planner calls [`Op::infer`] and
//! [`Op::cost`] before anything is allocated, then the executor calls [`Op::run`] with outputs
//! allocated to the inferred shapes.

#[macro_use]
mod moves;

mod arith;
mod attention;
mod attributes;
mod bits;
pub(crate) mod cast;
mod causal;
mod compare;
mod context;
mod control;
mod conv;
mod dense;
mod determinant;
#[cfg(test)]
mod dynamic_tests;
mod einsum;
mod generate;
mod loss;
mod map;
mod matmul;
mod mel;
mod ml;
mod norm;
mod patch;
#[cfg(test)]
mod pointwise_tests;
mod pool_window;
mod pooling;
mod power;
mod quantize;
mod quantized;
mod random;
mod rank;
mod recurrent;
mod reduce;
mod region;
mod resize;
mod rotary;
mod sample;
mod select;
mod sequence;
mod shape;
mod signal;
mod softmax;
mod stack;
mod suppress;
#[cfg(test)]
mod testing;
mod text;
mod tfidf;
mod training;
mod window;
mod work;

pub use attributes::NodeCx;
pub use context::{CostCx, Finish, InferCx, Ins, Known, RunCx, Scratch, Subgraph};

use assay_numerics::elementwise::{Arith, Map};

use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Out, Value};

/// Describes a value before it exists.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A tensor of a known type and shape.
    Tensor(TensorFact),
    /// A sequence; its length and elements are known only when the model runs.
    Sequence,
    /// An optional value.
    Optional,
    /// Nothing is known before the run.
    Unknown,
}

/// Describes a tensor before it exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorFact {
    /// The element type.
    pub dtype: DType,
    /// The shape; an upper bound when `exact` is false.
    pub shape: Vec<usize>,
    /// Whether the shape is exact rather than a bound.
    pub exact: bool,
}

impl Fact {
    /// Describes a tensor of exactly this shape.
    pub fn tensor(dtype: DType, shape: impl Into<Vec<usize>>) -> Fact {
        Fact::Tensor(TensorFact {
            dtype,
            shape: shape.into(),
            exact: true,
        })
    }

    /// Describes a tensor of at most this shape.
    pub fn at_most(dtype: DType, shape: impl Into<Vec<usize>>) -> Fact {
        Fact::Tensor(TensorFact {
            dtype,
            shape: shape.into(),
            exact: false,
        })
    }
}

impl TensorFact {
    /// Returns the number of elements, saturating.
    pub fn count(&self) -> u64 {
        self.shape
            .iter()
            .fold(1u64, |n, &d| n.saturating_mul(d as u64))
    }

    /// Returns the bytes in memory, saturating.
    pub fn size_bytes(&self) -> u64 {
        self.count().saturating_mul(self.dtype.size_bytes() as u64)
    }
}

/// Computes one node. Implementations are pure: same inputs, same bits, on every machine.
pub trait Op: Send + Sync {
    /// Infers the outputs from the inputs' types and shapes (and values, where they decide shapes).
    /// Allocates nothing proportional to the shapes and multiplies with checks.
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError>;

    /// Counts the work for these shapes.
    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError>;

    /// Writes the outputs, which are allocated to the inferred shapes with arbitrary contents.
    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let _ = (cx, ins, outs);
        Err(OpError::Unsupported {
            what: "running a dynamic operator with fixed outputs".into(),
        })
    }

    /// Says whether the operator makes its own outputs (data-dependent shapes, sequences, strings
    /// with control flow) through [`Op::run_dynamic`].
    fn is_dynamic(&self) -> bool {
        false
    }

    /// Makes the outputs of a dynamic operator. Checks `cx.limits()` before it allocates.
    fn run_dynamic(&self, cx: &mut RunCx<'_>, ins: Values<'_>) -> Result<Vec<Value>, OpError> {
        let _ = (cx, ins);
        Err(OpError::Unsupported {
            what: "running a fixed operator with its own outputs".into(),
        })
    }

    /// Says that output 0 is input 0's elements, unchanged, under the inferred shape: nothing runs.
    fn is_alias(&self) -> bool {
        false
    }

    /// Names what this operator does to its input, when another may do it while writing that.
    fn epilogue(&self) -> Option<Epilogue> {
        None
    }

    /// Says whether the operator can do the work of an epilogue, with the same operations in the
    /// same order, so the same bits; see [`RunCx::finish`].
    fn accepts(&self, epilogue: Epilogue) -> bool {
        let _ = epilogue;
        false
    }

    /// Gives what the operator does to single f32 elements, when it does nothing else: a plan may then
    /// run it piece by piece together with its neighbours.
    fn pass(&self) -> Option<Pass<'_>> {
        None
    }

    /// Gives the outputs when the inputs' shapes alone decide them, as for `Shape` and `Size`.
    fn known(&self, cx: &InferCx<'_>) -> Option<Vec<Value>> {
        let _ = cx;
        None
    }

    /// Bounds the bytes held while the operator runs on one thread besides its inputs and outputs:
    /// padded copies, operands packed for one call, scores. What narrower floats are widened to is
    /// counted for every operator alike and left out here.
    fn temporary_bytes(&self, cx: &CostCx<'_>) -> Result<u64, OpError> {
        let _ = cx;
        Ok(0)
    }

    /// Says that a constant input is no longer read after the node is built (its weights were
    /// packed), so that its memory can be given back.
    fn releases(&self, input: usize) -> bool {
        let _ = input;
        false
    }
}

/// Borrows the inputs of a dynamic operator; `None` where an optional one is left out.
pub type Values<'a> = &'a [Option<&'a Value>];

/// Names an operator that can run as the end of the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epilogue {
    /// Adds its second input.
    Add,
    /// Replaces negative values by zero.
    Relu,
}

/// Is an operator on single elements.
pub enum Pass<'a> {
    /// Joins its two inputs.
    Combine(Arith),
    /// Maps its only input.
    Map(Map<'a>),
}

/// Names one operator and how to build it.
pub struct Entry {
    /// The domain, empty for ai.onnx.
    pub domain: &'static str,
    /// The operator's name.
    pub name: &'static str,
    /// The oldest opset in which the operator exists.
    pub since: i64,
    /// Builds the operator for one node.
    pub build: fn(&NodeCx<'_>) -> Result<Box<dyn Op>, OpError>,
}

impl Entry {
    /// Names an operator of ai.onnx.
    pub(crate) const fn onnx(
        name: &'static str,
        since: i64,
        build: fn(&NodeCx<'_>) -> Result<Box<dyn Op>, OpError>,
    ) -> Entry {
        Entry {
            domain: "",
            name,
            since,
            build,
        }
    }

    /// Names an operator of ai.onnx.ml.
    pub(crate) const fn ml(
        name: &'static str,
        since: i64,
        build: fn(&NodeCx<'_>) -> Result<Box<dyn Op>, OpError>,
    ) -> Entry {
        Entry {
            domain: "ai.onnx.ml",
            name,
            since,
            build,
        }
    }
}

/// Every family's table.
#[rustfmt::skip]
const FAMILIES: &[&[Entry]] = &[
    ml::TABLE,
    shape::TABLE,
    matmul::TABLE, conv::TABLE, attention::TABLE, recurrent::TABLE, quantize::TABLE, quantized::TABLE,
    rotary::TABLE, einsum::TABLE, patch::TABLE, sample::TABLE, region::TABLE,
    causal::TABLE, mel::TABLE,
    moves::arrange::TABLE, moves::concat::TABLE, moves::gather::TABLE, moves::pad::TABLE,
    moves::repeat::TABLE, moves::reshape::TABLE, moves::scatter::TABLE, moves::slice::TABLE,
    moves::transpose::TABLE,
    control::TABLE, generate::TABLE, select::TABLE, sequence::TABLE, suppress::TABLE,
    resize::TABLE, text::TABLE, tfidf::TABLE,
    arith::TABLE, bits::TABLE, cast::TABLE, compare::TABLE, map::TABLE, norm::TABLE,
    pooling::TABLE, power::TABLE, rank::TABLE, reduce::TABLE, softmax::TABLE,
    determinant::TABLE, loss::TABLE, random::TABLE, signal::TABLE, training::TABLE,
];

/// Finds an operator; `None` when it does not exist in that opset or is not supported.
pub(crate) fn find(domain: &str, name: &str, opset: i64) -> Option<&'static Entry> {
    let domain = if domain == "ai.onnx" { "" } else { domain };
    FAMILIES
        .iter()
        .flat_map(|table| table.iter())
        .find(|entry| entry.domain == domain && entry.name == name && entry.since <= opset)
}

/// Resolves an axis that may count from the end.
pub(crate) fn axis_in(axis: i64, rank: usize) -> Result<usize, OpError> {
    let signed = rank as i64;
    if axis < -signed || axis >= signed {
        return Err(OpError::Axis { axis, rank });
    }
    Ok(if axis < 0 {
        (axis + signed) as usize
    } else {
        axis as usize
    })
}

/// Joins two shapes by ONNX's (NumPy's) broadcasting rule.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, OpError> {
    let rank = a.len().max(b.len());
    let at = |shape: &[usize], i: usize| {
        (i + shape.len())
            .checked_sub(rank)
            .and_then(|j| shape.get(j).copied())
            .unwrap_or(1)
    };
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(OpError::Shape {
                why: "shapes do not broadcast",
                shapes: vec![a.to_vec(), b.to_vec()],
            }),
        })
        .collect()
}
