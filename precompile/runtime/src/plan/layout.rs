//! Laying out the steps and buffers of a graph whose shapes are all exact.

use std::sync::Arc;

use super::walk::Walk;
use super::{Arg, Finish, Fixed, Place, Step, Target, widened_bytes};
use crate::dtype::DType;
use crate::error::{ExecError, LimitKind};
use crate::graph::{Graph, Node, ValueId};
use crate::limits::Limits;
use crate::ops::{Epilogue, Fact, TensorFact};
use crate::tensor::{Value, element_count};

fn is_exact_tensor(fact: &Fact) -> bool {
    matches!(fact, Fact::Tensor(fact) if fact.exact)
}

/// Lays out steps and buffers, or gives `None` when a shape is not exact.
pub(super) fn fix(graph: &Graph, walk: &Walk, limits: &Limits) -> Result<Option<Fixed>, ExecError> {
    let fixed = graph.nodes.iter().enumerate().all(|(i, node)| {
        walk.evaluated[i]
            || ((!node.op.is_dynamic() || node.op.is_alias())
                && walk.written[i].iter().all(is_exact_tensor)
                && node
                    .inputs
                    .iter()
                    .flatten()
                    .all(|id| is_exact_tensor(&walk.fact(*id))))
    });
    let tensors = graph
        .inputs
        .iter()
        .chain(graph.outputs.iter().map(|(_, id)| id))
        .all(|id| matches!(walk.fact(*id), Fact::Tensor(_)));
    if !fixed || !tensors {
        return Ok(None);
    }
    Layout::new(graph, walk).build(limits).map(Some)
}

/// Assigns buffers by lifetime.
pub(super) struct Layout<'a> {
    pub(super) graph: &'a Graph,
    pub(super) walk: &'a Walk,
    pub(super) places: Vec<Option<Place>>,
    /// By value: readers left; aliases count for the value whose buffer they share.
    pub(super) readers: Vec<u32>,
    /// By value: the value whose buffer it shares.
    pub(super) owner: Vec<u32>,
    slots: Vec<(DType, usize)>,
    free: Vec<u32>,
    locals: Vec<Arc<Value>>,
    /// By value: the last step that reads it under its own name.
    pub(super) reader: Vec<Option<usize>>,
    /// By node: whether the step of a node before it does its work.
    pub(super) done: Vec<bool>,
    /// The most bytes that one step holds besides the buffers.
    temporary: u64,
}

impl<'a> Layout<'a> {
    fn new(graph: &'a Graph, walk: &'a Walk) -> Self {
        let count = graph.constants.len();
        let mut layout = Layout {
            graph,
            walk,
            places: vec![None; count],
            readers: vec![0; count],
            owner: (0..count as u32).collect(),
            slots: Vec::new(),
            free: Vec::new(),
            locals: Vec::new(),
            reader: vec![None; count],
            done: vec![false; graph.nodes.len()],
            temporary: 0,
        };
        for (i, id) in graph.inputs.iter().enumerate() {
            layout.places[id.index()] = Some(Place::Input(i as u32));
        }
        for index in 0..count {
            if graph.constants[index].is_some() {
                layout.places[index] = Some(Place::Constant(index as u32));
            } else if let Some(value) = &walk.values[index] {
                layout.places[index] = Some(Place::Local(layout.locals.len() as u32));
                layout.locals.push(value.clone());
            }
        }
        layout
    }

