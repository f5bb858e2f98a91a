//! Execution: the steps of a fixed plan over reused buffers, or the nodes one by one.

mod chain;
mod fold;
mod watch;

use std::sync::Arc;

use assay_numerics::Engine;

use self::chain::run_chain;
pub(crate) use self::fold::fold;
pub(crate) use self::watch::Watch;
use self::watch::{show_step, show_values};
use crate::error::{ExecError, LimitKind, OpError};
use crate::graph::{Graph, Node, fact_of};
use crate::limits::Limits;
use crate::ops::{CostCx, Fact, Finish, InferCx, Ins, Known, Op, RunCx, Scratch};
use crate::plan::{
    Arg, Fixed, Place, Step, check_fact, check_live, check_text, string_count, widened_bytes,
};
use crate::tensor::{Data, Out, Tensor, Value, View};

/// Inputs and outputs up to which a step needs no heap.
const INLINE_INPUTS: usize = 8;
const INLINE_OUTPUTS: usize = 4;

/// Holds the buffers of one run; kept for the next.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub(crate) slots: Vec<Data>,
    pub(crate) scratch: Scratch,
}

impl Buffers {
    /// Makes the buffers of a plan; they grow at their first use.
    pub(crate) fn new(fixed: &Fixed) -> Buffers {
        let slots = fixed
            .slots
            .iter()
            .map(|dtype| Data::zeros(*dtype, 0))
            .collect();
        Buffers {
            slots,
            scratch: Scratch::default(),
        }
    }
}

/// Runs a fixed plan under a watch; the outputs are then found with [`output`].
pub(crate) fn run_fixed<W: Watch>(
    graph: &Graph,
    fixed: &Fixed,
    inputs: &[View<'_>],
    buffers: &mut Buffers,
    engine: &Engine,
    limits: &Limits,
    watch: &mut W,
) -> Result<(), ExecError> {
    let mut work = limits.work;
    for step in &fixed.steps {
        let node = &graph.nodes[step.node as usize];
        run_step(
            graph, fixed, step, node, inputs, buffers, engine, limits, &mut work,
        )
        .map_err(|source| ExecError::Node {
            node: node.name.clone(),
            op: node.op_type.clone(),
            source,
        })?;
        if W::WATCHES {
            show_step(graph, step, &mut buffers.slots, watch);
        }
    }
    Ok(())
}

/// Borrows one output of a finished run.
pub(crate) fn output<'a>(
    graph: &'a Graph,
    fixed: &'a Fixed,
    arg: &'a Arg,
    inputs: &[View<'a>],
    slots: &'a [Data],
) -> View<'a> {
    View {
        shape: &arg.shape,
        data: find(graph, fixed, arg, inputs, slots),
    }
}

fn find<'a>(
    graph: &'a Graph,
    fixed: &'a Fixed,
    arg: &Arg,
    inputs: &[View<'a>],
    slots: &'a [Data],
) -> &'a Data {
    let tensor = |value: &'a Arc<Value>| match value.as_ref() {
        Value::Tensor(tensor) => tensor.data(),
        _ => unreachable!("invariant: a fixed plan has tensors only"),
    };
    match arg.place {
        Place::Input(i) => inputs[i as usize].data,
        Place::Constant(i) => tensor(
            graph.constants[i as usize]
                .as_ref()
                .expect("invariant: placed as a constant"),
        ),
        Place::Local(i) => tensor(&fixed.locals[i as usize]),
        Place::Slot(i) => &slots[i as usize],
    }
}

