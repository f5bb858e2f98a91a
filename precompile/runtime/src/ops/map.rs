//! Operators on the elements of one tensor: signs, roundings, transcendentals, activations, Clip.

use assay_numerics::Engine;
use assay_numerics::elementwise::{self, Activation, Unary, activate, clip};
use assay_numerics::float::Float as _;
use assay_numerics::math::{self, double, wide_activation};

use super::work::{
    Work, WorkFloat, is_work_float, want_float, want_same, with_float, with_integer,
};
use super::{CostCx, Entry, Epilogue, Fact, InferCx, Ins, NodeCx, Op, Pass, RunCx};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Element, Out, View};

/// How many f32 transcendentals one in f64 takes the time of.
pub(crate) const WIDE_FACTOR: u64 = 256;

type Kernel<T> = Box<dyn Fn(&Engine, &[T], &mut [T]) + Send + Sync>;

/// Maps a float tensor by a kernel for f32 and one for f64.
struct FloatMap {
    narrow: Kernel<f32>,
    wide: Kernel<f64>,
    transcendental: bool,
}

impl Op for FloatMap {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        Ok(vec![Fact::tensor(want_float(x.dtype)?, x.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        if self.transcendental {
            transcendental(cx)
        } else {
            cx.elementwise()
        }
    }

    fn pass(&self) -> Option<Pass<'_>> {
        Some(Pass::Map(&*self.narrow))
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = ins.get(0)?;
        if x.dtype() == DType::F64 {
            (self.wide)(cx.engine(), x.as_slice::<f64>()?, outs[0].as_mut::<f64>()?);
            return Ok(());
        }
        let x = f32::read(x)?;
        f32::write(&mut outs[0], |out| {
            (self.narrow)(cx.engine(), &x, out);
            Ok(())
        })
    }
}

/// Counts one transcendental for each output element; in f64 it takes wide arithmetic, worth
/// [`WIDE_FACTOR`] of those in f32.
pub(crate) fn transcendental(cx: &CostCx<'_>) -> Result<Cost, OpError> {
    let out = cx.output(0)?;
    Ok(Cost {
        transcendentals: out.count().saturating_mul(wide_factor(out.dtype)),
        ..cx.traffic()
    })
}

/// Returns how many f32 transcendentals one of a type takes the time of.
pub(crate) fn wide_factor(dtype: DType) -> u64 {
    if dtype == DType::F64 { WIDE_FACTOR } else { 1 }
}

/// Makes an operator of a function that is not transcendental.
fn exact(
    cx: &NodeCx<'_>,
    op: Activation<f32>,
    wide: Activation<f64>,
) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    Ok(Box::new(FloatMap {
        narrow: Box::new(move |engine, x, out| activate(engine, op, x, out)),
        wide: Box::new(move |engine, x, out| activate(engine, wide, x, out)),
        transcendental: false,
    }))
}

/// Makes an operator of a transcendental function: the f32 kernel and the f64 kernel.
fn function(
    cx: &NodeCx<'_>,
    narrow: impl Fn(&Engine, &[f32], &mut [f32]) + Send + Sync + 'static,
    wide: impl Fn(&Engine, &[f64], &mut [f64]) + Send + Sync + 'static,
) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    Ok(Box::new(FloatMap {
        narrow: Box::new(narrow),
        wide: Box::new(wide),
        transcendental: true,
    }))
}

/// Makes an f64 kernel of a function of one number.
fn each(
    f: impl Fn(f64) -> f64 + Send + Sync,
) -> impl Fn(&Engine, &[f64], &mut [f64]) + Send + Sync {
    move |_, x, out| {
        for (o, x) in out.iter_mut().zip(x) {
            *o = f(*x);
        }
    }
}

/// Computes a sign operator on any number type.
struct SignOp {
    op: Unary,
}