    fn build(mut self, limits: &Limits) -> Result<Fixed, ExecError> {
        for (i, node) in self.graph.nodes.iter().enumerate() {
            if !self.walk.evaluated[i] && node.op.is_alias() {
                self.share(node);
            }
        }
        for (i, node) in self.graph.nodes.iter().enumerate() {
            if !self.walk.evaluated[i] && !node.op.is_alias() {
                for id in node.inputs.iter().flatten() {
                    self.readers[self.owner[id.index()] as usize] += 1;
                    self.reader[id.index()] = Some(i);
                }
            }
        }
        for (_, id) in &self.graph.outputs {
            // Outputs stay until they are copied out.
            self.readers[self.owner[id.index()] as usize] += 1;
        }
        let mut steps = Vec::new();
        for (i, node) in self.graph.nodes.iter().enumerate() {
            if self.walk.evaluated[i] || self.done[i] {
                continue;
            }
            if node.op.is_alias() {
                self.alias(node);
            } else {
                steps.push(self.step(i, node));
            }
        }
        let live = self.slots.iter().fold(0u64, |sum, (dtype, len)| {
            sum.saturating_add((*len as u64).saturating_mul(dtype.size_bytes() as u64))
        });
        let live = live.saturating_add(self.temporary);
        if live > limits.live_bytes {
            return Err(ExecError::Limit {
                kind: LimitKind::LiveBytes,
                limit: limits.live_bytes,
                got: live,
            });
        }
        let outputs = self
            .graph
            .outputs
            .iter()
            .map(|(_, id)| self.arg(*id))
            .collect();
        Ok(Fixed {
            steps,
            slots: self.slots.iter().map(|(dtype, _)| *dtype).collect(),
            bytes: live,
            locals: self.locals,
            outputs,
        })
    }

    /// Lets output 0 of an alias share its input's buffer.
    fn share(&mut self, node: &Node) {
        if let (Some(Some(from)), Some(Some(to))) = (node.inputs.first(), node.outputs.first()) {
            self.owner[to.index()] = self.owner[from.index()];
        }
    }

    fn alias(&mut self, node: &Node) {
        if let (Some(Some(from)), Some(Some(to))) = (node.inputs.first(), node.outputs.first()) {
            self.places[to.index()] = self.places[from.index()];
        }
    }

    fn step(&mut self, index: usize, node: &Node) -> Step {
        let ins = node
            .inputs
            .iter()
            .map(|id| id.map(|id| self.arg(id)))
            .collect();
        let facts: Vec<(usize, Fact)> = node
            .inputs
            .iter()
            .enumerate()
            .filter_map(|(at, id)| Some((at, self.walk.fact((*id)?))))
            .collect();
        let read = facts.iter().map(|(at, fact)| (*at, fact));
        let widened = widened_bytes(node, read, &self.walk.written[index]);
        let temporary = widened.saturating_add(self.walk.temporaries[index]);
        self.temporary = self.temporary.max(temporary);
        let (finish, mut joined) = self.finish(index);
        let mut chain = Vec::new();
        if joined.is_empty() {
            chain = self.chain(index);
            joined.extend(chain.iter().map(|link| link.node));
        }
        let last = joined.last().map_or(index, |last| *last as usize);
        let outputs = &self.graph.nodes[last].outputs;
        let outs: Box<[Target]> = self.walk.written[last]
            .iter()
            .zip(outputs)
            .map(|(fact, id)| self.target(fact, *id))
            .collect();
        // Outputs nobody reads give their buffers back at once, inputs when their last reader ran.
        for (id, target) in outputs.iter().zip(&outs) {
            if id.is_none_or(|id| self.readers[id.index()] == 0) {
                self.free.push(target.slot);
            }
        }
        for id in node.inputs.iter().flatten() {
            self.read(*id);
        }
        for link in &chain {
            // The value that runs through has no buffer; only what is joined to it is given back.
            for id in self.graph.nodes[link.node as usize].inputs.iter().flatten() {
                if self.places[id.index()].is_some() {
                    self.read(*id);
                }
            }
        }
        Step {
            chain: chain.into(),
            node: index as u32,
            joined: joined.into(),
            ins,
            outs,
            finish,
        }
    }

    /// Finds the nodes whose work a step can do while it writes: an `Add` of a constant vector, then
    /// a `Relu`, each the only reader of what comes before it. Returns what is left to do and those
    /// nodes. Only types that are not rounded between nodes qualify.
    fn finish(&mut self, index: usize) -> (Finish, Vec<u32>) {
        let (mut finish, mut joined, mut last) = (Finish::default(), Vec::new(), index);
        while let Some((next, epilogue, addend)) = self.epilogue(last) {
            let fits = match epilogue {
                Epilogue::Add => finish.add.is_none() && addend.is_some(),
                Epilogue::Relu => true,
            };
            if !fits || !self.graph.nodes[index].op.accepts(epilogue) {
                break;
            }
            match epilogue {
                Epilogue::Add => finish.add = addend,
                Epilogue::Relu => finish.relu = true,
            }
            self.done[next] = true;
            joined.push(next as u32);
            last = next;
            if finish.relu {
                break;
            }
        }
        (finish, joined)
    }

