//! Rules of the pointwise, reducing and pooling operators, each through a one-node model.

use super::testing::{Case, count, ints};
use crate::tensor::Tensor;

fn floats(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::from_vec(shape.to_vec(), values.to_vec()).expect("fills the shape")
}

/// Makes values of both signs and many magnitudes.
fn mixed(shape: &[usize]) -> Tensor {
    let len: usize = shape.iter().product();
    let values: Vec<f32> = (0..len)
        .map(|i| ((i * 7919 % 1013) as f32 - 506.0) / 61.0)
        .collect();
    floats(shape, &values)
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor
        .as_slice::<f32>()
        .expect("f32")
        .iter()
        .map(|v| v.to_bits())
        .collect()
}

/// Takes one row of the first axis, keeping the rank.
fn row(tensor: &Tensor, at: usize) -> Tensor {
    let mut shape = tensor.shape().to_vec();
    let len: usize = shape[1..].iter().product();
    shape[0] = 1;
    floats(
        &shape,
        &tensor.as_slice::<f32>().expect("f32")[at * len..(at + 1) * len],
    )
}

#[test]
fn a_row_alone_equals_the_row_in_a_batch() {
    let x = mixed(&[5, 4, 9, 9]);
    type Make = fn(Tensor) -> Case;
    let cases: [(&str, Make); 12] = [
        ("Softmax", |x| {
            Case::new("Softmax", 13, 1).int("axis", 2).input(x)
        }),
        ("LogSoftmax", |x| Case::new("LogSoftmax", 11, 1).input(x)),
        ("ReduceSum", |x| {
            Case::new("ReduceSum", 13, 1).input(x).input(ints(&[1, 3]))
        }),
        ("ReduceLogSumExp", |x| {
            Case::new("ReduceLogSumExp", 18, 1)
                .input(x)
                .input(ints(&[2]))
        }),
        ("Gelu", |x| Case::new("Gelu", 20, 1).input(x)),
        ("Mish", |x| Case::new("Mish", 18, 1).input(x)),
        ("MaxPool", |x| {
            Case::new("MaxPool", 12, 1)
                .ints("kernel_shape", &[3, 3])
                .input(x)
        }),
        ("AveragePool", |x| {
            Case::new("AveragePool", 19, 1)
                .ints("kernel_shape", &[2, 3])
                .ints("pads", &[1, 1, 1, 1])
                .input(x)
        }),
        ("GlobalAveragePool", |x| {
            Case::new("GlobalAveragePool", 7, 1).input(x)
        }),
        ("LpNormalization", |x| {
            Case::new("LpNormalization", 22, 1).int("axis", 1).input(x)
        }),
        ("LRN", |x| Case::new("LRN", 13, 1).int("size", 3).input(x)),
        ("LayerNormalization", |x| {
            Case::new("LayerNormalization", 17, 1)
                .input(x)
                .input(mixed(&[9]))
        }),
    ];
    for (name, make) in cases {
        let batch = make(x.clone()).tensor();
        for at in 0..5 {
            let alone = make(row(&x, at)).tensor();
            assert_eq!(bits(&alone), bits(&row(&batch, at)), "{name} row {at}");
        }
    }
}

#[test]
fn integer_division_by_zero_is_an_error_not_a_value() {
    for op in ["Div", "Mod"] {
        let why = Case::new(op, 14, 1)
            .input(ints(&[4, 5]))
            .input(ints(&[2, 0]))
            .refusal();
        assert!(why.contains("division by zero"), "{why}");
    }
    let why = Case::new("Pow", 15, 1)
        .input(ints(&[0]))
        .input(ints(&[-1]))
        .refusal();
    assert!(why.contains("division by zero"), "{why}");
}

#[test]
fn softmax_before_opset_13_flattens_from_the_axis_on() {
    let x = mixed(&[2, 3, 4]);
    let old = Case::new("Softmax", 11, 1).input(x.clone()).tensor();
    let flat = Case::new("Softmax", 13, 1).input(floats(&[2, 12], x.as_slice().expect("f32")));
    assert_eq!(bits(&old), bits(&flat.tensor()));
    let new = Case::new("Softmax", 13, 1).input(x).tensor();
    assert_ne!(bits(&old), bits(&new));
}

#[test]
fn nan_leaves_every_operator_as_the_canonical_one() {
    let x = floats(&[3], &[f32::from_bits(0xffc0_0001), -4.0, 1.0]);
    for op in [
        "Neg", "Abs", "Relu", "Sqrt", "Exp", "Sigmoid", "Floor", "Sign", "Softsign",
    ] {
        let y = bits(&Case::new(op, 14, 1).input(x.clone()).tensor());
        assert_eq!(y[0], 0x7fc0_0000, "{op}");
    }
    let root = bits(&Case::new("Sqrt", 14, 1).input(x).tensor());
    assert_eq!(root[1], 0x7fc0_0000);
}

