//! What a builder sees of its node: typed attributes, the opset, constant inputs, subgraphs.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::OpError;
use crate::graph::{self, Resolve, Shared, ValueId};
use crate::onnx::lists::{List, NodeLists};
use crate::onnx::proto::attribute_proto::AttributeType;
use crate::onnx::proto::{AttributeProto, NodeProto};
use crate::onnx::tensor::import_tensor;
use crate::ops::Subgraph;
use crate::tensor::{Tensor, Value};

/// Gives a builder typed access to one node. Attributes that no builder reads are refused after the
/// build, so a form of an operator that was forgotten is never computed wrongly.
pub struct NodeCx<'a> {
    node: &'a NodeProto,
    opset: i64,
    constants: &'a [Option<Arc<Value>>],
    shared: &'a Shared<'a>,
    scope: RefCell<&'a mut dyn Resolve>,
    depth: u64,
    /// Lists left on the wire, until they are given back.
    lists: RefCell<Option<NodeLists>>,
    used: RefCell<BTreeSet<&'static str>>,
    captures: RefCell<Vec<ValueId>>,
}

impl<'a> NodeCx<'a> {
    pub(crate) fn new(
        node: &'a NodeProto,
        lists: NodeLists,
        opset: i64,
        constants: &'a [Option<Arc<Value>>],
        shared: &'a Shared<'a>,
        scope: &'a mut dyn Resolve,
        depth: u64,
    ) -> Self {
        NodeCx {
            node,
            opset,
            constants,
            shared,
            scope: RefCell::new(scope),
            depth,
            lists: RefCell::new(Some(lists)),
            used: RefCell::default(),
            captures: RefCell::default(),
        }
    }