impl Op for SignOp {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        if !is_work_float(x.dtype) {
            with_integer!(x.dtype, T => Ok(core::mem::size_of::<T>()))?;
        }
        Ok(vec![Fact::tensor(x.dtype, x.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        cx.elementwise()
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = ins.get(0)?;
        if is_work_float(x.dtype()) {
            with_float!(x.dtype(), T => {
                let x = T::read(x)?;
                T::write(&mut outs[0], |out| {
                    elementwise::unary(cx.engine(), self.op, &x, out);
                    Ok(())
                })
            })
        } else {
            with_integer!(x.dtype(), T => {
                let out = outs[0].as_mut::<T>()?;
                elementwise::unary(cx.engine(), self.op, x.as_slice::<T>()?, out);
                Ok(())
            })
        }
    }
}

/// Replaces negative values by zero, on floats and integers.
struct Relu;

fn relu_f32(engine: &Engine, x: &[f32], out: &mut [f32]) {
    activate(engine, Activation::Relu, x, out);
}

impl Op for Relu {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        SignOp { op: Unary::Abs }.infer(cx)
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        cx.elementwise()
    }

    fn epilogue(&self) -> Option<Epilogue> {
        Some(Epilogue::Relu)
    }

    fn pass(&self) -> Option<Pass<'_>> {
        Some(Pass::Map(&relu_f32))
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = ins.get(0)?;
        if is_work_float(x.dtype()) {
            with_float!(x.dtype(), T => {
                let x = T::read(x)?;
                T::write(&mut outs[0], |out| {
                    activate::<T>(cx.engine(), Activation::Relu, &x, out);
                    Ok(())
                })
            })
        } else {
            with_integer!(x.dtype(), T => {
                let out = outs[0].as_mut::<T>()?;
                clip(cx.engine(), 0, T::MAX, x.as_slice::<T>()?, out);
                Ok(())
            })
        }
    }
}

/// Clamps between bounds that are attributes (before opset 11) or optional inputs.
struct Clip {
    attributes: Option<(f32, f32)>,
}

/// Reads a bound that is a scalar input.
fn bound<T: Element + Copy>(view: Option<View<'_>>, default: T) -> Result<T, OpError> {
    match view {
        None => Ok(default),
        Some(view) => match view.as_slice::<T>()? {
            [value] => Ok(*value),
            _ => Err(OpError::Shape {
                why: "a bound must be a scalar",
                shapes: vec![view.shape.to_vec()],
            }),
        },
    }
}

impl Clip {
    fn floats<T: Work>(
        &self,
        cx: &RunCx<'_>,
        ins: Ins<'_>,
        out: &mut Out<'_>,
    ) -> Result<(), OpError> {
        let x = T::read(ins.get(0)?)?;
        let (low, high) = match self.attributes {
            Some((low, high)) => (T::of(low), T::of(high)),
            None => {
                let read = |i: usize, default: T| -> Result<T, OpError> {
                    let Some(view) = ins.optional(i) else {
                        return Ok(default);
                    };
                    match T::read(view)?.as_ref() {
                        [value] => Ok(*value),
                        _ => Err(OpError::Shape {
                            why: "a bound must be a scalar",
                            shapes: vec![view.shape.to_vec()],
                        }),
                    }
                };
                (read(1, -T::INFINITY)?, read(2, T::INFINITY)?)
            }
        };
        T::write(out, |out| {
            clip(cx.engine(), low, high, &x, out);
            Ok(())
        })
    }
}

impl Op for Clip {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        for i in 1..3 {
            if let Some(bound) = cx.optional(i)? {
                want_same(x.dtype, bound.dtype)?;
            }
        }
        SignOp { op: Unary::Abs }.infer(cx)
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        cx.elementwise()
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let x = ins.get(0)?;
        if is_work_float(x.dtype()) {
            return with_float!(x.dtype(), T => self.floats::<T>(cx, ins, &mut outs[0]));
        }
        with_integer!(x.dtype(), T => {
            let low = bound(ins.optional(1), T::MIN)?;
            let high = bound(ins.optional(2), T::MAX)?;
            clip(cx.engine(), low, high, x.as_slice::<T>()?, outs[0].as_mut::<T>()?);
            Ok(())
        })
    }
}

/// Multiplies the Swish of a gate by a second input of its shape.
struct SwiGlu {
    alpha: f32,
}

