//! The validated graph: named values become numbers, nodes become operators, constants are folded.

mod build;
mod port;
mod readers;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use assay_numerics::Engine;

pub(crate) use self::build::{build_graph, build_subgraph};
use crate::dtype::DType;
use crate::limits::Limits;
use crate::onnx::lists::NodeLists;
use crate::ops::{Fact, Op};
use crate::tensor::{Tensor, Value};

/// Numbers a value of one graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ValueId(pub(crate) u32);

impl ValueId {
    /// Returns the number as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Describes one dimension of a declared input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// A fixed size.
    Fixed(usize),
    /// A named size: the same wherever the name appears.
    Symbol(String),
    /// Any size.
    Any,
}

/// Describes what a model input or output holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortKind {
    /// A tensor; `None` dims mean any rank.
    Tensor {
        /// The element type.
        dtype: DType,
        /// The declared dimensions.
        dims: Option<Vec<Dim>>,
    },
    /// A sequence.
    Sequence,
    /// An optional value.
    Optional,
}

/// Describes a model input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: PortKind,
}

/// Holds one operator with the values it reads and writes.
pub struct Node {
    /// The node's name, or its first output when it has none.
    pub name: String,
    /// The operator's name with its domain.
    pub op_type: String,
    /// The version of the operator's domain that the model imports.
    pub opset: i64,
    /// Values read, captured ones last; `None` where an optional input is left out.
    pub inputs: Vec<Option<ValueId>>,
    /// Values written; `None` where an output is not wanted.
    pub outputs: Vec<Option<ValueId>>,
    /// The operator.
    pub op: Box<dyn Op>,
    /// Bytes of the longest text in the attributes, which may reach a string output.
    pub longest_text: usize,
}

/// Holds a graph whose nodes are in execution order.
pub struct Graph {
    /// Formal inputs, then (in subgraphs) captured ones.
    pub inputs: Vec<ValueId>,
    /// Declarations of the formal inputs.
    pub ports: Vec<Port>,
    /// Outputs with their names.
    pub outputs: Vec<(String, ValueId)>,
    /// What the model declares of its outputs, for reporting only.
    pub declared: Vec<Option<PortKind>>,
    /// Nodes in execution order; folded nodes are gone.
    pub nodes: Vec<Node>,
    /// Constants by value number.
    pub constants: Vec<Option<Arc<Value>>>,
}

/// Holds what every graph of a model shares while it is built.
pub(crate) struct Shared<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) engine: &'a Engine,
    pub(crate) opsets: BTreeMap<String, i64>,
    /// Nodes built so far, in all graphs.
    pub(crate) nodes: Cell<u64>,
    /// Work and bytes left for folding constants.
    pub(crate) fold_work: Cell<u64>,
    pub(crate) fold_bytes: Cell<u64>,
    /// Large initializers of the main graph, by their place in its list, until they are defined.
    pub(crate) weights: RefCell<BTreeMap<usize, Tensor>>,
    /// Long lists of the main graph's nodes, by their node's place, until it is built.
    pub(crate) lists: RefCell<BTreeMap<usize, NodeLists>>,
}

/// Resolves the names a subgraph reads of its enclosing graphs.
pub(crate) trait Resolve {
    /// Finds a value by name, capturing it from further outside when needed.
    fn resolve(&mut self, name: &str) -> Option<(ValueId, Option<Arc<Value>>)>;
}

/// Describes a value that is there.
pub(crate) fn fact_of(value: &Value) -> Fact {
    match value {
        Value::Tensor(tensor) => Fact::tensor(tensor.dtype(), tensor.shape()),
        Value::Sequence(_) => Fact::Sequence,
        Value::Optional(_) => Fact::Optional,
    }
}
