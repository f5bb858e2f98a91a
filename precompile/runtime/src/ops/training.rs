//! The optimisers of ai.onnx.preview.training: Adagrad, Adam, Momentum.
//!
//! Every operation below is one rounding, evaluated as written; nothing is fused (Spec: N-23).

use super::work::{Work, want_float, want_same, with_float};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Out, View};

/// Holds one optimiser's constants; rates are converted to the type of the weights.
enum Rule {
    Adagrad {
        decay: f32,
        epsilon: f32,
    },
    Momentum {
        alpha: f32,
        beta: f32,
        nesterov: bool,
    },
    Adam {
        alpha: f32,
        beta: f32,
        epsilon: f32,
        post: f32,
    },
}

/// Steps groups of tensors: weights, gradients and one or two kinds of state.
struct Optimiser {
    rule: Rule,
    norm: f32,
    groups: usize,
}

/// Holds what is the same for every element of one step.
struct Step<T> {
    rate: T,
    norm: T,
    first: T,
    second: T,
    third: T,
}

impl Optimiser {
    /// Returns the kinds of state beside weights and gradients.
    fn states(&self) -> usize {
        if matches!(self.rule, Rule::Adam { .. }) {
            2
        } else {
            1
        }
    }

    /// Prepares the rates of one step.
    fn step<T: Work>(&self, cx: &RunCx<'_>, rate: T, count: i64) -> Step<T> {
        let one = T::ONE;
        let norm = T::of(self.norm);
        match self.rule {
            Rule::Adagrad { decay, epsilon } => Step {
                rate: rate / (one + T::from_f64(count as f64) * T::of(decay)),
                norm,
                first: T::of(epsilon),
                second: T::ZERO,
                third: T::ZERO,
            },
            Rule::Momentum { alpha, beta, .. } => Step {
                rate,
                norm,
                first: T::of(alpha),
                second: if count > 0 { T::of(beta) } else { one },
                third: T::ZERO,
            },
            Rule::Adam {
                alpha,
                beta,
                epsilon,
                ..
            } => {
                let mut rate = rate;
                if count > 0 {
                    let mut powers = [T::of(alpha), T::of(beta)];
                    T::power_in_place(cx.engine(), &mut powers, T::from_f64(count as f64));
                    rate = rate * (one - powers[1]).square_root() / (one - powers[0]);
                }
                let (first, second) = (T::of(alpha), T::of(beta));
                Step {
                    rate,
                    norm,
                    first,
                    second,
                    third: T::of(epsilon),
                }
            }
        }
    }

    /// Computes the new weight and states of one element.
    fn element<T: Work>(&self, step: &Step<T>, x: T, gradient: T, state: [T; 2]) -> (T, [T; 2]) {
        let g = step.norm * x + gradient;
        match self.rule {
            Rule::Adagrad { .. } => {
                let squares = state[0] + g * g;
                let new = x - step.rate * g / (squares.square_root() + step.first);
                (new, [squares, T::ZERO])
            }
            Rule::Momentum { nesterov, .. } => {
                let velocity = step.first * state[0] + step.second * g;
                let direction = if nesterov {
                    g + step.first * velocity
                } else {
                    velocity
                };
                (x - step.rate * direction, [velocity, T::ZERO])
            }
            Rule::Adam { post, .. } => {
                let mean = step.first * state[0] + (T::ONE - step.first) * g;
                let squares = step.second * state[1] + (T::ONE - step.second) * (g * g);
                let new = x - step.rate * mean / (squares.square_root() + step.third);
                ((T::ONE - T::of(post)) * new, [mean, squares])
            }
        }
    }

    fn run_as<T: Work>(
        &self,
        cx: &RunCx<'_>,
        ins: Ins<'_>,
        outs: &mut [Out<'_>],
    ) -> Result<(), OpError> {
        let scalar = |view: View<'_>| OpError::Shape {
            why: "rate and step count must be scalars",
            shapes: vec![view.shape.to_vec()],
        };
        let (rate, count) = (ins.get(0)?, ins.get(1)?);
        let rate = T::read(rate)?
            .first()
            .copied()
            .ok_or_else(|| scalar(rate))?;
        let count = count
            .to_i64s()?
            .first()
            .copied()
            .ok_or_else(|| scalar(count))?;
        let step = self.step::<T>(cx, rate, count);
        for group in 0..self.groups {
            let part = |kind: usize| T::read(ins.get(2 + kind * self.groups + group)?);
            let (x, gradient, state) = (part(0)?, part(1)?, part(2)?);
            let more = if self.states() == 2 {
                Some(part(3)?)
            } else {
                None
            };
            let mut results: [Vec<T>; 3] = Default::default();
            for (i, x) in x.iter().enumerate() {
                let at = |values: &[T]| values.get(i).copied().unwrap_or(T::ZERO);
                let states = [at(&state), more.as_deref().map_or(T::ZERO, at)];
                let (new, states) = self.element(&step, *x, at(&gradient), states);
                for (result, value) in results.iter_mut().zip([new, states[0], states[1]]) {
                    result.push(value.canonical());
                }
            }
            for (kind, values) in results.iter().take(1 + self.states()).enumerate() {
                if let Some(out) = outs.get_mut(kind * self.groups + group) {
                    T::write(out, |out| {
                        out.copy_from_slice(values);
                        Ok(())
                    })?;
                }
            }
        }
        Ok(())
    }
}

