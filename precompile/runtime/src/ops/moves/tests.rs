//! Rules of the moving operators that the ONNX node tests leave open.

use assay_numerics::{Engine, Isa};

use super::super::testing::{Case, count, ints};
use super::strided::{Strided, row_major};
use crate::tensor::{Data, Tensor};
use proptest::prelude::*;

fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.as_slice::<f32>().expect("floats").to_vec()
}

fn texts(shape: &[usize], values: &[&str]) -> Tensor {
    let values: Vec<String> = values.iter().map(|text| (*text).to_owned()).collect();
    Tensor::from_vec(shape.to_vec(), values).expect("fills the shape")
}

/// Walks every index of a shape.
fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
    shape.iter().fold(vec![vec![]], |all, &dim| {
        all.iter()
            .flat_map(|at| (0..dim).map(move |i| [at.as_slice(), &[i]].concat()))
            .collect()
    })
}

#[test]
fn reshape_resolves_zero_and_minus_one() {
    let reshape = |sizes: &[i64]| {
        Case::new("Reshape", 13, 1)
            .input(count(&[2, 3, 4]))
            .input(ints(sizes))
    };
    assert_eq!(reshape(&[0, -1]).tensor().shape(), [2, 12]);
    assert_eq!(reshape(&[-1]).tensor().shape(), [24]);
    assert!(reshape(&[-1, -1]).refusal().contains("-1 (once)"));
    assert!(
        reshape(&[5, -1])
            .refusal()
            .contains("element counts differ")
    );
    assert!(
        reshape(&[1 << 62, 1 << 62])
            .refusal()
            .contains("element counts differ")
    );
    assert!(reshape(&[1, 1, 1, 0]).refusal().contains("axis 3"));
}

#[test]
fn hostile_sizes_are_refused_before_allocation() {
    let huge = i64::MAX;
    let one = || count(&[1, 2]);
    let cases = [
        Case::new("Expand", 13, 1)
            .input(one())
            .input(ints(&[huge, 2])),
        Case::new("Expand", 13, 1)
            .input(one())
            .input(ints(&[1 << 20, 1 << 20, 2])),
        Case::new("Tile", 13, 1)
            .input(one())
            .input(ints(&[huge, huge])),
        Case::new("Pad", 13, 1)
            .input(one())
            .input(ints(&[huge, 0, huge, 0])),
        Case::new("Pad", 13, 1)
            .text("mode", "wrap")
            .input(one())
            .input(ints(&[0, huge, 0, 0])),
        Case::new("CenterCropPad", 18, 1)
            .input(one())
            .input(ints(&[huge, huge])),
        Case::new("ConstantOfShape", 13, 1).input(ints(&[1 << 32, 1 << 32])),
        Case::new("Range", 13, 1)
            .input(scalar(0))
            .input(scalar(huge))
            .input(scalar(1)),
        Case::new("Range", 13, 1)
            .input(scalar(i64::MIN))
            .input(scalar(huge))
            .input(scalar(1)),
        Case::new("OneHot", 13, 1)
            .input(ints(&[0, 1]))
            .input(scalar(huge))
            .input(ints(&[0, 1])),
    ];
    for (at, case) in cases.into_iter().enumerate() {
        let refusal = case.refusal();
        let limited = refusal.contains("limit") || refusal.contains("mode");
        assert!(limited, "case {at}: {refusal}");
    }
}

fn scalar(value: i64) -> Tensor {
    Tensor::scalar(value)
}