#[allow(clippy::too_many_arguments)]
fn run_step(
    graph: &Graph,
    fixed: &Fixed,
    step: &Step,
    node: &Node,
    inputs: &[View<'_>],
    buffers: &mut Buffers,
    engine: &Engine,
    limits: &Limits,
    work: &mut u64,
) -> Result<(), OpError> {
    // The written buffers leave the arena while the step runs, so that the read ones can be
    // borrowed; they go back whatever happens.
    let mut taken: [Data; INLINE_OUTPUTS] = Default::default();
    let mut more = Vec::new();
    let outs = step.outs.len();
    if outs > INLINE_OUTPUTS {
        more.resize_with(outs, Data::default);
    }
    let written: &mut [Data] = if outs > INLINE_OUTPUTS {
        &mut more
    } else {
        &mut taken[..outs]
    };
    for (data, target) in written.iter_mut().zip(&step.outs) {
        *data = std::mem::take(&mut buffers.slots[target.slot as usize]);
        if data.len() != target.len {
            data.resize(target.len);
        }
    }
    let result = {
        let mut inline: [Option<View<'_>>; INLINE_INPUTS] = [None; INLINE_INPUTS];
        let heap: Vec<Option<View<'_>>>;
        let slots = &buffers.slots;
        let view = |arg: &'_ Option<Arg>| -> Option<&Data> {
            arg.as_ref()
                .map(|arg| find(graph, fixed, arg, inputs, slots))
        };
        let ins: &[Option<View<'_>>] = if step.ins.len() <= INLINE_INPUTS {
            for (at, arg) in inline.iter_mut().zip(&step.ins) {
                *at = arg.as_ref().and_then(|a| {
                    view(arg).map(|data| View {
                        shape: &a.shape,
                        data,
                    })
                });
            }
            &inline[..step.ins.len()]
        } else {
            heap = step
                .ins
                .iter()
                .map(|arg| {
                    arg.as_ref().and_then(|a| {
                        view(arg).map(|data| View {
                            shape: &a.shape,
                            data,
                        })
                    })
                })
                .collect();
            &heap
        };
        let strings = written.iter().filter(|data| matches!(data, Data::Str(_)));
        let strings = strings.map(Data::len).sum();
        if strings > 0 {
            check_text(node, ins.iter().flatten().copied(), strings, limits)?;
        }
        let finish = Finish {
            add: view(&step.finish.add),
            relu: step.finish.relu,
        };
        if step.chain.is_empty() {
            let mut cx = RunCx::new(engine, limits, &mut buffers.scratch, work).finishing(finish);
            write_outputs(node.op.as_ref(), &mut cx, ins, written, step)
        } else {
            let other = |arg: &Option<Arg>| {
                arg.as_ref()
                    .map(|arg| find(graph, fixed, arg, inputs, slots))
            };
            run_chain(engine, graph, step, node, ins, other, written)
        }
    };
    for (data, target) in written.iter_mut().zip(&step.outs) {
        buffers.slots[target.slot as usize] = std::mem::take(data);
    }
    result
}

fn write_outputs(
    op: &dyn Op,
    cx: &mut RunCx<'_>,
    ins: &[Option<View<'_>>],
    written: &mut [Data],
    step: &Step,
) -> Result<(), OpError> {
    let mut pairs = written.iter_mut().zip(&step.outs);
    if step.outs.len() == 1
        && let Some((data, target)) = pairs.next()
    {
        return op.run(
            cx,
            Ins(ins),
            &mut [Out {
                shape: &target.shape,
                data,
            }],
        );
    }
    let mut outs: Vec<Out<'_>> = pairs
        .map(|(data, target)| Out {
            shape: &target.shape,
            data,
        })
        .collect();
    op.run(cx, Ins(ins), &mut outs)
}

/// Runs one operator with fixed outputs on tensors and makes the outputs.
pub(crate) fn run_op(
    node: &Node,
    ins: &[Option<View<'_>>],
    facts: &[Fact],
    engine: &Engine,
    limits: &Limits,
    work: &mut u64,
) -> Result<Vec<Value>, OpError> {
    let mut scratch = Scratch::default();
    let mut cx = RunCx::new(engine, limits, &mut scratch, work);
    run_fixed_op(node, &mut cx, ins, facts)
}

fn run_fixed_op(
    node: &Node,
    cx: &mut RunCx<'_>,
    ins: &[Option<View<'_>>],
    facts: &[Fact],
) -> Result<Vec<Value>, OpError> {
    let op = node.op.as_ref();
    let strings = string_count(facts);
    if strings > 0 && !op.is_alias() {
        check_text(node, ins.iter().flatten().copied(), strings, cx.limits())?;
    }
    let mut tensors = facts
        .iter()
        .map(|fact| match fact {
            Fact::Tensor(fact) => cx.allocate(fact),
            _ => Err(OpError::Unknown { input: 0 }),
        })
        .collect::<Result<Vec<Tensor>, _>>()?;
    if op.is_alias()
        && let (Some(Some(view)), Some(tensor)) = (ins.first(), tensors.first_mut())
    {
        *tensor = view.to_tensor().reshaped(tensor.shape().to_vec())?;
    } else {
        let mut outs: Vec<Out<'_>> = tensors.iter_mut().map(Tensor::out).collect();
        op.run(cx, Ins(ins), &mut outs)?;
    }
    Ok(tensors.into_iter().map(Value::Tensor).collect())
}

/// Runs a graph node by node on actual values, under a watch: shapes are inferred as values appear.
/// `outside` are the bytes alive around a subgraph, which count towards the limit.
#[allow(clippy::too_many_arguments)]
pub(crate) fn run_dynamic<W: Watch>(
    graph: &Graph,
    inputs: &[&Value],
    engine: &Engine,
    limits: &Limits,
    scratch: &mut Scratch,
    work: &mut u64,
    outside: u64,
    watch: &mut W,
) -> Result<Vec<Value>, ExecError> {
    let mut computed: Vec<Option<Value>> = vec![None; graph.constants.len()];
    let mut given: Vec<Option<&Value>> = vec![None; graph.constants.len()];
    for (id, value) in graph.inputs.iter().zip(inputs) {
        given[id.index()] = Some(value);
    }
    let last = last_readers(graph);
    let mut live = outside;
    for (at, node) in graph.nodes.iter().enumerate() {
        let mut values = {
            let ins: Vec<Option<&Value>> = node
                .inputs
                .iter()
                .map(|id| {
                    let index = id.as_ref()?.index();
                    computed[index]
                        .as_ref()
                        .or(given[index])
                        .or(graph.constants[index].as_deref())
                })
                .collect();
            run_node(node, &ins, live, engine, limits, scratch, work).map_err(|source| {
                ExecError::Node {
                    node: node.name.clone(),
                    op: node.op_type.clone(),
                    source,
                }
            })?
        };
        if W::WATCHES {
            show_values(graph, at, &mut values, watch);
        }
        for (id, value) in node.outputs.iter().zip(values) {
            if let Some(id) = id {
                live = live.saturating_add(value.size_bytes() as u64);
                computed[id.index()] = Some(value);
            }
        }
        if live > limits.live_bytes {
            return Err(ExecError::Limit {
                kind: LimitKind::LiveBytes,
                limit: limits.live_bytes,
                got: live,
            });
        }
        for id in node.inputs.iter().chain(&node.outputs).flatten() {
            if last[id.index()] == Some(at)
                && let Some(value) = computed[id.index()].take()
            {
                live = live.saturating_sub(value.size_bytes() as u64);
            }
        }
    }
    graph
        .outputs
        .iter()
        .map(|(name, id)| {
            let index = id.index();
            computed[index]
                .as_ref()
                .or(given[index])
                .or(graph.constants[index].as_deref())
                .cloned()
                .ok_or_else(|| ExecError::Node {
                    node: name.clone(),
                    op: "output".to_owned(),
                    source: OpError::MissingInput { input: 0 },
                })
        })
        .collect()
}

/// By value: the position of the node after which nothing reads it; `None` keeps it to the end.
fn last_readers(graph: &Graph) -> Vec<Option<usize>> {
    let mut last = vec![None; graph.constants.len()];
    for (at, node) in graph.nodes.iter().enumerate() {
        for id in node.inputs.iter().chain(&node.outputs).flatten() {
            last[id.index()] = Some(at);
        }
    }
    for (_, id) in &graph.outputs {
        last[id.index()] = None;
    }
    last
}

fn run_node(
    node: &Node,
    ins: &[Option<&Value>],
    live: u64,
    engine: &Engine,
    limits: &Limits,
    scratch: &mut Scratch,
    work: &mut u64,
) -> Result<Vec<Value>, OpError> {
    let known: Vec<Option<Known<'_>>> = ins
        .iter()
        .map(|value| {
            value.map(|value| Known {
                fact: fact_of(value),
                value: value.as_tensor().filter(|t| !t.is_husk()).map(Tensor::view),
            })
        })
        .collect();
    let wanted = node.outputs.len();
    let cx = InferCx::new(&known, wanted, limits);
    let mut facts = node.op.infer(&cx)?;
    facts.truncate(wanted);
    for fact in &facts {
        if let Fact::Tensor(fact) = fact {
            check_fact(fact, limits)?;
        }
    }
    let read = known.iter().enumerate();
    let read = read.filter_map(|(at, known)| Some((at, &known.as_ref()?.fact)));
    let cx = CostCx::new(&known, &facts, limits);
    let temporary = node.op.temporary_bytes(&cx).unwrap_or(0);
    let live = live
        .saturating_add(widened_bytes(node, read, &facts))
        .saturating_add(temporary);
    check_live(live, limits)?;
    let mut run = RunCx::new(engine, limits, scratch, work).among(live);
    match node.op.cost(&cx) {
        Ok(cost) => run.spend(cost.work())?,
        // The operator meters itself while it runs (loops, data-dependent sizes).
        Err(OpError::Unknown { .. }) if node.op.is_dynamic() => run.spend(64)?,
        Err(error) => return Err(error),
    }
    if node.op.is_dynamic() {
        check_dynamic_text(node, ins, &facts, limits)?;
        return node.op.run_dynamic(&mut run, ins);
    }
    let views: Vec<Option<View<'_>>> = ins
        .iter()
        .map(|value| value.and_then(Value::as_tensor).map(Tensor::view))
        .collect();
    run_fixed_op(node, &mut run, &views, &facts)
}

/// Checks the text of a dynamic operator's outputs as far as their sizes are known.
fn check_dynamic_text(
    node: &Node,
    ins: &[Option<&Value>],
    facts: &[Fact],
    limits: &Limits,
) -> Result<(), OpError> {
    let strings = string_count(facts);
    if strings == 0 || node.op.is_alias() {
        return Ok(());
    }
    let tensors = ins.iter().flatten().filter_map(|value| value.as_tensor());
    check_text(node, tensors.map(Tensor::view), strings, limits)
}