#[test]
fn narrow_floats_round_once_for_each_node() {
    use assay_numerics::half::Bf16;
    let of = |v: f32| Bf16::from_f32(v);
    let tensor = |v: [f32; 1]| Tensor::from_vec([1], v.map(of).to_vec()).expect("one value");
    // 1 + 2^-8 + 2^-8: two roundings to bf16 would stay at 1.
    let tiny = 1.0 / 256.0;
    let sum = Case::new("Sum", 13, 1)
        .input(tensor([1.0]))
        .input(tensor([tiny]))
        .input(tensor([tiny]));
    assert_eq!(
        sum.tensor().as_slice::<Bf16>().expect("bf16")[0],
        of(1.0 + 2.0 * tiny)
    );
}

#[test]
fn no_axes_mean_all_axes_unless_the_node_says_none() {
    let x = count(&[2, 3]);
    let all = Case::new("ReduceSum", 13, 1).input(x.clone()).tensor();
    assert_eq!(
        (all.shape(), bits(&all)),
        (&[1, 1][..], vec![15.0f32.to_bits()])
    );
    let none = Case::new("ReduceSumSquare", 18, 1)
        .int("noop_with_empty_axes", 1)
        .input(x);
    let none = none.tensor();
    assert_eq!(none.shape(), [2, 3]);
    assert_eq!(
        none.as_slice::<f32>().expect("f32"),
        [0.0, 1.0, 4.0, 9.0, 16.0, 25.0]
    );
}

#[test]
fn bad_geometry_is_refused_with_a_reason() {
    let pool = |kernel: &[i64]| {
        Case::new("MaxPool", 12, 1)
            .ints("kernel_shape", kernel)
            .input(count(&[1, 1, 4, 4]))
    };
    assert!(
        pool(&[9, 9])
            .refusal()
            .contains("larger than the padded input")
    );
    assert!(pool(&[2]).refusal().contains("one axis for each"));
    assert!(pool(&[0, 2]).refusal().contains("out of range"));
    let strides = pool(&[2, 2]).ints("strides", &[0, 1]);
    assert!(strides.refusal().contains("strides"));
    let huge = pool(&[2, 2]).ints("dilations", &[i64::MAX, 1]);
    assert!(huge.refusal().contains("dilations"));
    let top = Case::new("TopK", 11, 2)
        .input(count(&[3]))
        .input(ints(&[4]));
    assert!(top.refusal().contains("index 4"));
    let axis = Case::new("ArgMax", 13, 1)
        .int("axis", 2)
        .input(count(&[2, 2]));
    assert!(axis.refusal().contains("axis 2"));
    let empty = Case::new("ArgMax", 13, 1).input(count(&[0, 2]));
    assert!(empty.refusal().contains("no extreme"));
}

#[test]
fn random_operators_are_refused_by_name() {
    let why = Case::new("RandomNormalLike", 13, 1)
        .input(count(&[2]))
        .refusal();
    assert!(
        why.contains("RandomNormalLike draws random numbers"),
        "{why}"
    );
    let training = Tensor::scalar(true);
    let ratio = Tensor::scalar(0.5f32);
    let drop = Case::new("Dropout", 13, 2)
        .input(count(&[2]))
        .input(ratio)
        .input(training);
    assert!(drop.refusal().contains("draws random numbers"));
    let kept = Case::new("Dropout", 13, 2)
        .input(count(&[2]))
        .run()
        .expect("passes through");
    assert_eq!(kept.len(), 2);
}

#[test]
fn casts_follow_the_target_type() {
    use crate::tensor::Data;
    let x = floats(&[4], &[-9.7, 8.2, f32::NAN, 300.0]);
    let cast = |to: i64| {
        Case::new("Cast", 21, 1)
            .int("to", to)
            .input(x.clone())
            .tensor()
    };
    assert_eq!(cast(22).data(), &Data::I4(vec![7, -8, 0, -4]));
    assert_eq!(cast(2).data(), &Data::U8(vec![0, 8, 0, 255]));
    assert_eq!(cast(9).data(), &Data::Bool(vec![true; 4]));
    let text = Tensor::from_vec([3], ["1e3", "-INF", "x"].map(String::from).to_vec());
    let parse = Case::new("Cast", 21, 1)
        .int("to", 1)
        .input(text.expect("three"));
    assert!(parse.refusal().contains("must be a number"));
}

#[test]
fn losses_refuse_targets_outside_the_classes() {
    let x = mixed(&[2, 3]);
    let loss = |targets: &[i64]| {
        Case::new("NegativeLogLikelihoodLoss", 13, 1)
            .input(x.clone())
            .input(ints(targets))
    };
    assert!(loss(&[0, 3]).refusal().contains("index 3"));
    assert!(loss(&[-1, 0]).refusal().contains("index -1"));
    let values = x.as_slice::<f32>().expect("f32");
    let want = (-values[1] + -values[3]) / 2.0;
    assert_eq!(bits(&loss(&[1, 0]).tensor()), [want.to_bits()]);
}
