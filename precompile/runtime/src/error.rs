//! Errors: what is wrong with a model, with an input, or with one operator's arguments.

use std::fmt;

use thiserror::Error;

use crate::dtype::DType;

/// Names a limit of [`crate::Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// Bytes of the model file.
    ModelBytes,
    /// Nodes of all graphs.
    Nodes,
    /// Named values.
    Values,
    /// Dimensions of one tensor.
    Rank,
    /// Elements of one tensor.
    Elements,
    /// Bytes alive at once.
    LiveBytes,
    /// Depth of subgraphs.
    Depth,
    /// Metered work.
    Work,
    /// Bytes of text in string outputs.
    TextBytes,
    /// Iterations of one loop.
    Iterations,
    /// Attributes of one node.
    Attributes,
    /// Bytes of one name.
    NameBytes,
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LimitKind::ModelBytes => "model bytes",
            LimitKind::Nodes => "nodes",
            LimitKind::Values => "values",
            LimitKind::Rank => "rank",
            LimitKind::Elements => "elements of one tensor",
            LimitKind::LiveBytes => "live bytes",
            LimitKind::Depth => "subgraph depth",
            LimitKind::Work => "work units",
            LimitKind::TextBytes => "bytes of text",
            LimitKind::Iterations => "loop iterations",
            LimitKind::Attributes => "attributes of one node",
            LimitKind::NameBytes => "bytes of one name",
        })
    }
}

/// Says what an operator finds wrong with its attributes, shapes or values.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum OpError {
    /// The shape depends on a value that is only known when the model runs.
    #[error("input {input} is only known when the model runs")]
    Unknown {
        /// Position of the input.
        input: usize,
    },
    /// A required input is absent.
    #[error("input {input} is missing")]
    MissingInput {
        /// Position of the input.
        input: usize,
    },
    /// An input is a sequence where a tensor is needed, or the reverse.
    #[error("input {input} must be a {expected}, it is a {got}")]
    Kind {
        /// Position of the input.
        input: usize,
        /// The kind needed.
        expected: &'static str,
        /// The kind found.
        got: &'static str,
    },
    /// The element type is not one the operator takes.
    #[error("needs {what}, got {got}")]
    Type {
        /// What the operator needs.
        what: &'static str,
        /// The type found.
        got: DType,
    },
    /// Two element types that must agree differ.
    #[error("expected {expected} elements, got {got}")]
    ElementType {
        /// The type needed.
        expected: DType,
        /// The type found.
        got: DType,
    },
    /// The shapes do not fit the operator.
    #[error("{why}: {shapes:?}")]
    Shape {
        /// The rule that is broken.
        why: &'static str,
        /// The shapes found.
        shapes: Vec<Vec<usize>>,
    },
    /// An axis lies outside the rank.
    #[error("axis {axis} is outside a tensor of rank {rank}")]
    Axis {
        /// The axis as written.
        axis: i64,
        /// The rank of the tensor.
        rank: usize,
    },
    /// A number is not one the operator takes.
    #[error("{what}: {got}")]
    Value {
        /// The rule that is broken.
        what: &'static str,
        /// The number found.
        got: i64,
    },
    /// An index lies outside its dimension.
    #[error("index {index} is outside a dimension of {dim}")]
    Index {
        /// The index as given.
        index: i64,
        /// The dimension.
        dim: usize,
    },
    /// An integer division or modulo by zero.
    #[error("integer division by zero")]
    DivisionByZero,
    /// A limit is exceeded.
    #[error("{kind}: {got} exceeds the limit of {limit}")]
    Limit {
        /// Which limit.
        kind: LimitKind,
        /// Its value.
        limit: u64,
        /// What was asked for.
        got: u64,
    },
    /// The element count differs from the shape's.
    #[error("{got} elements do not fill the shape {shape:?}")]
    DataLength {
        /// Elements found.
        got: usize,
        /// The shape.
        shape: Vec<usize>,
    },
    /// An attribute is absent, of the wrong kind or out of range.
    #[error("attribute {name}: {why}")]
    Attribute {
        /// The attribute.
        name: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// Two lists of a node that describe the same things have different lengths.
    #[error("attribute {name}: {got} entries, {want} needed")]
    Length {
        /// The attribute.
        name: &'static str,
        /// The entries needed.
        want: usize,
        /// The entries found.
        got: usize,
    },
    /// The nodes of a tree ensemble are no trees.
    #[error("tree ensemble: {0}")]
    Trees(#[from] assay_numerics::tree::SpecError),
    /// The operator, in this form, is not supported.
    #[error("{what} is not supported")]
    Unsupported {
        /// The form that is not supported.
        what: String,
    },
    /// A string that must be a number, a known key or valid text is not.
    #[error("{what}: {got:?}")]
    Text {
        /// The rule that is broken.
        what: &'static str,
        /// The text found.
        got: String,
    },
    /// A node inside a subgraph failed.
    #[error(transparent)]
    Nested(Box<ExecError>),
    /// Building a subgraph failed.
    #[error(transparent)]
    NestedLoad(Box<LoadError>),
}

/// Names a node this runtime refuses, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedNode {
    /// The node's name, or its first output when it has none.
    pub node: String,
    /// The operator with its domain.
    pub op: String,
    /// The opset version the model declares for that domain.
    pub opset: i64,
    /// What is not supported.
    pub why: String,
}

impl fmt::Display for UnsupportedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (node {:?}, opset {}): {}",
            self.op, self.node, self.opset, self.why
        )
    }
}

