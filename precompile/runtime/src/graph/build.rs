//! Building a graph: names are resolved, nodes become operators, constant nodes are folded.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::port::{declared_kind, import_port};
use super::readers::Readers;
use super::{Graph, Node, Resolve, Shared, ValueId};
use crate::error::{LimitKind, LoadError, OpError, UnsupportedNode};
use crate::exec;
use crate::limits::Limits;
use crate::onnx::lists::{List, NodeLists};
use crate::onnx::proto::{GraphProto, NodeProto};
use crate::onnx::tensor::{import_sparse, import_tensor};
use crate::ops::{self, NodeCx};
use crate::tensor::Value;

/// Holds the names of one graph while it is built.
pub(super) struct Scope<'p> {
    names: BTreeMap<String, ValueId>,
    constants: Vec<Option<Arc<Value>>>,
    parent: Option<&'p mut (dyn Resolve + 'p)>,
    /// Captured values: (number outside, number here).
    captures: Vec<(ValueId, ValueId)>,
    limits: &'p Limits,
}

impl Resolve for Scope<'_> {
    fn resolve(&mut self, name: &str) -> Option<(ValueId, Option<Arc<Value>>)> {
        if let Some(&id) = self.names.get(name) {
            return Some((id, self.constants.get(id.index()).cloned().flatten()));
        }
        let (outer, constant) = self.parent.as_mut()?.resolve(name)?;
        let inner = ValueId(self.constants.len() as u32);
        self.constants.push(constant.clone());
        self.names.insert(name.to_owned(), inner);
        if constant.is_none() {
            self.captures.push((outer, inner));
        }
        Some((inner, constant))
    }
}

impl Scope<'_> {
    /// Gives back the memory of a constant; its type and shape stay.
    pub(super) fn release(&mut self, name: &str) {
        let id = self.names.get(name);
        if let Some(constant) = id.and_then(|id| self.constants.get_mut(id.index()))
            && let Some(value) = constant.as_deref()
            && let Value::Tensor(tensor) = value
        {
            *constant = Some(Arc::new(Value::Tensor(tensor.husk())));
        }
    }

    fn define(&mut self, name: &str, constant: Option<Arc<Value>>) -> Result<ValueId, LoadError> {
        check_limit(
            "a value's name",
            LimitKind::NameBytes,
            self.limits.name_bytes,
            name.len(),
        )?;
        let count = self.constants.len();
        check_limit(
            "the graph",
            LimitKind::Values,
            self.limits.values,
            count + 1,
        )?;
        let id = ValueId(count as u32);
        if self.names.insert(name.to_owned(), id).is_some() {
            return Err(LoadError::Duplicate {
                name: name.to_owned(),
            });
        }
        self.constants.push(constant);
        Ok(id)
    }
}

/// Builds the main graph of a model.
pub(crate) fn build_graph(proto: &GraphProto, shared: &Shared<'_>) -> Result<Graph, LoadError> {
    let mut unsupported = Vec::new();
    collect_unsupported(proto, shared, 0, &mut unsupported)?;
    if !unsupported.is_empty() {
        return Err(LoadError::Unsupported(unsupported));
    }
    let (graph, _) = build(proto, shared, None, 0)?;
    Ok(graph)
}

/// Builds a subgraph; also returns the values it captured, as numbers of the enclosing graph.
pub(crate) fn build_subgraph<'p>(
    proto: &GraphProto,
    shared: &'p Shared<'_>,
    parent: &'p mut (dyn Resolve + 'p),
    depth: u64,
) -> Result<(Graph, Vec<ValueId>), LoadError> {
    build(proto, shared, Some(parent), depth)
}

