//! MatMul and Gemm.

use std::ops::Range;

use assay_numerics::gemm::{
    Epilogue, Matrix, PackedB, Real, Rhs, Strided, Wrapping, gemm, gemm_batch, matmul_wrapping,
};

use super::dense::{Dense, Packed, macs, pack, want_dense, want_equal, with_dense};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx, broadcast};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::tensor::{Element, Out, View};

/// Runs `$body` with `$T` an integer type that matrix products take.
macro_rules! with_product_integer {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            DType::I32 => {
                type $T = i32;
                $body
            }
            DType::U32 => {
                type $T = u32;
                $body
            }
            DType::I64 => {
                type $T = i64;
                $body
            }
            DType::U64 => {
                type $T = u64;
                $body
            }
            other => Err(OpError::Type {
                what: "a float, int32, uint32, int64 or uint64 tensor",
                got: other,
            }),
        }
    };
}

/// Multiplies the last two dimensions, broadcasting the others.
struct MatMul {
    packed: Option<Packed>,
}

/// Is a product of stacks of matrices with all dimensions found.
#[derive(Debug, PartialEq)]
pub(crate) struct Stack {
    pub(crate) batch: Vec<usize>,
    pub(crate) m: usize,
    pub(crate) k: usize,
    pub(crate) n: usize,
    /// The output's shape: vectors lose the dimension they were given.
    pub(crate) shape: Vec<usize>,
    a_batch: Vec<usize>,
    b_batch: Vec<usize>,
}

impl Stack {
    /// Applies ONNX's (NumPy's) rules to the shapes of the two sides.
    pub(crate) fn new(a: &[usize], b: &[usize]) -> Result<Stack, OpError> {
        let refuse = |why| OpError::Shape {
            why,
            shapes: vec![a.to_vec(), b.to_vec()],
        };
        let (a_batch, m, k) = match a {
            [] => return Err(refuse("a scalar is no matrix")),
            [k] => (&[][..], None, *k),
            [batch @ .., m, k] => (batch, Some(*m), *k),
        };
        let (b_batch, b_k, n) = match b {
            [] => return Err(refuse("a scalar is no matrix")),
            [k] => (&[][..], *k, None),
            [batch @ .., k, n] => (batch, *k, Some(*n)),
        };
        if k != b_k {
            return Err(refuse("inner dimensions differ"));
        }
        let batch = broadcast(a_batch, b_batch)?;
        let shape = batch.iter().copied().chain(m).chain(n).collect();
        let (a_batch, b_batch) = (a_batch.to_vec(), b_batch.to_vec());
        Ok(Stack {
            batch,
            m: m.unwrap_or(1),
            k,
            n: n.unwrap_or(1),
            shape,
            a_batch,
            b_batch,
        })
    }

    /// Counts the multiply-adds.
    pub(crate) fn macs(&self) -> u64 {
        self.batch
            .iter()
            .chain([&self.m, &self.k, &self.n])
            .fold(1u64, |macs, &dim| macs.saturating_mul(dim as u64))
    }

    /// Says whether every product has the same right-hand side, so that rows can be joined.
    fn is_flat(&self) -> bool {
        self.b_batch.iter().all(|&dim| dim == 1)
    }

    /// Returns the number of products.
    fn products(&self) -> usize {
        self.batch.iter().product()
    }

    /// Lists where the sides of some products begin.
    fn offsets(&self, products: Range<usize>) -> Vec<[usize; 2]> {
        let start = |own: &[usize], size: usize, product: usize| {
            let (mut rest, mut stride, mut start) = (product, size, 0);
            for (d, &dim) in self.batch.iter().enumerate().rev() {
                let Some(&own) = (d + own.len())
                    .checked_sub(self.batch.len())
                    .and_then(|d| own.get(d))
                else {
                    break;
                };
                start += if own == 1 { 0 } else { rest % dim * stride };
                stride *= own;
                rest /= dim;
            }
            start
        };
        products
            .map(|product| {
                let a = start(&self.a_batch, self.m * self.k, product);
                let b = start(&self.b_batch, self.k * self.n, product);
                [a, b]
            })
            .collect()
    }

    /// Cuts the output of all products into pieces of bounded length, with their sides' offsets.
    pub(crate) fn for_products<T>(
        &self,
        out: &mut [T],
        mut f: impl FnMut(&[[usize; 2]], &mut [T]),
    ) {
        /// Bounds the offsets held at a time.
        const PRODUCTS: usize = 1 << 12;
        let size = self.m * self.n;
        if size == 0 {
            return;
        }
        let mut first = 0;
        for out in out.chunks_mut(size * PRODUCTS) {
            let next = (first + out.len() / size).min(self.products());
            f(&self.offsets(first..next), out);
            first = next;
        }
    }
}

