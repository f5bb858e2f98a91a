use super::testing::{engines, floats};
use super::*;

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|v| v.to_bits()).collect()
}

/// Runs a kernel on every engine and demands one answer.
fn agreed<U: Clone + PartialEq + core::fmt::Debug>(run: impl Fn(&Engine) -> Vec<U>) -> Vec<U> {
    let engines = engines();
    let want = run(&engines[0]);
    for engine in &engines[1..] {
        assert!(
            run(engine) == want,
            "{} {}",
            engine.isa().name(),
            engine.pool().threads()
        );
    }
    want
}

fn nan32(x: f32) -> u32 {
    if x.is_nan() { 0x7fc0_0000 } else { x.to_bits() }
}

#[test]
fn float_arithmetic_is_ieee_with_canonical_nan_on_every_engine() {
    type Oracle = (Arith, fn(f32, f32) -> f32);
    let oracle: [Oracle; 6] = [
        (Arith::Add, |a, b| a + b),
        (Arith::Sub, |a, b| a - b),
        (Arith::Mul, |a, b| a * b),
        (Arith::Div, |a, b| a / b),
        (Arith::Max, |a, b| {
            if a.is_nan() || b.is_nan() {
                f32::NAN
            } else {
                a.maximum_total(b)
            }
        }),
        (Arith::Min, |a, b| {
            if a.is_nan() || b.is_nan() {
                f32::NAN
            } else {
                a.minimum_total(b)
            }
        }),
    ];
    let a = floats(100_003, 1);
    let b = floats(100_003, 2);
    let plan = Broadcast::flat(a.len());
    for (op, scalar) in oracle {
        let got = agreed(|engine| {
            let mut out = vec![0.0f32; a.len()];
            arith(engine, op, &plan, &a, &b, &mut out).unwrap();
            bits(&out)
        });
        for (i, got) in got.iter().enumerate() {
            assert_eq!(
                *got,
                nan32(scalar(a[i], b[i])),
                "{op:?} {:e} {:e}",
                a[i],
                b[i]
            );
        }
    }
}

/// Orders by the total order, an independent definition of larger and smaller.
trait TotalOrder {
    fn maximum_total(self, other: Self) -> Self;
    fn minimum_total(self, other: Self) -> Self;
}

impl TotalOrder for f32 {
    fn maximum_total(self, other: f32) -> f32 {
        if self.total_cmp(&other).is_ge() {
            self
        } else {
            other
        }
    }
    fn minimum_total(self, other: f32) -> f32 {
        if self.total_cmp(&other).is_le() {
            self
        } else {
            other
        }
    }
}

#[test]
fn broadcast_rows_columns_and_scalars_equal_the_expanded_inputs() {
    let (rows, columns) = (37, 211);
    let a = floats(rows * columns, 3);
    let row = floats(columns, 4);
    let column = floats(rows, 5);
    let shape = [rows, columns];
    let inputs: [(&[usize], &[f32]); 3] =
        [(&[columns], &row), (&[rows, 1], &column), (&[], &row[..1])];
    for (input_shape, input) in inputs {
        let plan = Broadcast::new(&shape, [&shape, input_shape]);
        let flipped = Broadcast::new(&shape, [input_shape, &shape]);
        let got = agreed(|engine| {
            let mut out = vec![0.0f32; a.len()];
            arith(engine, Arith::Sub, &plan, &a, input, &mut out).unwrap();
            let mut back = vec![0.0f32; a.len()];
            arith(engine, Arith::Sub, &flipped, input, &a, &mut back).unwrap();
            bits(&out).into_iter().chain(bits(&back)).collect()
        });
        for i in 0..a.len() {
            let other = match input_shape.len() {
                0 => input[0],
                1 => input[i % columns],
                _ => input[i / columns],
            };
            assert_eq!(got[i], nan32(a[i] - other));
            assert_eq!(got[a.len() + i], nan32(other - a[i]));
        }
    }
}

