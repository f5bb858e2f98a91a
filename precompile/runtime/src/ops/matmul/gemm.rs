//! Gemm: alpha * A' * B' + beta * C.

use assay_numerics::gemm::{
    Epilogue, Matrix, Real, Rhs, Strided, Wrapping, gemm, matmul_wrapping, packed_for_call,
};

use super::{want_product, with_product_integer};
use crate::cost::Cost;
use crate::error::OpError;
use crate::ops::dense::{Dense, PACKED_ROW, Packed, pack, stacked, work_bytes};
use crate::ops::work::{want_same, with_float};
use crate::ops::{self, CostCx, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::tensor::{Element, Out, View};

/// Computes alpha * A' * B' + beta * C, either side transposed on request.
struct Gemm {
    alpha: f32,
    beta: f32,
    transposed: [bool; 2],
    packed: Option<Packed>,
}

/// Says how C spreads over the output.
#[derive(Clone, Copy, PartialEq)]
enum Spread {
    Column,
    Row,
    Full,
}

impl Gemm {
    /// Finds m, k and n.
    fn dims(&self, a: &[usize], b: &[usize]) -> Result<[usize; 3], OpError> {
        let refuse = |why| OpError::Shape {
            why,
            shapes: vec![a.to_vec(), b.to_vec()],
        };
        let (&[a0, a1], &[b0, b1]) = (a, b) else {
            return Err(refuse("Gemm takes matrices"));
        };
        let [m, k] = if self.transposed[0] {
            [a1, a0]
        } else {
            [a0, a1]
        };
        let [b_k, n] = if self.transposed[1] {
            [b1, b0]
        } else {
            [b0, b1]
        };
        if k != b_k {
            return Err(refuse("inner dimensions differ"));
        }
        Ok([m, k, n])
    }

    /// Finds how C is added; refuses shapes that do not broadcast to the output.
    fn spread(c: &[usize], m: usize, n: usize) -> Result<Spread, OpError> {
        let (rows, columns) = match *c {
            [] => (1, 1),
            [columns] => (1, columns),
            [rows, columns] => (rows, columns),
            _ => (0, 0),
        };
        let fits = |dim, size| dim == 1 || dim == size;
        if !fits(rows, m) || !fits(columns, n) || c.len() > 2 {
            return Err(OpError::Shape {
                why: "C does not broadcast to the output",
                shapes: vec![c.to_vec(), vec![m, n]],
            });
        }
        Ok(match (rows, columns) {
            (1, _) => Spread::Column,
            (_, 1) => Spread::Row,
            _ => Spread::Full,
        })
    }

    fn run_float<T: Dense>(
        &self,
        cx: &RunCx<'_>,
        ins: Ins<'_>,
        out: &mut Out<'_>,
    ) -> Result<(), OpError> {
        let (a, b) = (ins.get(0)?, ins.get(1)?);
        let [m, k, n] = self.dims(a.shape, b.shape)?;
        let left = T::read(a)?;
        let packed = self.packed.as_ref().and_then(T::unwrap);
        let right = if packed.is_some() {
            Default::default()
        } else {
            T::read(b)?
        };
        let view = |data, [rows, columns]: [usize; 2], transposed| match transposed {
            true => Matrix::row_major(data, columns, rows).transposed(),
            false => Matrix::row_major(data, rows, columns),
        };
        let rhs = match packed {
            Some(packed) => Rhs::Packed(packed),
            None => Rhs::Plain(view(&right, [k, n], self.transposed[1])),
        };
        let addend = match ins.optional(2) {
            Some(c) => Some((Self::spread(c.shape, m, n)?, self.scaled::<T>(c)?)),
            None => None,
        };
        let mut epilogue = Epilogue {
            alpha: T::of(self.alpha),
            relu: cx.finish().relu,
            ..Epilogue::default()
        };
        let repeated;
        let mut full = None;
        match &addend {
            Some((Spread::Column, c)) if c.len() == n => epilogue.column_bias = Some(c),
            Some((Spread::Column, c)) => {
                repeated = vec![c.first().copied().unwrap_or(T::ZERO); n];
                epilogue.column_bias = Some(&repeated);
            }
            Some((Spread::Row, c)) => epilogue.row_bias = Some(c),
            Some((Spread::Full, c)) => {
                full = Some(c);
                epilogue.relu = false;
            }
            None => {}
        }
        let left = view(&left, [m, k], self.transposed[0]);
        T::write(out, |out| {
            gemm(cx.engine(), left, rhs, &epilogue, out, n);
            if let Some(c) = full {
                let relu = cx.finish().relu;
                for (out, c) in out.iter_mut().zip(c.iter()) {
                    let sum = Real::canonical(Real::plus(*out, *c));
                    *out = if relu && sum <= T::ZERO { T::ZERO } else { sum };
                }
            }
            Ok(())
        })
    }

    /// Reads beta * C; C itself when beta is 1.
    fn scaled<'v, T: Dense>(&self, c: View<'v>) -> Result<std::borrow::Cow<'v, [T]>, OpError> {
        let c = T::read(c)?;
        if self.beta == 1.0 {
            return Ok(c);
        }
        let beta = T::of(self.beta);
        Ok(c.iter().map(|c| Real::times(beta, *c)).collect())
    }

    fn run_integer<T: Element + Wrapping>(
        &self,
        cx: &RunCx<'_>,
        ins: Ins<'_>,
        out: &mut Out<'_>,
    ) -> Result<(), OpError> {
        let (a, b) = (ins.get(0)?, ins.get(1)?);
        let [m, k, n] = self.dims(a.shape, b.shape)?;
        let [ta, tb] = self.transposed;
        let a_strides = if ta { [1, m] } else { [k, 1] };
        let b_strides = if tb { [1, k] } else { [n, 1] };
        let a = Strided {
            data: a.as_slice::<T>()?,
            strides: a_strides,
        };
        let b = Strided {
            data: b.as_slice::<T>()?,
            strides: b_strides,
        };
        let out = out.as_mut::<T>()?;
        matmul_wrapping(cx.engine(), a, b, [m, k, n], &[[0, 0]], out);
        let Some(c) = ins.optional(2) else {
            return Ok(());
        };
        let spread = Self::spread(c.shape, m, n)?;
        let c = c.as_slice::<T>()?;
        for (i, out) in out.iter_mut().enumerate() {
            let at = match spread {
                Spread::Column if c.len() == 1 => 0,
                Spread::Column => i % n,
                Spread::Row => i / n,
                Spread::Full => i,
            };
            *out = out.add_product(T::ONE, c[at]);
        }
        Ok(())
    }
}

