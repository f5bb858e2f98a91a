//! Checks what must hold for every function: special values, equal bits on every instruction set.

use super::*;

type Slice = fn(&Engine, &[f32], &mut [f32]);
type InPlace = fn(&Engine, &mut [f32]);
type One = fn(f32) -> f32;

/// Lists every function: name, scalar form, slice form, in-place form.
const FUNCTIONS: &[(&str, One, Slice, InPlace)] = &[
    ("exp", exp, exp_f32, exp_in_place_f32),
    ("expm1", expm1, expm1_f32, expm1_in_place_f32),
    ("ln", ln, ln_f32, ln_in_place_f32),
    ("log1p", log1p, log1p_f32, log1p_in_place_f32),
    ("sin", sin, sin_f32, sin_in_place_f32),
    ("cos", cos, cos_f32, cos_in_place_f32),
    ("tan", tan, tan_f32, tan_in_place_f32),
    ("asin", asin, asin_f32, asin_in_place_f32),
    ("acos", acos, acos_f32, acos_in_place_f32),
    ("atan", atan, atan_f32, atan_in_place_f32),
    ("sinh", sinh, sinh_f32, sinh_in_place_f32),
    ("cosh", cosh, cosh_f32, cosh_in_place_f32),
    ("tanh", tanh, tanh_f32, tanh_in_place_f32),
    ("asinh", asinh, asinh_f32, asinh_in_place_f32),
    ("acosh", acosh, acosh_f32, acosh_in_place_f32),
    ("atanh", atanh, atanh_f32, atanh_in_place_f32),
    ("erf", erf, erf_f32, erf_in_place_f32),
];

const INF: f32 = f32::INFINITY;
const NAN: f32 = f32::NAN;
const PI: f32 = std::f32::consts::PI;
const HALF_PI: f32 = std::f32::consts::FRAC_PI_2;

/// Lists the results for -infinity, -1, -0, +0, 1, +infinity where they are exact or constants.
#[allow(clippy::excessive_precision)]
const SPECIAL: &[(&str, [f32; 6])] = &[
    (
        "exp",
        [0.0, 0.367_879_441_171, 1.0, 1.0, std::f32::consts::E, INF],
    ),
    (
        "expm1",
        [-1.0, -0.632_120_558_829, -0.0, 0.0, 1.718_281_828_459, INF],
    ),
    ("ln", [NAN, NAN, -INF, -INF, 0.0, INF]),
    ("log1p", [NAN, -INF, -0.0, 0.0, std::f32::consts::LN_2, INF]),
    (
        "sin",
        [NAN, -0.841_470_984_808, -0.0, 0.0, 0.841_470_984_808, NAN],
    ),
    (
        "cos",
        [NAN, 0.540_302_305_868, 1.0, 1.0, 0.540_302_305_868, NAN],
    ),
    (
        "tan",
        [NAN, -1.557_407_724_655, -0.0, 0.0, 1.557_407_724_655, NAN],
    ),
    ("asin", [NAN, -HALF_PI, -0.0, 0.0, HALF_PI, NAN]),
    ("acos", [NAN, PI, HALF_PI, HALF_PI, 0.0, NAN]),
    (
        "atan",
        [-HALF_PI, -HALF_PI / 2.0, -0.0, 0.0, HALF_PI / 2.0, HALF_PI],
    ),
    (
        "sinh",
        [-INF, -1.175_201_193_644, -0.0, 0.0, 1.175_201_193_644, INF],
    ),
    (
        "cosh",
        [INF, 1.543_080_634_815, 1.0, 1.0, 1.543_080_634_815, INF],
    ),
    (
        "tanh",
        [-1.0, -0.761_594_155_956, -0.0, 0.0, 0.761_594_155_956, 1.0],
    ),
    (
        "asinh",
        [-INF, -0.881_373_587_020, -0.0, 0.0, 0.881_373_587_020, INF],
    ),
    ("acosh", [NAN, NAN, NAN, NAN, 0.0, INF]),
    ("atanh", [NAN, -INF, -0.0, 0.0, INF, NAN]),
    (
        "erf",
        [-1.0, -0.842_700_792_950, -0.0, 0.0, 0.842_700_792_950, 1.0],
    ),
];

fn engines() -> Vec<Engine> {
    let available = crate::isa::Isa::available();
    available
        .into_iter()
        .map(|isa| Engine::new(isa, 1))
        .collect()
}

/// Samples all bit patterns, denser where functions change, and not a multiple of the block.
fn samples() -> Vec<f32> {
    let spread = (0..=u32::MAX).step_by(30_011).map(f32::from_bits);
    let near = (0..20_001).map(|i| (i as f32 - 10_000.0) * 0.011);
    spread.chain(near).collect()
}

