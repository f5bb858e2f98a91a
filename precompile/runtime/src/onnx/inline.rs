//! Model-local functions: every call is replaced by the function's nodes under fresh names.

use std::collections::BTreeMap;

use prost::Message as _;

use super::proto::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    ValueInfoProto,
};
use crate::error::{LimitKind, LoadError, UnsupportedNode};
use crate::limits::Limits;

/// Encoded bytes of all nodes that calls expand to.
const EXPANDED_BYTES: u64 = 64 << 20;

/// Names a function: domain, name and overload.
type Key = (String, String, String);

/// Replaces every call of a model-local function by the function's body.
pub(crate) fn inline(mut model: ModelProto, limits: &Limits) -> Result<ModelProto, LoadError> {
    if model.functions.is_empty() {
        return Ok(model);
    }
    let mut functions = BTreeMap::new();
    for function in std::mem::take(&mut model.functions) {
        import_opsets(&function, &mut model.opset_import)?;
        let key = (
            plain(function.domain()),
            function.name().to_owned(),
            function.overload().to_owned(),
        );
        let name = function.name().to_owned();
        if functions.insert(key, function).is_some() {
            return Err(LoadError::Duplicate { name });
        }
    }
    let mut inliner = Inliner {
        functions: &functions,
        limits,
        calls: 0,
        nodes: 0,
        bytes: 0,
        depth: 0,
    };
    if let Some(graph) = model.graph.as_mut() {
        inliner.expand_graph(graph)?;
    }
    Ok(model)
}

/// Gives the default domain one spelling.
fn plain(domain: &str) -> String {
    if domain == "ai.onnx" {
        String::new()
    } else {
        domain.to_owned()
    }
}

/// Adds a function's operator sets to the model's; both must mean the same version.
fn import_opsets(
    function: &FunctionProto,
    imports: &mut Vec<OperatorSetIdProto>,
) -> Result<(), LoadError> {
    for import in &function.opset_import {
        let known = imports
            .iter()
            .find(|known| plain(known.domain()) == plain(import.domain()));
        match known {
            None => imports.push(import.clone()),
            Some(known) if known.version() == import.version() => {}
            Some(known) => {
                let why = format!(
                    "the function imports opset {} of domain {:?}, the model imports {}",
                    import.version(),
                    import.domain(),
                    known.version()
                );
                return Err(LoadError::Unsupported(vec![UnsupportedNode {
                    node: function.name().to_owned(),
                    op: "function".to_owned(),
                    opset: import.version(),
                    why,
                }]));
            }
        }
    }
    Ok(())
}

/// Expands calls and counts what they expand to.
struct Inliner<'a> {
    functions: &'a BTreeMap<Key, FunctionProto>,
    limits: &'a Limits,
    calls: u64,
    nodes: u64,
    bytes: u64,
    depth: u64,
}

impl Inliner<'_> {
    fn expand_graph(&mut self, graph: &mut GraphProto) -> Result<(), LoadError> {
        let nodes = std::mem::take(&mut graph.node);
        let mut expanded = Vec::with_capacity(nodes.len());
        for node in nodes {
            self.expand_node(node, &mut expanded)?;
        }
        graph.node = expanded;
        Ok(())
    }

    fn expand_node(
        &mut self,
        mut node: NodeProto,
        out: &mut Vec<NodeProto>,
    ) -> Result<(), LoadError> {
        for attribute in &mut node.attribute {
            for graph in attribute
                .g
                .as_deref_mut()
                .into_iter()
                .chain(&mut attribute.graphs)
            {
                self.expand_graph(graph)?;
            }
        }
        let key = (
            plain(node.domain()),
            node.op_type().to_owned(),
            node.overload().to_owned(),
        );
        let Some(function) = self.functions.get(&key) else {
            out.push(node);
            return Ok(());
        };
        self.depth += 1;
        self.limit(&node, LimitKind::Depth, self.limits.depth, self.depth)?;
        self.call(&node, function, out)?;
        self.depth -= 1;
        Ok(())
    }

    /// Writes a function's nodes with the call's names and attributes put in.
    fn call(
        &mut self,
        call: &NodeProto,
        function: &FunctionProto,
        out: &mut Vec<NodeProto>,
    ) -> Result<(), LoadError> {
        self.calls += 1;
        if call.input.len() > function.input.len() || call.output.len() > function.output.len() {
            return Err(LoadError::Undefined {
                name: format!(
                    "an input or output beyond those of function {:?}",
                    function.name()
                ),
                reader: format!("{} (node {:?})", call.op_type(), call.name()),
            });
        }
        let mut names = Names {
            map: BTreeMap::new(),
            prefix: format!("f{}.", self.calls),
        };
        for (at, formal) in function.input.iter().enumerate() {
            // An input that the call leaves out stays left out wherever the body reads it.
            names
                .map
                .insert(formal, call.input.get(at).cloned().unwrap_or_default());
        }
        let mut passed = Vec::new();
        for (formal, actual) in function.output.iter().zip(&call.output) {
            if actual.is_empty() {
                continue;
            }
            // An output that is an input, or another output too, needs a node to carry it over.
            match names.map.get(formal.as_str()) {
                Some(from) => passed.push(identity(from, actual)),
                None => {
                    names.map.insert(formal, actual.clone());
                }
            }
        }
        for node in &function.node {
            let mut node = node.clone();
            self.nodes += 1;
            self.limit(call, LimitKind::Nodes, self.limits.nodes, self.nodes)?;
            self.bytes = self.bytes.saturating_add(node.encoded_len() as u64);
            self.limit(call, LimitKind::ModelBytes, EXPANDED_BYTES, self.bytes)?;
            names.rename_node(&mut node, call, function);
            self.expand_node(node, out)?;
        }
        out.extend(passed);
        Ok(())
    }

    fn limit(
        &self,
        call: &NodeProto,
        kind: LimitKind,
        limit: u64,
        got: u64,
    ) -> Result<(), LoadError> {
        if got > limit {
            let what = format!("a call of function {:?}", call.op_type());
            return Err(LoadError::Limit {
                what,
                kind,
                limit,
                got,
            });
        }
        Ok(())
    }
}