impl Op for SwiGlu {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (gate, x) = (cx.tensor(0)?, cx.tensor(1)?);
        want_same(want_float(gate.dtype)?, x.dtype)?;
        if gate.shape != x.shape {
            return Err(OpError::Shape {
                why: "gate and input must have one shape",
                shapes: vec![gate.shape.clone(), x.shape.clone()],
            });
        }
        Ok(vec![Fact::tensor(gate.dtype, gate.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let elements = cx.output(0)?.count();
        Ok(Cost {
            elements,
            ..transcendental(cx)?
        })
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (gate, x) = (ins.get(0)?, ins.get(1)?);
        if gate.dtype() == DType::F64 {
            let alpha = f64::from(self.alpha);
            let (gate, x) = (gate.as_slice::<f64>()?, x.as_slice::<f64>()?);
            for ((out, gate), x) in outs[0].as_mut::<f64>()?.iter_mut().zip(gate).zip(x) {
                *out = (wide_activation::swish(alpha, *gate) * *x).canonical();
            }
            return Ok(());
        }
        let (gate, x) = (f32::read(gate)?, f32::read(x)?);
        f32::write(&mut outs[0], |out| {
            math::swish_f32(cx.engine(), self.alpha, &gate, out);
            for (out, x) in out.iter_mut().zip(x.iter()) {
                *out = (*out * *x).canonical();
            }
            Ok(())
        })
    }
}

fn swiglu(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    Ok(Box::new(SwiGlu {
        alpha: cx.float_or("alpha", 1.0)?,
    }))
}

fn sign_op(cx: &NodeCx<'_>, op: Unary) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    Ok(Box::new(SignOp { op }))
}

fn relu(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    Ok(Box::new(Relu))
}

fn clip_op(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    if cx.opset() >= 11 {
        cx.arity(1..=3, 1)?;
        return Ok(Box::new(Clip { attributes: None }));
    }
    cx.arity(1..=1, 1)?;
    let low = cx.float_or("min", f32::MIN)?;
    let high = cx.float_or("max", f32::MAX)?;
    Ok(Box::new(Clip {
        attributes: Some((low, high)),
    }))
}

fn leaky_relu(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    let alpha = cx.float_or("alpha", 0.01)?;
    let wide = f64::from(alpha);
    exact(
        cx,
        Activation::LeakyRelu { alpha },
        Activation::LeakyRelu { alpha: wide },
    )
}

fn thresholded_relu(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    let alpha = cx.float_or("alpha", 1.0)?;
    let wide = f64::from(alpha);
    exact(
        cx,
        Activation::ThresholdedRelu { alpha },
        Activation::ThresholdedRelu { alpha: wide },
    )
}

fn hard_sigmoid(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    let (alpha, beta) = (cx.float_or("alpha", 0.2)?, cx.float_or("beta", 0.5)?);
    let wide = Activation::HardSigmoid {
        alpha: f64::from(alpha),
        beta: f64::from(beta),
    };
    exact(cx, Activation::HardSigmoid { alpha, beta }, wide)
}

fn shrink(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    let (bias, lambda) = (cx.float_or("bias", 0.0)?, cx.float_or("lambd", 0.5)?);
    let wide = Activation::Shrink {
        bias: f64::from(bias),
        lambda: f64::from(lambda),
    };
    exact(cx, Activation::Shrink { bias, lambda }, wide)
}

/// Makes an operator of a transcendental function that takes `alpha`.
fn with_alpha(
    cx: &NodeCx<'_>,
    narrow: fn(&Engine, f32, &[f32], &mut [f32]),
    wide: fn(f64, f64) -> f64,
) -> Result<Box<dyn Op>, OpError> {
    let alpha = cx.float_or("alpha", 1.0)?;
    function(
        cx,
        move |engine, x, out| narrow(engine, alpha, x, out),
        each(move |x| wide(f64::from(alpha), x)),
    )
}

fn selu(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    let alpha = cx.float_or("alpha", 1.673_263_2)?;
    let gamma = cx.float_or("gamma", 1.050_701)?;
    let wide = each(move |x| wide_activation::selu(f64::from(alpha), f64::from(gamma), x));
    function(
        cx,
        move |engine, x, out| math::selu_f32(engine, alpha, gamma, x, out),
        wide,
    )
}

fn gelu(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    match cx.string_or("approximate", "none")?.as_str() {
        "none" => function(cx, math::gelu_erf_f32, each(wide_activation::gelu_erf)),
        "tanh" => function(cx, math::gelu_tanh_f32, each(wide_activation::gelu_tanh)),
        _ => Err(OpError::Attribute {
            name: "approximate",
            why: "must be none or tanh",
        }),
    }
}

macro_rules! exact_entry {
    ($name:literal, $since:literal, $op:ident) => {
        Entry::onnx($name, $since, |cx| {
            exact(cx, Activation::$op, Activation::$op)
        })
    };
}

macro_rules! math_entry {
    ($name:literal, $since:literal, $narrow:ident, $wide:expr) => {
        Entry::onnx($name, $since, |cx| function(cx, math::$narrow, $wide))
    };
}

pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("Neg", 6, |cx| sign_op(cx, Unary::Neg)),
    Entry::onnx("Abs", 6, |cx| sign_op(cx, Unary::Abs)),
    Entry::onnx("Sign", 9, |cx| sign_op(cx, Unary::Sign)),
    Entry::onnx("Relu", 6, relu),
    Entry::onnx("Clip", 6, clip_op),
    exact_entry!("Ceil", 6, Ceil),
    exact_entry!("Floor", 6, Floor),
    exact_entry!("Round", 11, Round),
    exact_entry!("Reciprocal", 6, Reciprocal),
    exact_entry!("Sqrt", 6, Sqrt),
    exact_entry!("Softsign", 1, Softsign),
    exact_entry!("HardSwish", 14, HardSwish),
    Entry::onnx("LeakyRelu", 6, leaky_relu),
    Entry::onnx("ThresholdedRelu", 10, thresholded_relu),
    Entry::onnx("HardSigmoid", 6, hard_sigmoid),
    Entry::onnx("Shrink", 9, shrink),
    math_entry!("Exp", 6, exp_f32, double::exp_f64),
    math_entry!("Log", 6, ln_f32, double::ln_f64),
    math_entry!("Sin", 7, sin_f32, double::sin_f64),
    math_entry!("Cos", 7, cos_f32, double::cos_f64),
    math_entry!("Tan", 7, tan_f32, double::tan_f64),
    math_entry!("Asin", 7, asin_f32, double::asin_f64),
    math_entry!("Acos", 7, acos_f32, double::acos_f64),
    math_entry!("Atan", 7, atan_f32, double::atan_f64),
    math_entry!("Sinh", 9, sinh_f32, double::sinh_f64),
    math_entry!("Cosh", 9, cosh_f32, double::cosh_f64),
    math_entry!("Tanh", 6, tanh_f32, double::tanh_f64),
    math_entry!("Asinh", 9, asinh_f32, double::asinh_f64),
    math_entry!("Acosh", 9, acosh_f32, double::acosh_f64),
    math_entry!("Atanh", 9, atanh_f32, double::atanh_f64),
    math_entry!("Erf", 9, erf_f32, double::erf_f64),
    math_entry!("Sigmoid", 6, sigmoid_f32, each(wide_activation::sigmoid)),
    math_entry!("Softplus", 1, softplus_f32, each(wide_activation::softplus)),
    math_entry!("Mish", 18, mish_f32, each(wide_activation::mish)),
    Entry::onnx("Elu", 6, |cx| {
        with_alpha(cx, math::elu_f32, wide_activation::elu)
    }),
    Entry::onnx("Selu", 6, selu),
    Entry::onnx("Celu", 12, |cx| {
        with_alpha(cx, math::celu_f32, wide_activation::celu)
    }),
    Entry::onnx("Swish", 24, |cx| {
        with_alpha(cx, math::swish_f32, wide_activation::swish)
    }),
    Entry::onnx("SwiGLU", 28, swiglu),
    Entry::onnx("Gelu", 20, gelu),
];
