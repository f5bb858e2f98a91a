//! A loaded model: what it takes, what it gives, what a run costs, and the runs themselves.

#[cfg(test)]
pub(crate) mod tests;
mod trace;
mod trial;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use assay_numerics::Engine;
use bytes::Bytes;
use prost::Message as _;

pub use self::trace::{Difference, NotComparable, Operator, Path, Traced, first_difference};
use self::trial::try_shapes;
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::{ExecError, LoadError, OpError};
use crate::exec::{self, Buffers, Watch};
use crate::graph::{self, Dim, Graph, Port, PortKind, Shared};
use crate::limits::Limits;
use crate::onnx::decode::{DecodeError, DecodeLimits, check};
use crate::onnx::inline::inline;
use crate::onnx::lists::take_lists;
use crate::onnx::proto::ModelProto;
use crate::onnx::weights::take_weights;
use crate::ops::{Fact, Scratch};
use crate::plan::Plan;
use crate::tensor::{Tensor, Value, View};

/// The oldest and newest opsets of ai.onnx this runtime runs.
pub const ONNX_OPSETS: (i64, i64) = (7, 28);
/// The oldest and newest opsets of ai.onnx.ml this runtime runs.
pub const ML_OPSETS: (i64, i64) = (1, 5);

/// Plans and idle buffers kept for one model.
const KEPT_PLANS: usize = 8;
const KEPT_BUFFERS: usize = 4;
/// Work and bytes that constant folding may spend at load.
const FOLD_WORK: u64 = 1 << 28;
const FOLD_BYTES: u64 = 64 << 20;

/// Holds a validated model, ready to run from any number of threads.
pub struct Model {
    graph: Graph,
    limits: Limits,
    facts: Vec<Port>,
    trial: Option<Arc<Plan>>,
    plans: Mutex<Vec<(Arc<Plan>, Vec<Buffers>)>>,
}

impl Model {
    /// Parses, validates and prepares an ONNX model. Where the caller keeps no other handle to the
    /// bytes, their memory is given back while the weights are converted.
    pub fn from_onnx(bytes: Bytes, limits: &Limits) -> Result<Model, LoadError> {
        let bounds = DecodeLimits {
            file_bytes: limits.model_bytes as usize,
            nodes: limits.nodes as usize,
            ..DecodeLimits::default()
        };
        // What is cut out of the file is not decoded, so it has a bound of its own.
        let structure = DecodeLimits {
            overhead_bytes: usize::MAX,
            ..bounds
        };
        check(&bytes, &structure)?;
        let (file, lists) = take_lists(bytes, bounds.list_bytes)?;
        check(&file, &bounds)?;
        let proto = ModelProto::decode(file.clone()).map_err(DecodeError::from)?;
        let (proto, weights) = take_weights(file, proto, limits)?;
        let proto = &inline(proto, limits)?;
        let engine = Engine::single();
        let shared = Shared {
            limits,
            engine: &engine,
            opsets: opsets(proto)?,
            nodes: Default::default(),
            fold_work: FOLD_WORK.into(),
            fold_bytes: FOLD_BYTES.into(),
            weights: weights.into(),
            lists: lists.into(),
        };
        let graph = graph::build_graph(proto.graph.as_ref().ok_or(LoadError::NoGraph)?, &shared)?;
        let (trial, facts) = try_shapes(&graph, limits)?;
        Ok(Model {
            graph,
            limits: limits.clone(),
            facts,
            trial,
            plans: Mutex::default(),
        })
    }

    /// Returns the declared inputs.
    pub fn inputs(&self) -> &[Port] {
        &self.graph.ports
    }

    /// Returns the outputs as inferred; a dimension that varies with a symbol is [`Dim::Symbol`]
    /// when it equals it and [`Dim::Any`] otherwise.
    pub fn outputs(&self) -> &[Port] {
        &self.facts
    }

    /// Returns the outputs as the file declares them; wrong declarations are reported, not refused.
    pub fn declared_outputs(&self) -> &[Option<PortKind>] {
        &self.graph.declared
    }

    /// Returns the graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Returns the plan for the smallest trial sizes of the symbols the model was checked with.
    pub fn trial_plan(&self) -> Option<&Arc<Plan>> {
        self.trial.as_ref()
    }

    /// Counts the work of a run with inputs of these shapes.
    pub fn cost(&self, shapes: &[&[usize]]) -> Result<Cost, ExecError> {
        self.plan(shapes)?.cost()
    }