fn identity(from: &str, to: &str) -> NodeProto {
    NodeProto {
        op_type: Some("Identity".to_owned()),
        input: vec![from.to_owned()],
        output: vec![to.to_owned()],
        ..Default::default()
    }
}

/// Maps the names of a function's body to those of one call.
struct Names<'a> {
    map: BTreeMap<&'a str, String>,
    prefix: String,
}

impl Names<'_> {
    fn rename(&self, name: &mut String) {
        if name.is_empty() {
            return;
        }
        *name = match self.map.get(name.as_str()) {
            Some(actual) => actual.clone(),
            None => format!("{}{name}", self.prefix),
        };
    }

    fn rename_node(&self, node: &mut NodeProto, call: &NodeProto, function: &FunctionProto) {
        node.input
            .iter_mut()
            .chain(&mut node.output)
            .for_each(|name| self.rename(name));
        if let Some(name) = &mut node.name {
            name.insert_str(0, &self.prefix);
        }
        let attributes = std::mem::take(&mut node.attribute);
        for mut attribute in attributes {
            if attribute.ref_attr_name().is_empty() {
                for graph in attribute
                    .g
                    .as_deref_mut()
                    .into_iter()
                    .chain(&mut attribute.graphs)
                {
                    self.rename_graph(graph, call, function);
                }
                node.attribute.push(attribute);
            } else if let Some(given) = given(&attribute, call, function) {
                node.attribute.push(given);
            }
        }
    }

    /// Renames a subgraph of the body: a body captures nothing but its function's own names.
    fn rename_graph(&self, graph: &mut GraphProto, call: &NodeProto, function: &FunctionProto) {
        let rename = |info: &mut ValueInfoProto| {
            if let Some(name) = &mut info.name {
                self.rename(name);
            }
        };
        graph
            .input
            .iter_mut()
            .chain(&mut graph.output)
            .for_each(rename);
        for tensor in &mut graph.initializer {
            if let Some(name) = &mut tensor.name {
                self.rename(name);
            }
        }
        for sparse in &mut graph.sparse_initializer {
            if let Some(name) = sparse
                .values
                .as_mut()
                .and_then(|values| values.name.as_mut())
            {
                self.rename(name);
            }
        }
        for node in &mut graph.node {
            self.rename_node(node, call, function);
        }
    }
}

/// Finds the value of an attribute that refers to one of the function's; a default may stand in.
fn given(
    attribute: &AttributeProto,
    call: &NodeProto,
    function: &FunctionProto,
) -> Option<AttributeProto> {
    let name = attribute.ref_attr_name();
    let named = |list: &[AttributeProto]| list.iter().find(|a| a.name() == name).cloned();
    let value = named(&call.attribute).or_else(|| named(&function.attribute_proto))?;
    Some(AttributeProto {
        name: attribute.name.clone(),
        ..value
    })
}

#[cfg(test)]
mod tests {
    use super::super::proto::attribute_proto::AttributeType;
    use super::*;

    fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        NodeProto {
            op_type: Some(op.to_owned()),
            input: own(inputs),
            output: own(outputs),
            ..Default::default()
        }
    }

    fn int(name: &str, value: Option<i64>, refers: Option<&str>) -> AttributeProto {
        AttributeProto {
            name: Some(name.to_owned()),
            r#type: Some(AttributeType::Int as i32),
            i: value,
            ref_attr_name: refers.map(str::to_owned),
            ..Default::default()
        }
    }

    fn function(name: &str, nodes: Vec<NodeProto>) -> FunctionProto {
        FunctionProto {
            name: Some(name.to_owned()),
            domain: Some("local".to_owned()),
            input: vec!["a".to_owned(), "b".to_owned()],
            output: vec!["r".to_owned()],
            node: nodes,
            ..Default::default()
        }
    }

    fn call(name: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
        NodeProto {
            domain: Some("local".to_owned()),
            ..node(name, inputs, outputs)
        }
    }

    fn expand(
        functions: Vec<FunctionProto>,
        nodes: Vec<NodeProto>,
    ) -> Result<Vec<NodeProto>, LoadError> {
        let graph = GraphProto {
            node: nodes,
            ..Default::default()
        };
        let model = ModelProto {
            graph: Some(graph),
            functions,
            ..Default::default()
        };
        Ok(inline(model, &Limits::default())?.graph.expect("kept").node)
    }

    #[test]
    fn calls_become_nodes_under_fresh_names() {
        let body = vec![
            node("Add", &["a", "b"], &["t"]),
            node("Relu", &["t"], &["r"]),
        ];
        let nodes = vec![
            call("F", &["x", "x"], &["y"]),
            call("F", &["y", "x"], &["z"]),
        ];
        let expanded = expand(vec![function("F", body)], nodes).expect("expands");
        assert_eq!(
            expanded,
            [
                node("Add", &["x", "x"], &["f1.t"]),
                node("Relu", &["f1.t"], &["y"]),
                node("Add", &["y", "x"], &["f2.t"]),
                node("Relu", &["f2.t"], &["z"]),
            ]
        );
    }

    #[test]
    fn attributes_come_from_the_call_or_the_default() {
        let mut concat = node("Concat", &["a", "b"], &["r"]);
        concat.attribute.push(int("axis", None, Some("along")));
        let mut with_default = function("F", vec![concat]);
        with_default
            .attribute_proto
            .push(int("along", Some(7), None));
        let mut given = call("F", &["x", "x"], &["y"]);
        given.attribute.push(int("along", Some(1), None));
        let nodes = vec![given, call("F", &["x", "x"], &["z"])];
        let expanded = expand(vec![with_default], nodes).expect("expands");
        let axes: Vec<_> = expanded
            .iter()
            .map(|node| node.attribute[0].clone())
            .collect();
        assert_eq!(
            axes,
            [int("axis", Some(1), None), int("axis", Some(7), None)]
        );
    }

    #[test]
    fn inputs_left_out_and_outputs_passed_through() {
        let mut through = function("F", vec![node("Clip", &["a", "b"], &["t"])]);
        through.output = vec!["t".to_owned(), "a".to_owned()];
        let expanded =
            expand(vec![through], vec![call("F", &["x"], &["y", "z"])]).expect("expands");
        assert_eq!(
            expanded,
            [
                node("Clip", &["x", ""], &["y"]),
                node("Identity", &["x"], &["z"])
            ]
        );
    }

    #[test]
    fn recursion_and_explosion_meet_the_limits() {
        let recursive = function("F", vec![call("F", &["a", "b"], &["r"])]);
        let error = expand(vec![recursive], vec![call("F", &["x"], &["y"])]).expect_err("endless");
        assert!(matches!(
            error,
            LoadError::Limit {
                kind: LimitKind::Depth,
                ..
            }
        ));
        let level = |i: usize| {
            let inner = format!("F{}", i - 1);
            let calls = (0..16).map(|_| call(&inner, &["a", "b"], &["r"]));
            function(&format!("F{i}"), calls.collect())
        };
        let mut functions: Vec<_> = (1..10).map(level).collect();
        functions.push(function("F0", vec![node("Relu", &["a"], &["r"])]));
        let error = expand(functions, vec![call("F9", &["x"], &["y"])]).expect_err("16^9 nodes");
        assert!(matches!(
            error,
            LoadError::Limit {
                kind: LimitKind::Nodes,
                ..
            }
        ));
    }

    #[test]
    fn functions_of_another_opset_are_refused() {
        let opset = |version| OperatorSetIdProto {
            version: Some(version),
            ..Default::default()
        };
        let mut other = function("F", vec![]);
        other.opset_import.push(opset(13));
        let model = ModelProto {
            opset_import: vec![opset(17)],
            functions: vec![other],
            ..Default::default()
        };
        let error = inline(model, &Limits::default()).expect_err("two meanings");
        assert!(error.to_string().contains("imports opset 13"), "{error}");
    }
}
