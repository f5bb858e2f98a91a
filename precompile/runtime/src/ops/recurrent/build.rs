//! Building a recurrent node: directions, activations by name, weights packed at load.

use assay_numerics::recurrent::{Cell, Gate};

use super::{Number as _, Recurrent, Way};
use crate::error::OpError;
use crate::ops::work::with_float;
use crate::ops::{NodeCx, Op};

/// Reads the activations of all directions: names, then numbers for those that take some.
fn activations(
    cx: &NodeCx<'_>,
    defaults: &[Gate<f32>],
    dirs: usize,
) -> Result<Vec<[Gate<f32>; 3]>, OpError> {
    let count = defaults.len() * dirs;
    let names = cx.strings("activations")?;
    if names.as_ref().is_some_and(|names| names.len() != count) {
        let why = "needs one name per gate and direction";
        return Err(OpError::Attribute {
            name: "activations",
            why,
        });
    }
    let mut alphas = cx
        .floats("activation_alpha")?
        .unwrap_or_default()
        .into_iter();
    let mut betas = cx
        .floats("activation_beta")?
        .unwrap_or_default()
        .into_iter();
    let mut gates = Vec::with_capacity(count);
    for i in 0..count {
        let default = defaults[i % defaults.len()];
        let Some(name) = names.as_ref().and_then(|names| names.get(i)) else {
            gates.push(default);
            continue;
        };
        let mut alpha = |default| alphas.next().unwrap_or(default);
        let mut beta = |default| betas.next().unwrap_or(default);
        gates.push(match name.to_ascii_lowercase().as_str() {
            "relu" => Gate::Relu,
            "tanh" => Gate::Tanh,
            "sigmoid" => Gate::Sigmoid,
            "affine" => Gate::Affine(alpha(1.0), beta(0.0)),
            "leakyrelu" => Gate::LeakyRelu(alpha(0.01)),
            "thresholdedrelu" => Gate::ThresholdedRelu(alpha(1.0)),
            "scaledtanh" => Gate::ScaledTanh(alpha(1.0), beta(1.0)),
            "hardsigmoid" => Gate::HardSigmoid(alpha(0.2), beta(0.5)),
            "elu" => Gate::Elu(alpha(1.0)),
            "softsign" => Gate::Softsign,
            "softplus" => Gate::Softplus,
            _ => {
                let what = "unknown activation";
                return Err(OpError::Text {
                    what,
                    got: name.clone(),
                });
            }
        });
    }
    let direction =
        |gates: &[Gate<f32>]| std::array::from_fn(|i| gates.get(i).copied().unwrap_or(Gate::Tanh));
    Ok(gates.chunks_exact(defaults.len()).map(direction).collect())
}

fn build(cx: &NodeCx<'_>, cell: Cell, defaults: &[Gate<f32>]) -> Result<Box<dyn Op>, OpError> {
    let lstm = matches!(cell, Cell::Lstm { .. });
    cx.arity(if lstm { 3..=8 } else { 3..=6 }, if lstm { 3 } else { 2 })?;
    let ways = match cx.string_or("direction", "forward")?.as_str() {
        "forward" => vec![Way::Forward],
        "reverse" => vec![Way::Reverse],
        "bidirectional" => vec![Way::Forward, Way::Reverse],
        other => {
            let what = "direction must be forward, reverse or bidirectional";
            return Err(OpError::Text {
                what,
                got: other.to_owned(),
            });
        }
    };
    let hidden = match cx.int("hidden_size")? {
        None => None,
        Some(hidden @ 1..=0x7fff_ffff) => Some(hidden as usize),
        Some(_) => {
            return Err(OpError::Attribute {
                name: "hidden_size",
                why: "is out of range",
            });
        }
    };
    let clip = cx.float("clip")?;
    if clip.is_some_and(|clip| clip.is_nan() || clip < 0.0) {
        return Err(OpError::Attribute {
            name: "clip",
            why: "must not be negative",
        });
    }
    if cx.opset() < 7 {
        cx.ignore("output_sequence");
    }
    let mut op = Recurrent {
        cell,
        activations: activations(cx, defaults, ways.len())?,
        ways,
        clip,
        hidden,
        batch_first: cx.opset() >= 14 && cx.flag("layout", false)?,
        packed: None,
    };
    let given = |input: usize| cx.constant(input).map(|tensor| tensor.view());
    let known = |input: usize| !cx.has_input(input) || cx.constant(input).is_some();
    if let (Some(w), Some(r)) = (given(1), given(2))
        && known(3)
        && known(7)
    {
        let peephole = if lstm { given(7) } else { None };
        let dtype = w.dtype();
        op.packed = with_float!(dtype, T => {
            Ok(Some(T::wrap_layers(op.layers::<T>(w, r, given(3), peephole)?)))
        })?;
    }
    Ok(Box::new(op))
}

pub(super) fn rnn(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    build(cx, Cell::Rnn, &[Gate::Tanh])
}

pub(super) fn gru(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    let linear_before_reset = cx.int_or("linear_before_reset", 0)? != 0;
    build(
        cx,
        Cell::Gru {
            linear_before_reset,
        },
        &[Gate::Sigmoid, Gate::Tanh],
    )
}

pub(super) fn lstm(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    let input_forget = cx.int_or("input_forget", 0)? != 0;
    build(
        cx,
        Cell::Lstm { input_forget },
        &[Gate::Sigmoid, Gate::Tanh, Gate::Tanh],
    )
}