impl Op for Gemm {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (a, b) = (cx.tensor(0)?, cx.tensor(1)?);
        want_same(a.dtype, b.dtype)?;
        want_product(a.dtype)?;
        if a.dtype.is_integer() && (self.alpha != 1.0 || self.beta != 1.0) {
            let what = "Gemm of integers with alpha or beta other than 1".into();
            return Err(OpError::Unsupported { what });
        }
        let [m, _, n] = self.dims(&a.shape, &b.shape)?;
        if let Some(c) = cx.optional(2)? {
            want_same(a.dtype, c.dtype)?;
            Self::spread(&c.shape, m, n)?;
        }
        Ok(vec![Fact::tensor(a.dtype, [m, n])])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let (a, b) = (cx.input(0)?, cx.input(1)?);
        let dims = self.dims(&a.shape, &b.shape)?;
        let count = dims
            .iter()
            .fold(1u64, |n, &dim| n.saturating_mul(dim as u64));
        let (k, n) = (dims[1] as u64, dims[2] as u64);
        let packing = match (&self.packed, self.transposed[1]) {
            (Some(_), _) => 0,
            (None, false) => k.saturating_mul(PACKED_ROW),
            (None, true) => k.saturating_mul(PACKED_ROW.max(n.saturating_mul(4))),
        };
        stacked(cx, a.dtype, count, 1, packing)
    }

    fn temporary_bytes(&self, cx: &CostCx<'_>) -> Result<u64, OpError> {
        let (a, b) = (cx.input(0)?, cx.input(1)?);
        if a.dtype.is_integer() {
            return Ok(0);
        }
        let [m, k, n] = self.dims(&a.shape, &b.shape)?;
        let packed = match self.packed {
            Some(_) => 0,
            None => packed_for_call([m, k, n], !self.transposed[1]),
        };
        // beta * C, or one number of it repeated for every column.
        let addend = match cx.optional(2)? {
            Some(c) if self.beta != 1.0 => c.count().saturating_add(n as u64),
            Some(_) => n as u64,
            None => 0,
        };
        Ok(work_bytes(a.dtype, packed.saturating_add(addend)))
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let dtype = ins.get(0)?.dtype();
        let out = &mut outs[0];
        if dtype.is_integer() {
            return with_product_integer!(dtype, T => self.run_integer::<T>(cx, ins, out));
        }
        with_float!(dtype, T => self.run_float::<T>(cx, ins, out))
    }

    fn releases(&self, input: usize) -> bool {
        input == 1 && self.packed.is_some()
    }

    fn accepts(&self, epilogue: ops::Epilogue) -> bool {
        epilogue == ops::Epilogue::Relu
    }
}

pub(super) fn build(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=3, 1)?;
    let transposed = [cx.flag("transA", false)?, cx.flag("transB", false)?];
    Ok(Box::new(Gemm {
        alpha: cx.float_or("alpha", 1.0)?,
        beta: cx.float_or("beta", 1.0)?,
        transposed,
        packed: pack(cx.constant(1), transposed[1])?,
    }))
}
