//! MatMul and Gemm.

mod gemm;

use std::ops::Range;

use assay_numerics::gemm::{
    Epilogue, Matrix, PackedB, Rhs, Strided, Wrapping, gemm, gemm_batch, matmul_wrapping,
    packed_for_call,
};

use super::dense::{Dense, PACKED_ROW, Packed, pack, stacked, work_bytes};
use super::work::{WorkFloat, want_float, want_same, with_float};
use super::{CostCx, Entry, Fact, InferCx, Ins, NodeCx, Op, RunCx, broadcast};
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::ops;
use crate::tensor::{Element, Out, View};

/// Runs `$body` with `$T` an integer type that matrix products take.
macro_rules! with_product_integer {
    ($dtype:expr, $T:ident => $body:expr) => {
        $crate::ops::work::with_types!($dtype, $T => $body;
            "a float, int32, uint32, int64 or uint64 tensor";
            I32: i32, U32: u32, I64: i64, U64: u64)
    };
}
use with_product_integer;

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
    let engine = cx.engine();
    let epilogue = Epilogue {
        column_bias: cx.finish().add.and_then(T::slice),
        relu: cx.finish().relu,
        ..Epilogue::default()
    };
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
        want_same(a.dtype, b.dtype)?;
        want_product(a.dtype)?;
        Ok(vec![Fact::tensor(
            a.dtype,
            Stack::new(&a.shape, &b.shape)?.shape,
        )])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        let (a, b) = (cx.input(0)?, cx.input(1)?);
        let stack = Stack::new(&a.shape, &b.shape)?;
        let batches = cx.output(0)?.count() / ((stack.m * stack.n) as u64).max(1);
        let packing = match self.packed {
            Some(_) => 0,
            None => batches
                .saturating_mul(stack.k as u64)
                .saturating_mul(PACKED_ROW),
        };
        stacked(cx, a.dtype, stack.macs(), batches, packing)
    }

    fn temporary_bytes(&self, cx: &CostCx<'_>) -> Result<u64, OpError> {
        let (a, b) = (cx.input(0)?, cx.input(1)?);
        if self.packed.is_some() || a.dtype.is_integer() {
            return Ok(0);
        }
        let stack = Stack::new(&a.shape, &b.shape)?;
        let rows = match stack.is_flat() {
            true => stack.products().saturating_mul(stack.m),
            false => stack.m,
        };
        let packed = packed_for_call([rows, stack.k, stack.n], true);
        Ok(work_bytes(a.dtype, packed))
    }

    fn run(&self, cx: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        let (a, b) = (ins.get(0)?, ins.get(1)?);
        let stack = Stack::new(a.shape, b.shape)?;
        let out = &mut outs[0];
        if a.dtype().is_integer() {
            return with_product_integer!(a.dtype(), T => integers::<T>(cx, &stack, a, b, out));
        }
        with_float!(a.dtype(), T => {
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

    fn accepts(&self, _: ops::Epilogue) -> bool {
        // Packed weights are one matrix: rows are joined, and columns are the output's last axis.
        self.packed.is_some()
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
        other => want_float(other).map(|_| ()),
    }
}

fn build_matmul(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(2..=2, 1)?;
    Ok(Box::new(MatMul {
        packed: pack(cx.constant(1), false)?,
    }))
}

/// Lists the family.
pub(crate) const TABLE: &[Entry] = &[
    Entry::onnx("MatMul", 1, build_matmul),
    Entry::onnx("Gemm", 7, gemm::build),
];