fn build<'p>(
    proto: &GraphProto,
    shared: &'p Shared<'_>,
    parent: Option<&'p mut (dyn Resolve + 'p)>,
    depth: u64,
) -> Result<(Graph, Vec<ValueId>), LoadError> {
    check_limit(
        "a subgraph",
        LimitKind::Depth,
        shared.limits.depth,
        depth as usize,
    )?;
    let mut scope = Scope {
        names: BTreeMap::new(),
        constants: Vec::new(),
        parent,
        captures: Vec::new(),
        limits: shared.limits,
    };
    define_initializers(proto, shared, &mut scope, depth)?;
    let mut inputs = Vec::new();
    let mut ports = Vec::new();
    for info in &proto.input {
        // Before IR version 4 every initializer is listed as an input as well; it stays a constant.
        if scope
            .names
            .get(info.name())
            .is_some_and(|id| scope.constants[id.index()].is_some())
        {
            continue;
        }
        let port = import_port(info, shared.limits, depth > 0)?;
        inputs.push(scope.define(info.name(), None)?);
        ports.push(port);
    }
    let mut nodes = Vec::new();
    let mut refused = Vec::new();
    let mut readers = Readers::count(proto);
    readers.release_unread(&mut scope);
    for (place, node) in proto.node.iter().enumerate() {
        let lists = match depth {
            0 => shared.lists.borrow_mut().remove(&place),
            _ => None,
        };
        let lists = lists.unwrap_or_default();
        match build_node(node, lists, shared, &mut scope, depth) {
            Ok(built) => {
                readers.note(node, built.as_ref(), &mut scope);
                nodes.extend(built);
            }
            Err(LoadError::Unsupported(list)) => {
                refused.extend(list);
                // The outputs are defined so that the scan for further unsupported nodes goes on.
                for name in node.output.iter().filter(|name| !name.is_empty()) {
                    scope.define(name, None)?;
                }
            }
            Err(error) => return Err(error),
        }
    }
    if !refused.is_empty() {
        return Err(LoadError::Unsupported(refused));
    }
    let mut outputs = Vec::new();
    for info in &proto.output {
        let (id, _) = scope
            .resolve(info.name())
            .ok_or_else(|| LoadError::Undefined {
                name: info.name().to_owned(),
                reader: "a graph output".to_owned(),
            })?;
        outputs.push((info.name().to_owned(), id));
    }
    let declared = proto
        .output
        .iter()
        .map(|o| declared_kind(o, shared.limits))
        .collect();
    let outer = scope.captures.iter().map(|&(outer, _)| outer).collect();
    inputs.extend(scope.captures.iter().map(|&(_, inner)| inner));
    let graph = Graph {
        inputs,
        ports,
        outputs,
        declared,
        nodes,
        constants: scope.constants,
    };
    Ok((graph, outer))
}

fn define_initializers(
    proto: &GraphProto,
    shared: &Shared<'_>,
    scope: &mut Scope<'_>,
    depth: u64,
) -> Result<(), LoadError> {
    for (index, tensor) in proto.initializer.iter().enumerate() {
        let ready = match depth {
            0 => shared.weights.borrow_mut().remove(&index),
            _ => None,
        };
        let ready = ready.map_or_else(|| import_tensor(tensor, shared.limits), Ok);
        let value = Value::Tensor(ready?);
        scope.define(tensor.name(), Some(Arc::new(value)))?;
    }
    for sparse in &proto.sparse_initializer {
        let name = sparse
            .values
            .as_ref()
            .map(|v| v.name())
            .unwrap_or_default()
            .to_owned();
        let value = Value::Tensor(import_sparse(sparse, shared.limits)?);
        scope.define(&name, Some(Arc::new(value)))?;
    }
    Ok(())
}