#[test]
fn special_values_are_those_of_ieee_754() {
    let x = [-INF, -1.0, -0.0, 0.0, 1.0, INF];
    for &(name, want) in SPECIAL {
        let one = FUNCTIONS.iter().find(|f| f.0 == name).expect("listed").1;
        for (x, want) in x.into_iter().zip(want) {
            let want = if want.is_nan() {
                0x7fc0_0000
            } else {
                want.to_bits()
            };
            assert_eq!(one(x).to_bits(), want, "{name}({x})");
        }
    }
}

#[test]
fn every_nan_becomes_the_canonical_one() {
    for &(name, one, slice, _) in FUNCTIONS {
        for bits in [0x7fc0_0000, 0xffc0_0000, 0x7f80_0001, 0xffff_ffff] {
            let x = f32::from_bits(bits);
            assert_eq!(one(x).to_bits(), 0x7fc0_0000, "{name}({bits:#x})");
            for engine in engines() {
                let mut y = [0.0];
                slice(&engine, &[x], &mut y);
                assert_eq!(y[0].to_bits(), 0x7fc0_0000, "{name}({bits:#x})");
            }
        }
    }
}

#[test]
fn every_instruction_set_and_form_gives_the_same_bits() {
    let x = samples();
    for &(name, one, slice, in_place) in FUNCTIONS {
        let want: Vec<u32> = x.iter().map(|&x| one(x).to_bits()).collect();
        for engine in engines() {
            let isa = engine.isa().name();
            let mut y = vec![0.0; x.len()];
            slice(&engine, &x, &mut y);
            let mut z = x.clone();
            in_place(&engine, &mut z);
            for i in 0..x.len() {
                assert_eq!(y[i].to_bits(), want[i], "{name}({}) {isa}", x[i]);
                assert_eq!(z[i].to_bits(), want[i], "{name}({}) {isa} in place", x[i]);
            }
        }
    }
}

#[test]
fn threads_do_not_change_bits() {
    let x = samples();
    let (one, two) = (Engine::single(), Engine::new(crate::Isa::detect(), 2));
    for &(name, _, slice, in_place) in FUNCTIONS {
        let (mut y, mut z) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        slice(&one, &x, &mut y);
        slice(&two, &x, &mut z);
        assert!(
            y.iter().zip(&z).all(|(y, z)| y.to_bits() == z.to_bits()),
            "{name}"
        );
        z.copy_from_slice(&x);
        in_place(&two, &mut z);
        assert!(
            y.iter().zip(&z).all(|(y, z)| y.to_bits() == z.to_bits()),
            "{name} in place"
        );
    }
}

#[test]
fn powers_of_a_slice_are_those_of_its_elements() {
    let bases = samples();
    for y in [
        2.0, 3.0, 0.5, -1.0, 1.0, 0.0, 1.7, -2.0, -0.5, 4.0, INF, NAN,
    ] {
        let want: Vec<u32> = bases.iter().map(|&x| pow(x, y).to_bits()).collect();
        for engine in engines() {
            let mut got = vec![0.0; bases.len()];
            pow_scalar_f32(&engine, &bases, y, &mut got);
            for i in 0..bases.len() {
                let isa = engine.isa().name();
                assert_eq!(got[i].to_bits(), want[i], "{}^{y} {isa}", bases[i]);
            }
            let mut same = vec![0.0; bases.len()];
            pow_f32(&engine, &bases, &vec![y; bases.len()], &mut same);
            assert!(
                got.iter()
                    .zip(&same)
                    .all(|(a, b)| a.to_bits() == b.to_bits()),
                "{y}"
            );
        }
    }
    let exponents: Vec<f32> = (0..bases.len())
        .map(|i| (i % 97) as f32 * 0.25 - 12.0)
        .collect();
    let want: Vec<u32> = bases
        .iter()
        .zip(&exponents)
        .map(|(&x, &y)| pow(x, y).to_bits())
        .collect();
    for engine in engines() {
        let mut got = vec![0.0; bases.len()];
        pow_f32(&engine, &bases, &exponents, &mut got);
        for i in 0..bases.len() {
            assert_eq!(got[i].to_bits(), want[i], "{}^{}", bases[i], exponents[i]);
        }
    }
}

#[test]
fn f64_slices_hold_the_results_of_their_elements() {
    let x: Vec<f64> = (0..150).map(|i| f64::from(i) * 0.37 - 20.0).collect();
    let engine = Engine::new(crate::Isa::detect(), 2);
    let mut y = vec![0.0; x.len()];
    double::exp_f64(&engine, &x, &mut y);
    assert!(
        x.iter()
            .zip(&y)
            .all(|(&x, y)| double::exp(x).to_bits() == y.to_bits())
    );
    let mut powers = vec![0.0; x.len()];
    pow_f64(&engine, &y, &x, &mut powers);
    let want = y.iter().zip(&x).map(|(&y, &x)| double::pow(y, x).to_bits());
    assert!(powers.iter().map(|p| p.to_bits()).eq(want));
}