impl Op for Optimiser {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let rate = cx.tensor(0)?;
        if rate.count() != 1 || cx.tensor(1)?.count() != 1 || cx.tensor(1)?.dtype != DType::I64 {
            return Err(OpError::Shape {
                why: "rate and step count must be scalars, the count int64",
                shapes: vec![rate.shape.clone(), cx.tensor(1)?.shape.clone()],
            });
        }
        let mut facts = Vec::new();
        for kind in 0..2 + self.states() {
            for group in 0..self.groups {
                let (x, part) = (
                    cx.tensor(2 + group)?,
                    cx.tensor(2 + kind * self.groups + group)?,
                );
                want_float(part.dtype)?;
                want_same(rate.dtype, part.dtype)?;
                if part.shape != x.shape {
                    return Err(OpError::Shape {
                        why: "gradients and states need the shape of their weights",
                        shapes: vec![x.shape.clone(), part.shape.clone()],
                    });
                }
                // Weights and states come out; gradients do not.
                if kind != 1 {
                    facts.push(Fact::tensor(part.dtype, part.shape.clone()));
                }
            }
        }
        Ok(facts)
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let traffic = cx.traffic();
        Ok(Cost {
            elements: traffic.bytes_read.saturating_mul(4),
            transcendentals: 2 * super::map::WIDE_FACTOR,
            ..traffic
        })
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        with_float!(ins.get(0)?.dtype(), T => self.run_as::<T>(cx, ins, outs))
    }
}

/// Builds an optimiser over as many groups as the inputs after rate and count give.
fn build(cx: &NodeCx<'_>, rule: Rule, norm: f32) -> Result<Box<dyn Op>, OpError> {
    let mut optimiser = Optimiser {
        rule,
        norm,
        groups: 0,
    };
    let kinds = 2 + optimiser.states();
    let rest = cx.inputs().saturating_sub(2);
    if rest == 0 || !rest.is_multiple_of(kinds) {
        return Err(OpError::Value {
            what: "unexpected number of inputs",
            got: cx.inputs() as i64,
        });
    }
    optimiser.groups = rest / kinds;
    cx.arity(cx.inputs()..=cx.inputs(), optimiser.groups * (kinds - 1))?;
    Ok(Box::new(optimiser))
}

fn adagrad(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    let decay = cx.float_or("decay_factor", 0.0)?;
    let epsilon = cx.float_or("epsilon", 1e-6)?;
    build(
        cx,
        Rule::Adagrad { decay, epsilon },
        cx.float_or("norm_coefficient", 0.0)?,
    )
}

fn momentum(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    let missing = |name| OpError::Attribute {
        name,
        why: "is missing",
    };
    let alpha = cx.float("alpha")?.ok_or(missing("alpha"))?;
    let beta = cx.float("beta")?.ok_or(missing("beta"))?;
    let norm = cx
        .float("norm_coefficient")?
        .ok_or(missing("norm_coefficient"))?;
    let nesterov = match cx.string("mode")?.as_deref() {
        Some("standard") => false,
        Some("nesterov") => true,
        _ => {
            return Err(OpError::Attribute {
                name: "mode",
                why: "must be standard or nesterov",
            });
        }
    };
    build(
        cx,
        Rule::Momentum {
            alpha,
            beta,
            nesterov,
        },
        norm,
    )
}

fn adam(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    let rule = Rule::Adam {
        alpha: cx.float_or("alpha", 0.9)?,
        beta: cx.float_or("beta", 0.999)?,
        epsilon: cx.float_or("epsilon", 1e-6)?,
        post: cx.float_or("norm_coefficient_post", 0.0)?,
    };
    build(cx, rule, cx.float_or("norm_coefficient", 0.0)?)
}

const DOMAIN: &str = "ai.onnx.preview.training";

pub(crate) const TABLE: &[Entry] = &[
    Entry {
        domain: DOMAIN,
        name: "Adagrad",
        since: 1,
        build: adagrad,
    },
    Entry {
        domain: DOMAIN,
        name: "Adam",
        since: 1,
        build: adam,
    },
    Entry {
        domain: DOMAIN,
        name: "Momentum",
        since: 1,
        build: momentum,
    },
];