    /// Returns the opset version of the node's domain.
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// Returns the operator's name.
    pub fn op_type(&self) -> &'a str {
        self.node.op_type()
    }

    /// Returns the number of inputs, absent ones in the middle included.
    pub fn inputs(&self) -> usize {
        self.node.input.len()
    }

    /// Says whether an input is given.
    pub fn has_input(&self, input: usize) -> bool {
        self.node
            .input
            .get(input)
            .is_some_and(|name| !name.is_empty())
    }

    /// Returns the number of outputs asked for, unnamed ones in the middle included.
    pub fn outputs(&self) -> usize {
        self.node.output.len()
    }

    /// Says whether an output is asked for.
    pub fn has_output(&self, output: usize) -> bool {
        self.node
            .output
            .get(output)
            .is_some_and(|name| !name.is_empty())
    }

    /// Borrows an input's tensor when it is a constant.
    pub fn constant(&self, input: usize) -> Option<&Tensor> {
        self.constants.get(input)?.as_deref()?.as_tensor()
    }

    /// Shares an input's value when it is a constant.
    pub fn constant_value(&self, input: usize) -> Option<Arc<Value>> {
        self.constants.get(input)?.clone()
    }

    /// Refuses the node when it has more inputs or outputs than the operator takes.
    pub fn arity(
        &self,
        inputs: std::ops::RangeInclusive<usize>,
        outputs: usize,
    ) -> Result<(), OpError> {
        if !inputs.contains(&self.inputs()) {
            return Err(OpError::Value {
                what: "unexpected number of inputs",
                got: self.inputs() as i64,
            });
        }
        if self.outputs() > outputs {
            return Err(OpError::Value {
                what: "unexpected number of outputs",
                got: self.outputs() as i64,
            });
        }
        Ok(())
    }

    /// Says whether an attribute is given.
    pub fn has(&self, name: &'static str) -> bool {
        self.find(name).is_some()
    }

    /// Accepts an attribute without using it, because it does not change the result.
    pub fn ignore(&self, name: &'static str) {
        self.used.borrow_mut().insert(name);
    }

    /// Reads an integer attribute.
    pub fn int(&self, name: &'static str) -> Result<Option<i64>, OpError> {
        self.typed(name, AttributeType::Int, |a| a.i)
    }

    /// Reads an integer attribute or gives its default.
    pub fn int_or(&self, name: &'static str, default: i64) -> Result<i64, OpError> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    /// Reads an integer attribute that is 0 or 1.
    pub fn flag(&self, name: &'static str, default: bool) -> Result<bool, OpError> {
        match self.int(name)? {
            None => Ok(default),
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(_) => Err(OpError::Attribute {
                name,
                why: "must be 0 or 1",
            }),
        }
    }

    /// Reads an integer attribute that must be given and positive.
    pub fn positive(&self, name: &'static str) -> Result<usize, OpError> {
        self.int(name)?
            .and_then(|value| usize::try_from(value).ok())
            .filter(|value| *value > 0)
            .ok_or(OpError::Attribute {
                name,
                why: "must be given and positive",
            })
    }

    /// Reads a float attribute.
    pub fn float(&self, name: &'static str) -> Result<Option<f32>, OpError> {
        self.typed(name, AttributeType::Float, |a| a.f)
    }

    /// Reads a float attribute or gives its default.
    pub fn float_or(&self, name: &'static str, default: f32) -> Result<f32, OpError> {
        Ok(self.float(name)?.unwrap_or(default))
    }

    /// Reads a string attribute.
    pub fn string(&self, name: &'static str) -> Result<Option<String>, OpError> {
        match self.typed(name, AttributeType::String, |a| a.s.clone())? {
            None => Ok(None),
            Some(bytes) => Ok(Some(utf8(name, &bytes)?.to_owned())),
        }
    }

    /// Reads a string attribute or gives its default.
    pub fn string_or(&self, name: &'static str, default: &str) -> Result<String, OpError> {
        Ok(self.string(name)?.unwrap_or_else(|| default.to_owned()))
    }

    /// Reads a list of integers.
    pub fn ints(&self, name: &'static str) -> Result<Option<Vec<i64>>, OpError> {
        self.ints_into(name)
    }

    /// Reads a list of integers into a collection of the builder's own.
    pub fn ints_into<C: FromIterator<i64>>(
        &self,
        name: &'static str,
    ) -> Result<Option<C>, OpError> {
        self.list(
            name,
            AttributeType::Ints,
            |list| list.ints().collect(),
            |attribute| attribute.ints.iter().copied().collect(),
        )
    }

    /// Reads a list of floats.
    pub fn floats(&self, name: &'static str) -> Result<Option<Vec<f32>>, OpError> {
        self.list(
            name,
            AttributeType::Floats,
            |list| list.floats().collect(),
            |attribute| attribute.floats.clone(),
        )
    }

    /// Reads a list of strings.
    pub fn strings(&self, name: &'static str) -> Result<Option<Vec<String>>, OpError> {
        self.strings_as(name, |text| Ok(text.to_owned()))
    }

    /// Reads a list of strings, each as something else.
    pub fn strings_as<T>(
        &self,
        name: &'static str,
        read: impl Fn(&str) -> Result<T, OpError>,
    ) -> Result<Option<Vec<T>>, OpError> {
        let read = |bytes: &[u8]| read(utf8(name, bytes)?);
        self.list(
            name,
            AttributeType::Strings,
            |list| list.strings().map(read).collect(),
            |attribute| attribute.strings.iter().map(|bytes| read(bytes)).collect(),
        )?
        .transpose()
    }

    /// Gives back the memory of the lists that were left on the wire.
    ///
    /// # Panics
    /// Reading a list after this panics: builders call it after their last one.
    pub fn release_lists(&self) {
        *self.lists.borrow_mut() = None;
    }

    /// Reads a list where it lies: on the wire or in the decoded message.
    fn list<T>(
        &self,
        name: &'static str,
        kind: AttributeType,
        on_wire: impl FnOnce(&List) -> T,
        decoded: impl FnOnce(&AttributeProto) -> T,
    ) -> Result<Option<T>, OpError> {
        let place = self.node.attribute.iter().position(|a| a.name() == name);
        let lists = self.lists.borrow();
        let lists = lists.as_ref();
        let lists = lists.expect("invariant: lists are read before they are given back");
        let list = place.and_then(|place| lists.get(&place));
        self.typed(name, kind, |attribute| {
            Some(match list {
                Some(list) => on_wire(list),
                None => decoded(attribute),
            })
        })
    }

    /// Reads a tensor attribute.
    pub fn tensor(&self, name: &'static str) -> Result<Option<Tensor>, OpError> {
        match self.typed(name, AttributeType::Tensor, |a| a.t.as_deref())? {
            None => Ok(None),
            Some(proto) => import_tensor(proto, self.shared.limits)
                .map(Some)
                .map_err(|source| OpError::NestedLoad(Box::new(source))),
        }
    }

    /// Reads a sparse tensor attribute, made dense.
    pub fn sparse_tensor(&self, name: &'static str) -> Result<Option<Tensor>, OpError> {
        match self.typed(name, AttributeType::SparseTensor, |a| {
            a.sparse_tensor.as_deref()
        })? {
            None => Ok(None),
            Some(proto) => crate::onnx::tensor::import_sparse(proto, self.shared.limits)
                .map(Some)
                .map_err(|source| OpError::NestedLoad(Box::new(source))),
        }
    }

    /// Builds the subgraph of an attribute; what it reads of the enclosing graph becomes further
    /// inputs of this node, which the [`Subgraph`] finds again.
    pub fn subgraph(&self, name: &'static str) -> Result<Option<Subgraph>, OpError> {
        let Some(proto) = self.typed(name, AttributeType::Graph, |a| a.g.as_deref())? else {
            return Ok(None);
        };
        let mut scope = self.scope.borrow_mut();
        let (graph, captured) =
            graph::build_subgraph(proto, self.shared, &mut **scope, self.depth + 1)
                .map_err(|source| OpError::NestedLoad(Box::new(source)))?;
        let mut captures = self.captures.borrow_mut();
        let first = self.node.input.len() + captures.len();
        let subgraph = Subgraph::new(graph, first, captured.len());
        captures.extend(captured);
        Ok(Some(subgraph))
    }

    /// Returns the values captured by subgraphs, and refuses attributes no builder read.
    pub(crate) fn finish(self) -> Result<Vec<ValueId>, OpError> {
        let used = self.used.into_inner();
        for attribute in &self.node.attribute {
            if !used.contains(attribute.name()) {
                return Err(OpError::Unsupported {
                    what: format!("attribute {:?}", attribute.name()),
                });
            }
        }
        Ok(self.captures.into_inner())
    }

    fn find(&self, name: &'static str) -> Option<&'a AttributeProto> {
        self.used.borrow_mut().insert(name);
        self.node.attribute.iter().find(|a| a.name() == name)
    }

    fn typed<T>(
        &self,
        name: &'static str,
        kind: AttributeType,
        read: impl FnOnce(&'a AttributeProto) -> Option<T>,
    ) -> Result<Option<T>, OpError> {
        let Some(attribute) = self.find(name) else {
            return Ok(None);
        };
        if !attribute.ref_attr_name().is_empty() {
            return Err(OpError::Attribute {
                name,
                why: "refers to a function's attribute",
            });
        }
        // IR versions before 2 left the type out; every supported opset states it.
        if attribute.r#type() != kind {
            return Err(OpError::Attribute {
                name,
                why: "has the wrong kind",
            });
        }
        match read(attribute) {
            Some(value) => Ok(Some(value)),
            // proto3 leaves out a zero, proto2 writers may leave out the field as well.
            None => Err(OpError::Attribute {
                name,
                why: "has no value",
            }),
        }
    }
}

fn utf8<'b>(name: &'static str, bytes: &'b [u8]) -> Result<&'b str, OpError> {
    std::str::from_utf8(bytes).map_err(|_| OpError::Attribute {
        name,
        why: "is not valid UTF-8",
    })
}