/// Says why a model file is refused.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum LoadError {
    /// The bytes are not an ONNX model within the limits.
    #[error("not a readable ONNX model: {0}")]
    Decode(#[from] crate::onnx::decode::DecodeError),
    /// The model has no graph.
    #[error("the model has no graph")]
    NoGraph,
    /// The model declares no or an unknown operator set.
    #[error(
        "opset {version} of domain {domain:?} is outside the supported range {oldest} to {newest}; \
         export the model with a supported opset"
    )]
    Opset {
        /// The domain, empty for ai.onnx.
        domain: String,
        /// The version declared.
        version: i64,
        /// The oldest version supported.
        oldest: i64,
        /// The newest version supported.
        newest: i64,
    },
    /// Operators, or forms of them, that are not supported: all of them at once.
    #[error("{} unsupported node(s): {}", .0.len(), list(.0))]
    Unsupported(Vec<UnsupportedNode>),
    /// A node is malformed.
    #[error("{op} (node {node:?}): {source}")]
    Node {
        /// The node's name, or its first output when it has none.
        node: String,
        /// The operator.
        op: String,
        /// What is wrong.
        source: OpError,
    },
    /// Two values have the same name.
    #[error("value {name:?} is defined twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// A node reads a value no earlier node writes: a cycle, a wrong order or a wrong name.
    #[error(
        "{reader} reads {name:?}, which nothing before it writes (nodes must be in topological order)"
    )]
    Undefined {
        /// The value's name.
        name: String,
        /// Who reads it.
        reader: String,
    },
    /// A limit is exceeded.
    #[error("{what}: {kind} {got} exceeds the limit of {limit}")]
    Limit {
        /// What asked for it.
        what: String,
        /// Which limit.
        kind: LimitKind,
        /// Its value.
        limit: u64,
        /// What was asked for.
        got: u64,
    },
    /// A stored tensor is malformed.
    #[error("tensor {name:?}: {why}")]
    Tensor {
        /// The tensor's name.
        name: String,
        /// What is wrong.
        why: TensorError,
    },
    /// An input of the model has a type this runtime does not take.
    #[error("model input {name:?}: {why}")]
    Input {
        /// The input's name.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
}

/// Says what is wrong with a stored tensor.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TensorError {
    /// The element type is undefined, complex or unknown.
    #[error("element type {0} is not supported")]
    Type(i32),
    /// A dimension is negative.
    #[error("dimension {0} is negative")]
    NegativeDim(i64),
    /// The dimensions multiply beyond the limit.
    #[error("shape {shape:?} exceeds the limit of {limit} elements")]
    Elements {
        /// The dimensions.
        shape: Vec<i64>,
        /// The limit.
        limit: u64,
    },
    /// The rank exceeds the limit.
    #[error("rank {rank} exceeds the limit of {limit}")]
    Rank {
        /// The rank.
        rank: usize,
        /// The limit.
        limit: u64,
    },
    /// The stored elements do not fill the shape.
    #[error("{got} stored elements or bytes, {expected} needed")]
    Length {
        /// What the shape needs.
        expected: u64,
        /// What is stored.
        got: u64,
    },
    /// The tensor points to an external file.
    #[error("external data is refused; save the model as one file")]
    External,
    /// A stored number does not fit the element type.
    #[error("stored value {0} does not fit the element type")]
    Range(i64),
    /// A string is not UTF-8.
    #[error("a string is not valid UTF-8")]
    Utf8,
    /// A segment of a larger tensor.
    #[error("segmented tensors are refused")]
    Segment,
    /// A sparse tensor is malformed.
    #[error("malformed sparse tensor")]
    Sparse,
}

/// Says why a run of a loaded model failed. Every variant is a deterministic function of the model
/// and the inputs, so that all validators find the same.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ExecError {
    /// The number of inputs is wrong.
    #[error("the model takes {expected} inputs, got {got}")]
    InputCount {
        /// Inputs of the model.
        expected: usize,
        /// Inputs given.
        got: usize,
    },
    /// An input has the wrong element type.
    #[error("input {input} ({name:?}) must be {expected}, got {got}")]
    InputType {
        /// Position of the input.
        input: usize,
        /// Its name.
        name: String,
        /// The type declared.
        expected: DType,
        /// The type given.
        got: DType,
    },
    /// An input is not of the declared kind (tensor, sequence, optional).
    #[error("input {input} ({name:?}) must be a {expected}")]
    InputKind {
        /// Position of the input.
        input: usize,
        /// Its name.
        name: String,
        /// The kind declared.
        expected: &'static str,
    },
    /// An input has a shape the model does not declare.
    #[error("input {input} ({name:?}) must have the shape {expected}, got {got:?}")]
    InputShape {
        /// Position of the input.
        input: usize,
        /// Its name.
        name: String,
        /// The shape declared, with its symbols.
        expected: String,
        /// The shape given.
        got: Vec<usize>,
    },
    /// A node failed.
    #[error("{op} (node {node:?}): {source}")]
    Node {
        /// The node's name, or its first output when it has none.
        node: String,
        /// The operator.
        op: String,
        /// What is wrong.
        source: OpError,
    },
    /// A limit of the whole run is exceeded.
    #[error("{kind}: {got} exceeds the limit of {limit}")]
    Limit {
        /// Which limit.
        kind: LimitKind,
        /// Its value.
        limit: u64,
        /// What was asked for.
        got: u64,
    },
    /// The cost cannot be bounded before the run, because a shape depends on a computed value.
    #[error(
        "{op} (node {node:?}): the cost depends on values that are only known when the model runs"
    )]
    Unbounded {
        /// The node's name.
        node: String,
        /// The operator.
        op: String,
    },
}

fn list(nodes: &[UnsupportedNode]) -> String {
    nodes
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}