    /// Plans a run with inputs of these shapes, or finds the plan already made.
    pub fn plan(&self, shapes: &[&[usize]]) -> Result<Arc<Plan>, ExecError> {
        if shapes.len() != self.graph.ports.len() {
            return Err(ExecError::InputCount {
                expected: self.graph.ports.len(),
                got: shapes.len(),
            });
        }
        if let Some(plan) = self
            .kept(|plan| same_shapes(plan, shapes))
            .map(|(plan, _)| plan)
        {
            return Ok(plan);
        }
        let mut symbols = BTreeMap::new();
        let mut facts = Vec::with_capacity(shapes.len());
        for (input, (port, shape)) in self.graph.ports.iter().zip(shapes).enumerate() {
            facts.push(match &port.kind {
                PortKind::Tensor { dtype, dims } => {
                    check_shape(input, port, dims.as_deref(), shape, &mut symbols)?;
                    Fact::tensor(*dtype, *shape)
                }
                PortKind::Sequence => Fact::Sequence,
                PortKind::Optional => Fact::Optional,
            });
        }
        let plan = Arc::new(Plan::new(&self.graph, &facts, &self.limits)?);
        let mut plans = self.lock();
        if plans.len() >= KEPT_PLANS {
            plans.remove(0);
        }
        plans.push((plan.clone(), Vec::new()));
        Ok(plan)
    }

    /// Runs the model. The outputs are a function of the model and the inputs alone.
    pub fn run(&self, engine: &Engine, inputs: &[Value]) -> Result<Vec<Value>, ExecError> {
        let tensors: Option<Vec<&Tensor>> = inputs.iter().map(Value::as_tensor).collect();
        match tensors {
            Some(tensors) => self.run_tensors(engine, &tensors),
            None => {
                self.check_values(inputs)?;
                self.run_nodes(engine, &inputs.iter().collect::<Vec<_>>(), &mut ())
            }
        }
    }

    /// Runs the model on tensors.
    pub fn run_tensors(
        &self,
        engine: &Engine,
        inputs: &[&Tensor],
    ) -> Result<Vec<Value>, ExecError> {
        let mut outputs = Vec::new();
        let done = self.run_with(engine, inputs, |view| outputs.push(view.to_tensor().into()))?;
        if done {
            return Ok(outputs);
        }
        let values: Vec<Value> = inputs.iter().map(|t| Value::Tensor((*t).clone())).collect();
        self.run_nodes(engine, &values.iter().collect::<Vec<_>>(), &mut ())
    }