/// Multiplies floats: packed weights, joined rows, or product by product.
pub(crate) fn multiply<T: Dense>(
    cx: &RunCx<'_>,
    stack: &Stack,
    a: &[T],
    b: &[T],
    packed: Option<&PackedB<T>>,
    out: &mut [T],
) {
    let (engine, epilogue) = (cx.engine(), Epilogue::default());
    if stack.is_flat() {
        let rows = out.len().checked_div(stack.n).unwrap_or(0);
        let a = Matrix::row_major(a, rows, stack.k);
        let b = match packed {
            Some(packed) => Rhs::Packed(packed),
            None => Rhs::Plain(Matrix::row_major(b, stack.k, stack.n)),
        };
        gemm(engine, a, b, &epilogue, out, stack.n);
    } else {
        let a = Strided {
            data: a,
            strides: [stack.k, 1],
        };
        let b = Strided {
            data: b,
            strides: [stack.n, 1],
        };
        let dims = [stack.m, stack.k, stack.n];
        stack.for_products(out, |offsets, out| {
            gemm_batch(engine, a, b, dims, offsets, &epilogue, out);
        });
    }
}

impl Op for MatMul {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let (a, b) = (cx.tensor(0)?, cx.tensor(1)?);
        want_equal(a.dtype, b.dtype)?;
        want_product(a.dtype)?;
        Ok(vec![Fact::tensor(
            a.dtype,
            Stack::new(&a.shape, &b.shape)?.shape,
        )])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let (a, b) = (cx.input(0)?, cx.input(1)?);
        Ok(macs(
            a.dtype,
            Stack::new(&a.shape, &b.shape)?.macs(),
            cx.traffic(),
        ))
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (a, b) = (ins.get(0)?, ins.get(1)?);
        let stack = Stack::new(a.shape, b.shape)?;
        let out = &mut outs[0];
        if a.dtype().is_integer() {
            return with_product_integer!(a.dtype(), T => integers::<T>(cx, &stack, a, b, out));
        }
        with_dense!(a.dtype(), T => {
            let packed = self.packed.as_ref().and_then(T::unwrap);
            let left = T::read(a)?;
            let right = if packed.is_some() { Default::default() } else { T::read(b)? };
            T::write(out, |out| {
                multiply::<T>(cx, &stack, &left, &right, packed, out);
                Ok(())
            })
        })
    }

    fn releases(&self, input: usize) -> bool {
        input == 1 && self.packed.is_some()
    }
}

/// Multiplies integers, wrapping.
fn integers<T: Element + Wrapping>(
    cx: &RunCx<'_>,
    stack: &Stack,
    a: View<'_>,
    b: View<'_>,
    out: &mut Out<'_>,
) -> Result<(), OpError> {
    let a = Strided {
        data: a.as_slice::<T>()?,
        strides: [stack.k, 1],
    };
    let b = Strided {
        data: b.as_slice::<T>()?,
        strides: [stack.n, 1],
    };
    let dims = [stack.m, stack.k, stack.n];
    stack.for_products(out.as_mut::<T>()?, |offsets, out| {
        matmul_wrapping(cx.engine(), a, b, dims, offsets, out);
    });
    Ok(())
}

/// Refuses element types that matrix products do not take.
fn want_product(dtype: DType) -> Result<(), OpError> {
    match dtype {
        DType::I32 | DType::U32 | DType::I64 | DType::U64 => Ok(()),
        other => want_dense(other).map(|_| ()),
    }
}

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
            Some((Spread::Full, c)) => full = Some(c),
            None => {}
        }
        let left = view(&left, [m, k], self.transposed[0]);
        T::write(out, |out| {
            gemm(cx.engine(), left, rhs, &epilogue, out, n);
            if let Some(c) = full {
                for (out, c) in out.iter_mut().zip(c.iter()) {
                    *out = Real::canonical(Real::plus(*out, *c));
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
        want_equal(a.dtype, b.dtype)?;
        want_product(a.dtype)?;
        if a.dtype.is_integer() && (self.alpha != 1.0 || self.beta != 1.0) {
            let what = "Gemm of integers with alpha or beta other than 1".into();
            return Err(OpError::Unsupported { what });
        }
        let [m, _, n] = self.dims(&a.shape, &b.shape)?;
        if let Some(c) = cx.optional(2)? {
            want_equal(a.dtype, c.dtype)?;
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
        let elements = cx.output(0)?.count();
        Ok(macs(
            a.dtype,
            count,
            Cost {
                elements,
                ..cx.traffic()
            },
        ))
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let dtype = ins.get(0)?.dtype();
        let out = &mut outs[0];
        if dtype.is_integer() {
            return with_product_integer!(dtype, T => self.run_integer::<T>(cx, ins, out));
        }
        with_dense!(dtype, T => self.run_float::<T>(cx, ins, out))
    }

    fn releases(&self, input: usize) -> bool {
        input == 1 && self.packed.is_some()
    }
}

fn build_matmul(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    Ok(Box::new(MatMul {
        packed: pack(cx.constant(1), false)?,
    }))
}

fn build_gemm(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=3, 1)?;
    let transposed = [cx.flag("transA", false)?, cx.flag("transB", false)?];
    Ok(Box::new(Gemm {
        alpha: cx.float_or("alpha", 1.0)?,
        beta: cx.float_or("beta", 1.0)?,
        transposed,
        packed: pack(cx.constant(1), transposed[1])?,
    }))
}

/// Lists the family.
pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("MatMul", 1, build_matmul),
    Entry::onnx("Gemm", 7, build_gemm),
];