    /// Finds the node that alone reads a node's only output and could run as its end, and what it
    /// adds when that is a constant vector along the last axis.
    fn epilogue(&self, node: usize) -> Option<(usize, Epilogue, Option<Arg>)> {
        let &[Some(value)] = self.graph.nodes[node].outputs.as_slice() else {
            return None;
        };
        let at = value.index();
        if self.readers[at] != 1 || self.owner[at] as usize != at {
            return None;
        }
        let next = self.reader[at]?;
        let reader = &self.graph.nodes[next];
        let epilogue = reader.op.epilogue()?;
        let (Fact::Tensor(before), Some(Fact::Tensor(after))) =
            (self.walk.fact(value), self.walk.written[next].first())
        else {
            return None;
        };
        if !matches!(before.dtype, DType::F32 | DType::F64) || before != *after {
            return None;
        }
        let mut others = reader.inputs.iter().flatten().filter(|id| **id != value);
        let addend = others.next().and_then(|id| self.column(*id, &before));
        Some((next, epilogue, addend))
    }

    /// Names a constant that broadcasts along the last axis of a tensor only.
    fn column(&self, id: ValueId, of: &TensorFact) -> Option<Arg> {
        let Fact::Tensor(fact) = self.walk.fact(id) else {
            return None;
        };
        let columns = *of.shape.last()?;
        let constant = matches!(self.places[id.index()], Some(Place::Constant(_)));
        let fits = fact.shape.last() == Some(&columns) && fact.count() == columns as u64;
        (constant && fits && fact.dtype == of.dtype).then(|| self.arg(id))
    }

    pub(super) fn arg(&self, id: ValueId) -> Arg {
        let shape = match self.walk.fact(id) {
            Fact::Tensor(fact) => fact.shape.into_boxed_slice(),
            _ => Box::default(),
        };
        let place = self.places[id.index()].expect("invariant: values are placed before readers");
        Arg { place, shape }
    }

    fn target(&mut self, fact: &Fact, id: Option<ValueId>) -> Target {
        let Fact::Tensor(fact) = fact else {
            unreachable!("invariant: a fixed plan has tensors only")
        };
        let len = element_count(&fact.shape).expect("invariant: checked by the walk");
        let slot = self.take_slot(fact.dtype, len);
        if let Some(id) = id {
            self.places[id.index()] = Some(Place::Slot(slot));
        }
        Target {
            slot,
            len,
            shape: fact.shape.clone().into_boxed_slice(),
        }
    }

    /// Takes the free buffer of the type that fits best, or adds one.
    fn take_slot(&mut self, dtype: DType, len: usize) -> u32 {
        let best = self
            .free
            .iter()
            .enumerate()
            .filter(|(_, slot)| self.slots[**slot as usize].0 == dtype)
            .min_by_key(|(_, slot)| self.slots[**slot as usize].1.abs_diff(len))
            .map(|(at, _)| at);
        match best {
            Some(at) => {
                let slot = self.free.swap_remove(at);
                let size = &mut self.slots[slot as usize].1;
                *size = (*size).max(len);
                slot
            }
            None => {
                self.slots.push((dtype, len));
                (self.slots.len() - 1) as u32
            }
        }
    }

    /// Notes that a value was read, and gives its buffer back after its last reader.
    fn read(&mut self, id: ValueId) {
        let owner = self.owner[id.index()] as usize;
        self.readers[owner] -= 1;
        if self.readers[owner] == 0 {
            self.release(owner);
        }
    }

    fn release(&mut self, value: usize) {
        if let Some(Place::Slot(slot)) = self.places[value] {
            self.free.push(slot);
        }
    }
}