#[test]
fn integers_wrap_and_refuse_zero_divisors() {
    let engine = Engine::single();
    let plan = Broadcast::flat(4);
    let a = [i32::MIN, i32::MAX, -7, 7];
    let b = [-1, 2, 2, -2];
    let mut out = [0; 4];
    arith(&engine, Arith::Div, &plan, &a, &b, &mut out).unwrap();
    assert_eq!(out, [i32::MIN, i32::MAX / 2, -3, -3]);
    arith(&engine, Arith::Add, &plan, &a, &b, &mut out).unwrap();
    assert_eq!(out, [i32::MAX, i32::MIN + 1, -5, 5]);
    integer_mod(&engine, false, &plan, &a, &b, &mut out).unwrap();
    assert_eq!(out, [0, 1, 1, -1]);
    integer_mod(&engine, true, &plan, &a, &b, &mut out).unwrap();
    assert_eq!(out, [0, 1, -1, 1]);
    let zero = [1, 0, 1, 1];
    assert_eq!(
        arith(&engine, Arith::Div, &plan, &a, &zero, &mut out),
        Err(DivideByZero)
    );
    assert_eq!(
        integer_mod(&engine, true, &plan, &a, &zero, &mut out),
        Err(DivideByZero)
    );
    unary(&engine, Unary::Abs, &a, &mut out);
    assert_eq!(out, [i32::MIN, i32::MAX, 7, 7]);
    integer_power(&plan, &[2i32, -1, -1, 3], &[31, -3, -2, -1], &mut out).unwrap();
    assert_eq!(out, [i32::MIN, -1, 1, 0]);
    assert!(integer_power(&Broadcast::flat(1), &[0i32], &[-1], &mut out[..1]).is_err());
}

#[test]
fn shifts_past_the_width_leave_zeros_or_signs() {
    let engine = Engine::single();
    let plan = Broadcast::flat(3);
    let mut out = [0u8; 3];
    shift(
        &engine,
        Shift::Left,
        &plan,
        &[1, 0xff, 3],
        &[7, 8, 200],
        &mut out,
    );
    assert_eq!(out, [128, 0, 0]);
    let mut out = [0i8; 3];
    shift(
        &engine,
        Shift::Right,
        &plan,
        &[-1, -128, 3],
        &[1, 7, -1],
        &mut out,
    );
    assert_eq!(out, [-1, -1, 0]);
    bitwise(
        &engine,
        Bitwise::Xor,
        &plan,
        &[1, 2, 3],
        &[3, 3, 3],
        &mut out,
    );
    assert_eq!(out, [2, 1, 0]);
}

#[test]
fn comparisons_with_nan_are_false() {
    let a = floats(5000, 8);
    let b: Vec<f32> = floats(5000, 9)
        .iter()
        .zip(&a)
        .map(|(b, a)| if *b > 0.0 { *a } else { *b })
        .collect();
    let plan = Broadcast::flat(a.len());
    for op in [
        Comparison::Equal,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ] {
        let got = agreed(|engine| {
            let mut out = vec![false; a.len()];
            compare(engine, op, &plan, &a, &b, &mut out);
            out
        });
        for i in 0..a.len() {
            let order = a[i].partial_cmp(&b[i]);
            let want = order.is_some_and(|order| match op {
                Comparison::Equal => order.is_eq(),
                Comparison::Less => order.is_lt(),
                Comparison::LessOrEqual => order.is_le(),
                Comparison::Greater => order.is_gt(),
                Comparison::GreaterOrEqual => order.is_ge(),
            });
            assert_eq!(got[i], want);
        }
    }
}