    /// Runs the model when its shapes are fixed and hands each output to `each` without copying it;
    /// gives `false`, having run nothing, when some shape depends on computed values.
    pub fn run_with(
        &self,
        engine: &Engine,
        inputs: &[&Tensor],
        each: impl FnMut(View<'_>),
    ) -> Result<bool, ExecError> {
        self.run_watched(engine, inputs, each, &mut ())
    }

    fn run_watched<W: Watch>(
        &self,
        engine: &Engine,
        inputs: &[&Tensor],
        mut each: impl FnMut(View<'_>),
        watch: &mut W,
    ) -> Result<bool, ExecError> {
        self.check_tensors(inputs)?;
        let (plan, buffers) = match self.kept(|plan| same_tensors(plan, inputs)) {
            Some(found) => found,
            None => {
                let shapes: Vec<&[usize]> = inputs.iter().map(|t| t.shape()).collect();
                (self.plan(&shapes)?, None)
            }
        };
        let Some(fixed) = &plan.fixed else {
            return Ok(false);
        };
        let mut buffers = buffers.unwrap_or_else(|| Buffers::new(fixed));
        let mut inline = [View {
            shape: &[],
            data: EMPTY,
        }; 4];
        let heap: Vec<View<'_>>;
        let views: &[View<'_>] = if inputs.len() <= inline.len() {
            for (view, tensor) in inline.iter_mut().zip(inputs) {
                *view = tensor.view();
            }
            &inline[..inputs.len()]
        } else {
            heap = inputs.iter().map(|tensor| tensor.view()).collect();
            &heap
        };
        let result = exec::run_fixed(
            &self.graph,
            fixed,
            views,
            &mut buffers,
            engine,
            &self.limits,
            watch,
        );
        if result.is_ok() {
            for arg in &fixed.outputs {
                each(exec::output(&self.graph, fixed, arg, views, &buffers.slots));
            }
        }
        self.give_back(&plan, buffers);
        result.map(|()| true)
    }

    fn run_nodes<W: Watch>(
        &self,
        engine: &Engine,
        inputs: &[&Value],
        watch: &mut W,
    ) -> Result<Vec<Value>, ExecError> {
        let mut scratch = Scratch::default();
        let mut work = self.limits.work;
        exec::run_dynamic(
            &self.graph,
            inputs,
            engine,
            &self.limits,
            &mut scratch,
            &mut work,
            0,
            watch,
        )
    }

    fn check_values(&self, inputs: &[Value]) -> Result<(), ExecError> {
        self.check_count(inputs.len())?;
        let mut symbols = BTreeMap::new();
        for (input, (port, value)) in self.graph.ports.iter().zip(inputs).enumerate() {
            let refuse = |expected| ExecError::InputKind {
                input,
                name: port.name.clone(),
                expected,
            };
            match (&port.kind, value) {
                (PortKind::Tensor { dtype, dims }, Value::Tensor(tensor)) => {
                    check_type(input, port, *dtype, tensor)?;
                    check_shape(input, port, dims.as_deref(), tensor.shape(), &mut symbols)?;
                }
                (PortKind::Tensor { .. }, _) => return Err(refuse("tensor")),
                (PortKind::Sequence, Value::Sequence(_)) => {}
                (PortKind::Sequence, _) => return Err(refuse("sequence")),
                (PortKind::Optional, _) => {}
            }
        }
        Ok(())
    }

    fn check_tensors(&self, inputs: &[&Tensor]) -> Result<(), ExecError> {
        self.check_count(inputs.len())?;
        for (input, (port, tensor)) in self.graph.ports.iter().zip(inputs).enumerate() {
            match &port.kind {
                PortKind::Tensor { dtype, .. } => check_type(input, port, *dtype, tensor)?,
                PortKind::Sequence => {
                    let name = port.name.clone();
                    return Err(ExecError::InputKind {
                        input,
                        name,
                        expected: "sequence",
                    });
                }
                PortKind::Optional => {}
            }
        }
        Ok(())
    }

    fn check_count(&self, got: usize) -> Result<(), ExecError> {
        let expected = self.graph.ports.len();
        if got == expected {
            Ok(())
        } else {
            Err(ExecError::InputCount { expected, got })
        }
    }

    /// Finds a kept plan, moves it to the back (the newest) and takes idle buffers of it.
    fn kept(&self, fits: impl Fn(&Plan) -> bool) -> Option<(Arc<Plan>, Option<Buffers>)> {
        let mut plans = self.lock();
        let at = plans.iter().rposition(|(plan, _)| fits(plan))?;
        if at + 1 != plans.len() {
            let entry = plans.remove(at);
            plans.push(entry);
        }
        let (plan, idle) = plans.last_mut()?;
        Some((plan.clone(), idle.pop()))
    }

    fn give_back(&self, plan: &Arc<Plan>, buffers: Buffers) {
        let mut plans = self.lock();
        if let Some((_, idle)) = plans.iter_mut().rfind(|(kept, _)| Arc::ptr_eq(kept, plan))
            && idle.len() < KEPT_BUFFERS
        {
            idle.push(buffers);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Arc<Plan>, Vec<Buffers>)>> {
        // A panic elsewhere leaves whole plans behind: nothing is half written under the lock.
        self.plans
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

static EMPTY: &crate::tensor::Data = &crate::tensor::Data::F32(Vec::new());

fn same_shapes(plan: &Plan, shapes: &[&[usize]]) -> bool {
    plan.shapes.len() == shapes.len() && plan.shapes.iter().zip(shapes).all(|(a, b)| a == b)
}

fn same_tensors(plan: &Plan, inputs: &[&Tensor]) -> bool {
    plan.shapes.len() == inputs.len() && plan.shapes.iter().zip(inputs).all(|(a, b)| a == b.shape())
}

fn check_type(input: usize, port: &Port, dtype: DType, tensor: &Tensor) -> Result<(), ExecError> {
    if tensor.dtype() == dtype {
        return Ok(());
    }
    Err(ExecError::InputType {
        input,
        name: port.name.clone(),
        expected: dtype,
        got: tensor.dtype(),
    })
}

fn check_shape<'p>(
    input: usize,
    port: &'p Port,
    dims: Option<&'p [Dim]>,
    shape: &[usize],
    symbols: &mut BTreeMap<&'p str, usize>,
) -> Result<(), ExecError> {
    let Some(dims) = dims else { return Ok(()) };
    let fits = dims.len() == shape.len()
        && dims.iter().zip(shape).all(|(dim, &size)| match dim {
            Dim::Fixed(fixed) => *fixed == size,
            Dim::Symbol(name) => *symbols.entry(name).or_insert(size) == size,
            Dim::Any => true,
        });
    if fits {
        return Ok(());
    }
    Err(ExecError::InputShape {
        input,
        name: port.name.clone(),
        expected: display_dims(dims),
        got: shape.to_vec(),
    })
}

/// Writes dimensions as `[batch, 3, ?]`.
pub fn display_dims(dims: &[Dim]) -> String {
    let list: Vec<String> = dims
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(size) => size.to_string(),
            Dim::Symbol(name) => name.clone(),
            Dim::Any => "?".to_owned(),
        })
        .collect();
    format!("[{}]", list.join(", "))
}

fn opsets(proto: &ModelProto) -> Result<BTreeMap<String, i64>, LoadError> {
    let mut opsets = BTreeMap::new();
    for import in &proto.opset_import {
        let domain = if import.domain() == "ai.onnx" {
            ""
        } else {
            import.domain()
        };
        let (oldest, newest) = match domain {
            "" => ONNX_OPSETS,
            "ai.onnx.ml" => ML_OPSETS,
            // Other domains are refused where a node uses them.
            _ => (0, i64::MAX),
        };
        let version = import.version();
        if version < oldest || version > newest {
            return Err(LoadError::Opset {
                domain: domain.to_owned(),
                version,
                oldest,
                newest,
            });
        }
        opsets.insert(domain.to_owned(), version);
    }
    Ok(opsets)
}

impl From<LoadError> for OpError {
    fn from(error: LoadError) -> Self {
        OpError::NestedLoad(Box::new(error))
    }
}
