//! What an operator sees while it infers, counts and runs.

use std::sync::Arc;

use assay_numerics::Engine;

use crate::cost::Cost;
use crate::error::{ExecError, LimitKind, OpError};
use crate::exec;
use crate::graph::{self, Graph};
use crate::limits::Limits;
use crate::ops::{Fact, TensorFact};
use crate::plan::{self, Want};
use crate::tensor::{Data, Tensor, Value, View, element_count};

/// Describes one input before the run: what is known of it, and its value when that is known.
#[derive(Clone, Debug)]
pub struct Known<'a> {
    /// Type and shape.
    pub fact: Fact,
    /// The value, for constants and for everything once the model runs.
    pub value: Option<View<'a>>,
}

/// Gives an operator its inputs' types and shapes.
pub struct InferCx<'a> {
    ins: &'a [Option<Known<'a>>],
    outputs: usize,
    limits: &'a Limits,
}

impl<'a> InferCx<'a> {
    pub(crate) fn new(ins: &'a [Option<Known<'a>>], outputs: usize, limits: &'a Limits) -> Self {
        InferCx {
            ins,
            outputs,
            limits,
        }
    }

    /// Returns the number of inputs, absent ones and captured ones included.
    pub fn inputs(&self) -> usize {
        self.ins.len()
    }

    /// Returns the number of outputs asked for.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Returns the limits every size is checked against.
    pub fn limits(&self) -> &'a Limits {
        self.limits
    }

    /// Says whether an input is given.
    pub fn has(&self, input: usize) -> bool {
        matches!(self.ins.get(input), Some(Some(_)))
    }

    /// Describes an input of any kind.
    pub fn fact(&self, input: usize) -> Result<&'a Fact, OpError> {
        match self.ins.get(input) {
            Some(Some(known)) => Ok(&known.fact),
            _ => Err(OpError::MissingInput { input }),
        }
    }

    /// Describes a tensor input; fails with [`OpError::Unknown`] while nothing is known of it.
    pub fn tensor(&self, input: usize) -> Result<&'a TensorFact, OpError> {
        match self.fact(input)? {
            Fact::Tensor(fact) => Ok(fact),
            Fact::Unknown => Err(OpError::Unknown { input }),
            Fact::Sequence => Err(OpError::Kind {
                input,
                expected: "tensor",
                got: "sequence",
            }),
            Fact::Optional => Err(OpError::Kind {
                input,
                expected: "tensor",
                got: "optional",
            }),
        }
    }

    /// Describes a tensor input that may be absent.
    pub fn optional(&self, input: usize) -> Result<Option<&'a TensorFact>, OpError> {
        if self.has(input) {
            self.tensor(input).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Borrows the value of an input that decides a shape; fails with [`OpError::Unknown`] while
    /// it is not known, and the shape is then inferred again when the model runs.
    pub fn value(&self, input: usize) -> Result<View<'a>, OpError> {
        match self.ins.get(input) {
            Some(Some(Known {
                value: Some(view), ..
            })) => Ok(*view),
            Some(Some(_)) => Err(OpError::Unknown { input }),
            _ => Err(OpError::MissingInput { input }),
        }
    }

    /// Reads the integers of an input that decides a shape; see [`InferCx::value`].
    pub fn ints(&self, input: usize) -> Result<Vec<i64>, OpError> {
        self.value(input)?.to_i64s()
    }

    /// Infers a subgraph's outputs from facts about its inputs (captured values are found here).
    pub fn infer_graph(&self, sub: &Subgraph, formal: Vec<Fact>) -> Result<Vec<Fact>, OpError> {
        let facts = sub.facts(formal, self.ins);
        Ok(plan::walk(&sub.graph, facts, self.limits, Want::Facts)?.outputs(&sub.graph))
    }
}

/// Gives an operator the shapes of its inputs and outputs to count work.
pub struct CostCx<'a> {
    ins: &'a [Option<Known<'a>>],
    outs: &'a [Fact],
    limits: &'a Limits,
}