#[test]
fn slice_clamps_bounds_and_walks_backward() {
    let slice = |start: i64, end: i64, step: i64| {
        let case = Case::new("Slice", 13, 1)
            .input(count(&[5]))
            .input(ints(&[start]));
        case.input(ints(&[end]))
            .input(ints(&[0]))
            .input(ints(&[step]))
    };
    assert_eq!(floats(&slice(1, i64::MAX, 2).tensor()), [1.0, 3.0]);
    assert_eq!(floats(&slice(-1, i64::MIN, -2).tensor()), [4.0, 2.0, 0.0]);
    assert_eq!(floats(&slice(4, 0, i64::MIN).tensor()), [4.0]);
    assert_eq!(floats(&slice(i64::MIN, 2, i64::MAX).tensor()), [0.0]);
    assert!(floats(&slice(3, 3, 1).tensor()).is_empty());
    assert!(slice(0, 5, 0).refusal().contains("zero"));
}

#[test]
fn indices_count_from_the_end_and_never_leave_the_data() {
    let gather = |at: i64| {
        Case::new("Gather", 13, 1)
            .input(count(&[3, 2]))
            .input(ints(&[at]))
    };
    assert_eq!(floats(&gather(-1).tensor()), [4.0, 5.0]);
    assert!(gather(3).refusal().contains("index 3"));
    assert!(
        gather(i64::MIN)
            .refusal()
            .contains("outside a dimension of 3")
    );
    let at = Tensor::from_vec([1, 1], vec![-4i64]).expect("one index");
    let case = Case::new("GatherND", 13, 1).input(count(&[3, 2])).input(at);
    assert!(case.refusal().contains("index -4"));
}

#[test]
fn scatter_applies_repeated_updates_in_order() {
    let run = |reduction: &str| {
        let at = Tensor::from_vec([3, 1], vec![1i64, 1, 0]).expect("indices");
        let updates = Tensor::from_vec([3], vec![10f32, 20.0, -1.0]).expect("updates");
        let case = Case::new("ScatterND", 18, 1).text("reduction", reduction);
        floats(&case.input(count(&[2])).input(at).input(updates).tensor())
    };
    assert_eq!(run("none"), [-1.0, 20.0]);
    assert_eq!(run("add"), [-1.0, 31.0]);
    assert_eq!(run("mul"), [-0.0, 200.0]);
    assert_eq!(run("max"), [0.0, 20.0]);
    assert_eq!(run("min"), [-1.0, 1.0]);
}

#[test]
fn half_precision_scatter_rounds_once() {
    use assay_numerics::half::F16;
    let half = |x: f32| F16::from_f32(x);
    let at = Tensor::from_vec([2, 1], vec![0i64, 0]).expect("indices");
    let updates = Tensor::from_vec([2], vec![half(1.0), half(1.0)]).expect("updates");
    let data = Tensor::from_vec([1], vec![half(2048.0)]).expect("data");
    let case = Case::new("ScatterND", 18, 1).text("reduction", "add");
    // Rounding after each addition would tie back down to 2048 twice.
    let sum = case.input(data).input(at).input(updates).tensor();
    assert_eq!(sum.data(), &Data::F16(vec![half(2050.0)]));
}

#[test]
fn pad_repeats_what_cropping_leaves() {
    let pad = |mode: &str, before: i64, after: i64| {
        let case = Case::new("Pad", 19, 1)
            .text("mode", mode)
            .input(count(&[4]));
        floats(&case.input(ints(&[before, after])).tensor())
    };
    assert_eq!(pad("constant", 1, -2), [0.0, 0.0, 1.0]);
    assert_eq!(pad("edge", -1, 2), [1.0, 2.0, 3.0, 3.0, 3.0]);
    assert_eq!(
        pad("wrap", 5, 0),
        [3.0, 0.0, 1.0, 2.0, 3.0, 0.0, 1.0, 2.0, 3.0]
    );
    assert_eq!(
        pad("reflect", 5, 0),
        [1.0, 2.0, 3.0, 2.0, 1.0, 0.0, 1.0, 2.0, 3.0]
    );
    let case = Case::new("Pad", 19, 1)
        .text("mode", "edge")
        .input(count(&[0]));
    assert!(
        case.input(ints(&[1, 0]))
            .refusal()
            .contains("no element to pad with")
    );
}

