//! The seam of execution: who watches a run sees what each node has written, before it is read.

use crate::graph::{Graph, Node};
use crate::plan::Step;
use crate::tensor::{Data, Out, Value};

/// Watches a run. `()` watches nothing and costs nothing: its runs are compiled without the seam.
pub(crate) trait Watch {
    /// Says whether anything is to be seen.
    const WATCHES: bool;

    /// Sees that a node has run, and the nodes whose work its step did before it.
    fn ran(&mut self, at: usize, node: &Node, before: &[u32]);

    /// Sees a tensor of output `output` of the node that ran last; a sequence comes element by element.
    fn wrote(&mut self, output: usize, tensor: Out<'_>);
}

impl Watch for () {
    const WATCHES: bool = false;

    fn ran(&mut self, _: usize, _: &Node, _: &[u32]) {}

    fn wrote(&mut self, _: usize, _: Out<'_>) {}
}

/// Shows what a step of a fixed plan has written.
pub(super) fn show_step<W: Watch>(graph: &Graph, step: &Step, slots: &mut [Data], watch: &mut W) {
    let (at, before) = match step.joined.split_last() {
        None => (step.node, Vec::new()),
        Some((last, between)) => (*last, [&[step.node], between].concat()),
    };
    let node = &graph.nodes[at as usize];
    watch.ran(at as usize, node, &before);
    for (output, (id, target)) in node.outputs.iter().zip(&step.outs).enumerate() {
        if id.is_some() {
            let (shape, data) = (&target.shape, &mut slots[target.slot as usize]);
            watch.wrote(output, Out { shape, data });
        }
    }
}

/// Shows the values a node has computed.
pub(super) fn show_values<W: Watch>(graph: &Graph, at: usize, values: &mut [Value], watch: &mut W) {
    let node = &graph.nodes[at];
    watch.ran(at, node, &[]);
    for (output, (id, value)) in node.outputs.iter().zip(values).enumerate() {
        if id.is_some() {
            show_value(output, value, watch);
        }
    }
}

fn show_value<W: Watch>(output: usize, value: &mut Value, watch: &mut W) {
    match value {
        Value::Tensor(tensor) => watch.wrote(output, tensor.out()),
        Value::Sequence(values) => values
            .iter_mut()
            .for_each(|value| show_value(output, value, watch)),
        Value::Optional(inner) => {
            if let Some(value) = inner {
                show_value(output, value, watch);
            }
        }
    }
}