/// Builds one node, or folds it into constants and returns `None`.
fn build_node(
    proto: &NodeProto,
    lists: NodeLists,
    shared: &Shared<'_>,
    scope: &mut Scope<'_>,
    depth: u64,
) -> Result<Option<Node>, LoadError> {
    let limits = shared.limits;
    let name = display_name(proto);
    let op_type = display_op(proto);
    check_limit(
        &name,
        LimitKind::Attributes,
        limits.attributes,
        proto.attribute.len(),
    )?;
    let seen = shared.nodes.get() + 1;
    check_limit("the model", LimitKind::Nodes, limits.nodes, seen as usize)?;
    shared.nodes.set(seen);

    // Operators write output 0 without asking whether it is there.
    if proto.output.is_empty() {
        return Err(LoadError::Node {
            node: name,
            op: op_type,
            source: OpError::Value {
                what: "a node must have an output; outputs",
                got: 0,
            },
        });
    }

    let mut inputs = Vec::with_capacity(proto.input.len());
    let mut constants = Vec::with_capacity(proto.input.len());
    for input in &proto.input {
        if input.is_empty() {
            inputs.push(None);
            constants.push(None);
            continue;
        }
        let (id, constant) = scope.resolve(input).ok_or_else(|| LoadError::Undefined {
            name: input.clone(),
            reader: format!("{op_type} (node {name:?})"),
        })?;
        inputs.push(Some(id));
        constants.push(constant);
    }

    let opset = opset_of(shared, proto.domain());
    let entry = ops::find(proto.domain(), proto.op_type(), opset)
        .ok_or_else(|| LoadError::Unsupported(vec![unknown_op(proto, opset)]))?;
    let longest_text = longest_text(proto, &lists);
    let cx = NodeCx::new(proto, lists, opset, &constants, shared, scope, depth);
    let built = (entry.build)(&cx).and_then(|op| cx.finish().map(|captures| (op, captures)));
    let (op, captures) = built.map_err(|source| match source {
        OpError::Unsupported { what } => LoadError::Unsupported(vec![UnsupportedNode {
            node: name.clone(),
            op: op_type.clone(),
            opset,
            why: format!("{what} is not supported"),
        }]),
        OpError::NestedLoad(inner) => *inner,
        source => LoadError::Node {
            node: name.clone(),
            op: op_type.clone(),
            source,
        },
    })?;
    inputs.extend(captures.into_iter().map(Some));

    let foldable = inputs.len() == constants.len()
        && inputs
            .iter()
            .zip(&constants)
            .all(|(i, c)| i.is_none() || c.is_some());
    let mut node = Node {
        name,
        op_type,
        opset,
        inputs,
        outputs: Vec::new(),
        op,
        longest_text,
    };
    let folded = if foldable {
        exec::fold(&node, &constants, proto.output.len(), shared)?
    } else {
        None
    };
    let mut values = folded.map(|values| values.into_iter());
    let was_folded = values.is_some();
    for output in &proto.output {
        let constant = values.as_mut().and_then(Iterator::next).map(Arc::new);
        if output.is_empty() {
            node.outputs.push(None);
        } else {
            node.outputs.push(Some(scope.define(output, constant)?));
        }
    }
    Ok(if was_folded { None } else { Some(node) })
}

/// Finds every node of the model whose operator does not exist here, subgraphs included.
fn collect_unsupported(
    proto: &GraphProto,
    shared: &Shared<'_>,
    depth: u64,
    found: &mut Vec<UnsupportedNode>,
) -> Result<(), LoadError> {
    check_limit(
        "a subgraph",
        LimitKind::Depth,
        shared.limits.depth,
        depth as usize,
    )?;
    for node in &proto.node {
        let opset = opset_of(shared, node.domain());
        if ops::find(node.domain(), node.op_type(), opset).is_none() {
            found.push(unknown_op(node, opset));
        }
        for attribute in &node.attribute {
            for graph in attribute.g.as_deref().into_iter().chain(&attribute.graphs) {
                collect_unsupported(graph, shared, depth + 1, found)?;
            }
        }
    }
    Ok(())
}

fn longest_text(proto: &NodeProto, lists: &NodeLists) -> usize {
    let texts = proto.attribute.iter().flat_map(|attribute| {
        let tensor = attribute.t.iter().flat_map(|tensor| &tensor.string_data);
        attribute.s.iter().chain(&attribute.strings).chain(tensor)
    });
    let on_wire = lists.values().map(List::longest_text);
    texts
        .map(|text| text.len())
        .chain(on_wire)
        .max()
        .unwrap_or(0)
}

fn unknown_op(node: &NodeProto, opset: i64) -> UnsupportedNode {
    UnsupportedNode {
        node: display_name(node),
        op: display_op(node),
        opset,
        why: "the operator is not supported in this opset".to_owned(),
    }
}

fn opset_of(shared: &Shared<'_>, domain: &str) -> i64 {
    let domain = if domain == "ai.onnx" { "" } else { domain };
    shared.opsets.get(domain).copied().unwrap_or(0)
}

fn display_name(node: &NodeProto) -> String {
    let name = if node.name().is_empty() {
        node.output.first().map(String::as_str).unwrap_or_default()
    } else {
        node.name()
    };
    name.chars().take(120).collect()
}

fn display_op(node: &NodeProto) -> String {
    let op = if node.domain().is_empty() || node.domain() == "ai.onnx" {
        node.op_type().to_owned()
    } else {
        format!("{}.{}", node.domain(), node.op_type())
    };
    op.chars().take(120).collect()
}

fn check_limit(what: &str, kind: LimitKind, limit: u64, got: usize) -> Result<(), LoadError> {
    if got as u64 > limit {
        return Err(LoadError::Limit {
            what: what.to_owned(),
            kind,
            limit,
            got: got as u64,
        });
    }
    Ok(())
}