#[test]
fn text_moves_like_numbers() {
    let x = || texts(&[2, 2], &["a", "b", "c", "d"]);
    let moved = Case::new("Transpose", 13, 1).input(x()).tensor();
    assert_eq!(moved, texts(&[2, 2], &["a", "c", "b", "d"]));
    let joined = Case::new("Concat", 13, 1)
        .int("axis", 1)
        .input(x())
        .input(x())
        .tensor();
    assert_eq!(
        joined,
        texts(&[2, 4], &["a", "b", "a", "b", "c", "d", "c", "d"])
    );
}

#[test]
fn permutations_must_name_every_axis_once() {
    let run = |perm: &[i64]| {
        Case::new("Transpose", 13, 1)
            .ints("perm", perm)
            .input(count(&[2, 3]))
    };
    assert!(run(&[0, 0]).refusal().contains("given twice"));
    assert!(run(&[0]).refusal().contains("another length"));
    assert!(run(&[0, 2]).refusal().contains("axis 2"));
}

#[test]
fn copies_on_several_threads_are_those_of_one() {
    let from: Vec<u32> = (0..7 * 40 * 48).collect();
    for shape in [[7, 40, 48], [40, 7, 48], [1, 280, 48]] {
        let strides = row_major(&shape);
        for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0], [0, 2, 1], [2, 0, 1]] {
            let moved = order.map(|axis| shape[axis]);
            let strides = order.map(|axis| strides[axis]);
            let copy = Strided::into_rows(&moved, (&strides, 0));
            let mut want = vec![0; from.len()];
            copy.copy(&mut want, &from).expect("inside");
            for threads in [1, 2, 3, 8] {
                let engine = Engine::new(Isa::Portable, threads);
                let mut got = vec![0; from.len()];
                copy.copy_on(&engine, &mut got, &from).expect("inside");
                assert_eq!(got, want, "{shape:?} by {order:?}, {threads} threads");
                assert!(copy.copy_on(&engine, &mut got, &from[1..]).is_err());
                assert!(copy.copy_on(&engine, &mut got[1..], &from).is_err());
            }
        }
    }
}

#[test]
fn strided_copies_refuse_to_leave_their_buffers() {
    let copy = Strided::new(&[4], (&[1], 0), (&[2], 0));
    assert!(copy.copy(&mut [0; 4], &[0; 6]).is_err());
    assert!(copy.copy(&mut [0; 3], &[0; 7]).is_err());
    assert!(copy.copy(&mut [0; 4], &[0; 7]).is_ok());
    let backward = Strided::new(&[4], (&[1], 0), (&[-1], 2));
    assert!(backward.copy(&mut [0; 4], &[0; 4]).is_err());
}

proptest! {
    #[test]
    fn strided_copies_agree_with_index_arithmetic(
        dims in proptest::collection::vec(1usize..20, 1..5), seed in any::<u64>(),
    ) {
        let total: usize = dims.iter().product();
        prop_assume!(total <= 20_000);
        let mut perm: Vec<usize> = (0..dims.len()).collect();
        let mut state = seed;
        for i in (1..perm.len()).rev() {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
            perm.swap(i, (state >> 33) as usize % (i + 1));
        }
        let strides = row_major(&dims);
        let shape: Vec<usize> = perm.iter().map(|&axis| dims[axis]).collect();
        let steps: Vec<isize> = perm.iter().map(|&axis| strides[axis]).collect();
        let from: Vec<u32> = (0..total as u32).collect();
        let mut to = vec![0; total];
        Strided::into_rows(&shape, (&steps, 0)).copy(&mut to, &from).expect("inside");
        let expected: Vec<u32> = indices(&shape)
            .iter()
            .map(|at| at.iter().zip(&steps).map(|(&i, &s)| i as isize * s).sum::<isize>() as u32)
            .collect();
        prop_assert_eq!(to, expected);
    }
}
