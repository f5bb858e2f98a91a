//! Pow: powers of floats and integers, with an exponent of any number type.

use assay_numerics::broadcast::Broadcast;
use assay_numerics::cast::{CastTo, cast};
use assay_numerics::elementwise::{Arith, Number, arith, integer_power};
use assay_numerics::math::pow_f64;

use super::cast::{CastRule, convert};
use super::map::transcendental;
use super::work::{Work, is_work_float, with_float, with_integer};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx, broadcast};
use crate::cost::Cost;
use crate::error::OpError;
use crate::tensor::{Data, Element, Out, View};

/// Raises input 0 to the power of input 1; the result has the type of input 0.
struct Pow;

/// Converts a tensor's elements to another plain type.
fn converted<T: Element>(view: View<'_>) -> Result<Vec<T>, OpError> {
    let mut data = Data::zeros(T::DTYPE, view.len());
    convert(CastRule::default(), view.data, &mut data)?;
    match T::slice(&data) {
        Some(values) => Ok(values.to_vec()),
        None => Err(OpError::ElementType {
            expected: T::DTYPE,
            got: data.dtype(),
        }),
    }
}

/// Writes each input of a broadcast out to the output's shape.
fn expanded<T: Number>(
    cx: &RunCx<'_>,
    shape: &[usize],
    (from, values): (&[usize], Vec<T>),
) -> Result<Vec<T>, OpError> {
    if from == shape {
        return Ok(values);
    }
    let plan = Broadcast::new(shape, [from, from]);
    let mut out = vec![T::default(); plan.len()];
    arith(cx.engine(), Arith::Max, &plan, &values, &values, &mut out)?;
    Ok(out)
}

impl Pow {
    fn floats<T: Work>(
        cx: &RunCx<'_>,
        (x, y): (View<'_>, View<'_>),
        out: &mut Out<'_>,
    ) -> Result<(), OpError> {
        let shape = out.shape;
        let base = T::read(x)?;
        // The exponent is rounded to the type that the power is computed in.
        let exponent = converted::<T>(y)?;
        T::write(out, |out| {
            if let ([exponent], true) = (exponent.as_slice(), base.len() == out.len()) {
                out.copy_from_slice(&base);
                T::power_in_place(cx.engine(), out, *exponent);
                return Ok(());
            }
            let base = expanded(cx, shape, (x.shape, base.into_owned()))?;
            let exponent = expanded(cx, shape, (y.shape, exponent))?;
            T::power(cx.engine(), &base, &exponent, out);
            Ok(())
        })
    }

    /// Computes the power in f64 and converts it back as a cast does.
    fn integer_to_float<T: Element>(
        cx: &RunCx<'_>,
        (x, y): (View<'_>, View<'_>),
        shape: &[usize],
        out: &mut [T],
    ) -> Result<(), OpError>
    where
        f64: CastTo<T>,
    {
        let base = expanded(cx, shape, (x.shape, converted::<f64>(x)?))?;
        let exponent = expanded(cx, shape, (y.shape, converted::<f64>(y)?))?;
        let mut powers = vec![0.0; out.len()];
        pow_f64(cx.engine(), &base, &exponent, &mut powers);
        cast(&powers, out);
        Ok(())
    }
}

/// Brings an exponent into i64 without changing any wrapped power: modulo 2^64 the 2^62-th power of
/// an odd number is 1, and every power from the 64th on of an even number is 0.
fn reduced(exponent: u64) -> i64 {
    const PERIOD: u64 = 1 << 62;
    i64::try_from(exponent).unwrap_or((exponent % PERIOD + PERIOD) as i64)
}

impl Op for Pow {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (x, y) = (cx.tensor(0)?, cx.tensor(1)?);
        for dtype in [x.dtype, y.dtype] {
            if !is_work_float(dtype) {
                with_integer!(dtype, T => Ok(core::mem::size_of::<T>()))?;
            }
        }
        Ok(vec![Fact::tensor(x.dtype, broadcast(&x.shape, &y.shape)?)])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let (x, y) = (cx.input(0)?, cx.input(1)?);
        if is_work_float(x.dtype) || !is_work_float(y.dtype) {
            // A power is a logarithm and an exponential.
            let cost = transcendental(cx)?;
            return Ok(Cost {
                transcendentals: cost.transcendentals.saturating_mul(2),
                ..cost
            });
        }
        let transcendentals = cx
            .output(0)?
            .count()
            .saturating_mul(super::map::WIDE_FACTOR);
        Ok(Cost {
            transcendentals,
            ..cx.traffic()
        })
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (x, y) = (ins.get(0)?, ins.get(1)?);
        let out = &mut outs[0];
        let shape = out.shape;
        if is_work_float(x.dtype()) {
            return with_float!(x.dtype(), T => Pow::floats::<T>(cx, (x, y), out));
        }
        if is_work_float(y.dtype()) {
            return with_integer!(x.dtype(), T => {
                Pow::integer_to_float::<T>(cx, (x, y), shape, out.as_mut()?)
            });
        }
        let plan = Broadcast::new(shape, [x.shape, y.shape]);
        let exponent = match y.data {
            Data::U64(v) => v.iter().map(|e| reduced(*e)).collect(),
            _ => converted::<i64>(y)?,
        };
        with_integer!(x.dtype(), T => {
            Ok(integer_power(&plan, x.as_slice::<T>()?, &exponent, out.as_mut()?)?)
        })
    }
}

fn pow(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    Ok(Box::new(Pow))
}

pub(crate) const TABLE: &[Entry] = &[Entry::onnx("Pow", 7, pow)];