impl<'a> CostCx<'a> {
    pub(crate) fn new(ins: &'a [Option<Known<'a>>], outs: &'a [Fact], limits: &'a Limits) -> Self {
        CostCx { ins, outs, limits }
    }

    /// Returns the number of inputs.
    pub fn inputs(&self) -> usize {
        self.ins.len()
    }

    /// Describes a tensor input; [`OpError::Unknown`] when it has no bound.
    pub fn input(&self, input: usize) -> Result<&'a TensorFact, OpError> {
        match self.ins.get(input) {
            Some(Some(Known {
                fact: Fact::Tensor(fact),
                ..
            })) => Ok(fact),
            Some(Some(_)) => Err(OpError::Unknown { input }),
            _ => Err(OpError::MissingInput { input }),
        }
    }

    /// Describes a tensor input that may be absent.
    pub fn optional(&self, input: usize) -> Result<Option<&'a TensorFact>, OpError> {
        match self.ins.get(input) {
            Some(Some(_)) => self.input(input).map(Some),
            _ => Ok(None),
        }
    }

    /// Borrows an input's value when it is known before the run.
    pub fn value(&self, input: usize) -> Option<View<'a>> {
        self.ins.get(input)?.as_ref()?.value
    }

    /// Describes a tensor output; [`OpError::Unknown`] when it has no bound.
    pub fn output(&self, output: usize) -> Result<&'a TensorFact, OpError> {
        match self.outs.get(output) {
            Some(Fact::Tensor(fact)) => Ok(fact),
            _ => Err(OpError::Unknown { input: output }),
        }
    }

    /// Returns the limits every size is checked against.
    pub fn limits(&self) -> &'a Limits {
        self.limits
    }

    /// Describes an output of any kind.
    pub fn output_fact(&self, output: usize) -> Option<&'a Fact> {
        self.outs.get(output)
    }

    /// Counts reading every tensor input and writing every tensor output once.
    pub fn traffic(&self) -> Cost {
        let mut cost = Cost::default();
        for known in self.ins.iter().flatten() {
            if let Fact::Tensor(fact) = &known.fact {
                cost.bytes_read = cost.bytes_read.saturating_add(fact.size_bytes());
            }
        }
        for fact in self.outs {
            if let Fact::Tensor(fact) = fact {
                cost.bytes_written = cost.bytes_written.saturating_add(fact.size_bytes());
            }
        }
        cost
    }

    /// Counts the traffic and one simple operation for each element of output 0.
    pub fn elementwise(&self) -> Result<Cost, OpError> {
        Ok(Cost {
            elements: self.output(0)?.count(),
            ..self.traffic()
        })
    }

    /// Counts the traffic and one transcendental for each element of output 0.
    pub fn transcendental(&self) -> Result<Cost, OpError> {
        Ok(Cost {
            transcendentals: self.output(0)?.count(),
            ..self.traffic()
        })
    }

    /// Bounds one pass through a subgraph.
    pub fn graph_cost(&self, sub: &Subgraph, formal: Vec<Fact>) -> Result<Cost, OpError> {
        let facts = sub.facts(formal, self.ins);
        plan::walk(&sub.graph, facts, self.limits, Want::FactsAndCosts)?
            .cost(&sub.graph)
            .map_err(|source| match source {
                // A part without a bound leaves the whole without one.
                ExecError::Unbounded { .. } => OpError::Unknown { input: 0 },
                source => OpError::Nested(Box::new(source)),
            })
    }
}

/// Borrows the inputs of a running operator.
#[derive(Clone, Copy)]
pub struct Ins<'a>(pub(crate) &'a [Option<View<'a>>]);

impl<'a> Ins<'a> {
    /// Returns the number of inputs, absent ones included.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Says whether there are no inputs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Borrows an input that must be there.
    pub fn get(&self, input: usize) -> Result<View<'a>, OpError> {
        self.optional(input).ok_or(OpError::MissingInput { input })
    }

    /// Borrows an input that may be absent.
    pub fn optional(&self, input: usize) -> Option<View<'a>> {
        self.0.get(input).copied().flatten()
    }
}

/// Gives a running operator the engine, the limits, scratch memory and the work meter.
pub struct RunCx<'a> {
    finish: Finish<'a>,
    engine: &'a Engine,
    limits: &'a Limits,
    scratch: &'a mut Scratch,
    work_left: &'a mut u64,
    live: u64,
}

/// Says what a product does to its finished elements, in this order, each step rounded on its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Finish<'a> {
    /// Adds one number for each column.
    pub add: Option<&'a Data>,
    /// Replaces negative values by zero.
    pub relu: bool,
}

/// Keeps buffers between calls so that running allocates nothing once warm.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Padded copies of floats.
    pub f32: Vec<f32>,
    /// Padded copies of doubles.
    pub f64: Vec<f64>,
    /// Padded copies of bytes.
    pub u8: Vec<u8>,
}

impl<'a> RunCx<'a> {
    pub(crate) fn new(
        engine: &'a Engine,
        limits: &'a Limits,
        scratch: &'a mut Scratch,
        work_left: &'a mut u64,
    ) -> Self {
        RunCx {
            finish: Finish::default(),
            engine,
            limits,
            scratch,
            work_left,
            live: 0,
        }
    }

    /// Says how many bytes are alive around the operator.
    pub(crate) fn among(mut self, live: u64) -> Self {
        self.live = live;
        self
    }