#[test]
fn activations_follow_their_step_by_step_definitions() {
    let x = floats(20_000, 11);
    let unit = |v: f32| if v == 0.0 { 0.0 } else { v.clamp(0.0, 1.0) };
    type Oracle = (Activation<f32>, Box<dyn Fn(f32) -> f32>);
    let cases: Vec<Oracle> = vec![
        (Activation::Ceil, Box::new(f32::ceil)),
        (Activation::Floor, Box::new(f32::floor)),
        (Activation::Round, Box::new(f32::round_ties_even)),
        (Activation::Reciprocal, Box::new(|v| 1.0 / v)),
        (Activation::Sqrt, Box::new(f32::sqrt)),
        (
            Activation::Relu,
            Box::new(|v| if v > 0.0 || v.is_nan() { v } else { 0.0 }),
        ),
        (
            Activation::LeakyRelu { alpha: 0.1 },
            Box::new(|v| if v < 0.0 { 0.1 * v } else { v }),
        ),
        (
            Activation::ThresholdedRelu { alpha: 0.7 },
            Box::new(|v| if v > 0.7 || v.is_nan() { v } else { 0.0 }),
        ),
        (
            Activation::HardSigmoid {
                alpha: 0.2,
                beta: 0.5,
            },
            Box::new(move |v| unit(0.2 * v + 0.5)),
        ),
        (
            Activation::HardSwish,
            Box::new(move |v| v * unit((1.0 / 6.0) * v + 0.5)),
        ),
        (Activation::Softsign, Box::new(|v| v / (1.0 + v.abs()))),
        (
            Activation::Shrink {
                bias: 0.5,
                lambda: 1.0,
            },
            Box::new(|v| {
                if v < -1.0 {
                    v + 0.5
                } else if v > 1.0 {
                    v - 0.5
                } else {
                    if v.is_nan() { v } else { 0.0 }
                }
            }),
        ),
    ];
    for (op, scalar) in cases {
        let got = agreed(|engine| {
            let mut out = vec![0.0f32; x.len()];
            activate(engine, op, &x, &mut out);
            bits(&out)
        });
        for (i, got) in got.iter().enumerate() {
            assert_eq!(*got, nan32(scalar(x[i])), "{op:?} {:e}", x[i]);
        }
    }
}

#[test]
fn sign_and_clip_keep_nan_and_zero_signs() {
    let engine = Engine::single();
    let x = [
        -0.0f32,
        f32::from_bits(0xff80_0001),
        3.0,
        -3.0,
        f32::INFINITY,
    ];
    let mut out = [0.0; 5];
    unary(&engine, Unary::Sign, &x, &mut out);
    assert_eq!(
        bits(&out),
        bits(&[-0.0, f32::from_bits(0x7fc0_0000), 1.0, -1.0, 1.0])
    );
    clip(&engine, -1.0, 2.0, &x, &mut out);
    assert_eq!(
        bits(&out),
        bits(&[-0.0, f32::from_bits(0x7fc0_0000), 2.0, -1.0, 2.0])
    );
}

#[test]
fn select_passes_bits_through() {
    let plan = Broadcast::new(&[2, 2], [&[2, 1], &[2, 2], &[]]);
    let mut out = [0.0f32; 4];
    select(
        &plan,
        &[true, false],
        &[1.0, -0.0, 3.0, 4.0],
        &[9.0],
        &mut out,
    );
    assert_eq!(bits(&out), bits(&[1.0, -0.0, 9.0, 9.0]));
}

#[test]
fn float_remainders_take_the_sign_asked_for() {
    let engine = Engine::single();
    let plan = Broadcast::flat(6);
    let a = [5.5f32, -5.5, 5.5, -6.0, 0.0, f32::INFINITY];
    let b = [2.0, 2.0, -2.0, 2.0, -3.0, 2.0];
    let mut out = [0.0; 6];
    float_mod(&engine, true, &plan, &a, &b, &mut out);
    assert_eq!(bits(&out[..5]), bits(&[1.5, -1.5, 1.5, -0.0, 0.0]));
    float_mod(&engine, false, &plan, &a, &b, &mut out);
    assert_eq!(bits(&out[..5]), bits(&[1.5, 0.5, -0.5, 0.0, -0.0]));
    assert_eq!(out[5].to_bits(), 0x7fc0_0000);
}