    /// Asks the operator to do what the nodes after it would.
    pub(crate) fn finishing(mut self, finish: Finish<'a>) -> Self {
        self.finish = finish;
        self
    }

    /// Returns what the operator does to its finished elements; only those whose
    /// [`crate::ops::Op::accepts`] allows it are asked for anything.
    pub fn finish(&self) -> Finish<'a> {
        self.finish
    }

    /// Returns the engine kernels run on.
    pub fn engine(&self) -> &'a Engine {
        self.engine
    }

    /// Returns the limits.
    pub fn limits(&self) -> &'a Limits {
        self.limits
    }

    /// Borrows the scratch buffers together with the engine.
    pub fn scratch(&mut self) -> (&'a Engine, &mut Scratch) {
        (self.engine, self.scratch)
    }

    /// Checks a shape a dynamic operator is about to allocate against the limits.
    pub fn check(&self, fact: &TensorFact) -> Result<usize, OpError> {
        plan::check_fact(fact, self.limits)?;
        element_count(&fact.shape).ok_or(OpError::Limit {
            kind: LimitKind::Elements,
            limit: self.limits.elements,
            got: u64::MAX,
        })
    }

    /// Allocates a zeroed tensor within the limits.
    pub fn allocate(&self, fact: &TensorFact) -> Result<Tensor, OpError> {
        self.check(fact)?;
        Tensor::zeros(fact.dtype, fact.shape.clone())
    }

    /// Spends work from the run's budget; a loop that would run on fails here.
    pub fn spend(&mut self, work: u64) -> Result<(), OpError> {
        match self.work_left.checked_sub(work) {
            Some(left) => {
                *self.work_left = left;
                Ok(())
            }
            None => Err(OpError::Limit {
                kind: LimitKind::Work,
                limit: self.limits.work,
                got: self
                    .limits
                    .work
                    .saturating_sub(*self.work_left)
                    .saturating_add(work),
            }),
        }
    }

    /// Infers a subgraph's outputs from facts about its formal inputs; `ins` are the node's inputs.
    pub fn infer_graph(
        &self,
        sub: &Subgraph,
        formal: Vec<Fact>,
        ins: &[Option<&Value>],
    ) -> Result<Vec<Fact>, OpError> {
        let known = |value: &Value| Known {
            fact: graph::fact_of(value),
            value: None,
        };
        let known: Vec<_> = ins.iter().map(|value| value.map(known)).collect();
        let facts = sub.facts(formal, &known);
        Ok(plan::walk(&sub.graph, facts, self.limits, Want::Facts)?.outputs(&sub.graph))
    }

    /// Runs a subgraph on its formal inputs; `ins` are the node's inputs, captured ones included.
    pub fn run_graph(
        &mut self,
        sub: &Subgraph,
        formal: &[&Value],
        ins: &[Option<&Value>],
    ) -> Result<Vec<Value>, OpError> {
        let mut inputs = formal.to_vec();
        for i in sub.captures() {
            let captured = ins.get(i).copied().flatten();
            inputs.push(captured.ok_or(OpError::MissingInput { input: i })?);
        }
        exec::run_dynamic(
            &sub.graph,
            &inputs,
            self.engine,
            self.limits,
            self.scratch,
            self.work_left,
            self.live,
            &mut (),
        )
        .map_err(|source| OpError::Nested(Box::new(source)))
    }
}

/// Holds a graph inside a node: a branch or a loop body.
pub struct Subgraph {
    /// The graph; its inputs are the formal ones, then the captured ones.
    pub graph: Arc<Graph>,
    first: usize,
    count: usize,
}

impl Subgraph {
    pub(crate) fn new(graph: Graph, first: usize, count: usize) -> Self {
        Subgraph {
            graph: Arc::new(graph),
            first,
            count,
        }
    }

    /// Returns the number of formal inputs.
    pub fn formal_inputs(&self) -> usize {
        self.graph.inputs.len() - self.count
    }

    /// Returns the number of outputs.
    pub fn outputs(&self) -> usize {
        self.graph.outputs.len()
    }

    /// Returns the positions of the captured values among the node's inputs.
    pub fn captures(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.count
    }

    fn facts<'k>(&self, formal: Vec<Fact>, ins: &[Option<Known<'k>>]) -> Vec<Known<'k>> {
        let mut facts: Vec<Known<'k>> = formal
            .into_iter()
            .map(|fact| Known { fact, value: None })
            .collect();
        for i in self.captures() {
            facts.push(match ins.get(i) {
                Some(Some(known)) => known.clone(),
                _ => Known {
                    fact: Fact::Unknown,
                    value: None,
                },
            });
        }
        facts
    }
}
