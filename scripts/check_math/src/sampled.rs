//! Compares what cannot be run over all inputs: f64 functions, powers and atan2.

use assay_numerics::{Engine, math};

/// Is the number of inputs of each f64 function.
const DOUBLES: usize = 300_000;

/// Is the number of pairs of f32 powers and angles.
const PAIRS: usize = 50_000_000;

type Double = fn(f64) -> f64;

/// Lists the f64 functions: name, ours, oracle.
const FUNCTIONS: &[(&str, Double, Double)] = &[
    ("exp", math::double::exp, core_math::exp),
    ("expm1", math::double::expm1, core_math::expm1),
    ("ln", math::double::ln, core_math::log),
    ("log1p", math::double::log1p, core_math::log1p),
    ("sin", math::double::sin, core_math::sin),
    ("cos", math::double::cos, core_math::cos),
    ("tan", math::double::tan, core_math::tan),
    ("asin", math::double::asin, core_math::asin),
    ("acos", math::double::acos, core_math::acos),
    ("atan", math::double::atan, core_math::atan),
    ("sinh", math::double::sinh, core_math::sinh),
    ("cosh", math::double::cosh, core_math::cosh),
    ("tanh", math::double::tanh, core_math::tanh),
    ("asinh", math::double::asinh, core_math::asinh),
    ("acosh", math::double::acosh, core_math::acosh),
    ("atanh", math::double::atanh, core_math::atanh),
    ("erf", math::double::erf, core_math::erf),
];

/// Generates a fixed pseudo-random sequence (splitmix64).
struct Bits(u64);

impl Bits {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// Draws any bit pattern, or a number of everyday size.
    fn double(&mut self) -> f64 {
        match self.next() % 4 {
            0 => f64::from_bits(self.next()),
            1 => self.unit() * 2.0 - 1.0,
            _ => self.unit() * 80.0 - 40.0,
        }
    }

    fn single(&mut self) -> f32 {
        match self.next() % 4 {
            0 => f32::from_bits(self.next() as u32),
            1 => (self.unit() * 4.0) as f32,
            _ => (self.unit() * 80.0 - 40.0) as f32,
        }
    }
}

/// Runs every comparison and returns the number of mismatches.
pub fn run() -> u64 {
    let mut failures = 0;
    for &(name, function, oracle) in FUNCTIONS {
        let mut bits = Bits(1);
        let wrong = (0..DOUBLES)
            .filter(|_| {
                let x = bits.double();
                differ64(function(x), oracle(x))
            })
            .count();
        println!("f64 {name}: samples={DOUBLES} mismatches={wrong}");
        failures += wrong as u64;
    }
    let mut bits = Bits(2);
    let wrong = (0..DOUBLES)
        .filter(|_| {
            let (x, y) = (bits.double(), bits.double());
            let x = if bits.next().is_multiple_of(8) { x } else { x.abs() };
            differ64(math::double::pow(x, y), core_math::pow(x, y))
        })
        .count();
    println!("f64 pow: samples={DOUBLES} mismatches={wrong}");
    failures + wrong as u64 + powers() + angles()
}

fn powers() -> u64 {
    let engine = Engine::single();
    let mut bits = Bits(3);
    let mut wrong = 0;
    let (mut x, mut y, mut out) = (vec![0f32; 4096], vec![0f32; 4096], vec![0f32; 4096]);
    for _ in 0..PAIRS / x.len() {
        for (x, y) in x.iter_mut().zip(&mut y) {
            (*x, *y) = (bits.single(), bits.single());
            if !bits.next().is_multiple_of(8) {
                *x = x.abs();
            }
        }
        math::pow_f32(&engine, &x, &y, &mut out);
        for ((x, y), out) in x.iter().zip(&y).zip(&out) {
            wrong += u64::from(differ32(*out, core_math::powf(*x, *y)));
        }
    }
    println!("f32 pow: samples={PAIRS} mismatches={wrong}");
    wrong
}

fn angles() -> u64 {
    let mut bits = Bits(4);
    let wrong = (0..PAIRS)
        .filter(|_| {
            let (y, x) = (bits.single(), bits.single());
            differ32(math::atan2(y, x), core_math::atan2f(y, x))
        })
        .count();
    println!("f32 atan2: samples={PAIRS} mismatches={wrong}");
    wrong as u64
}

fn differ64(got: f64, want: f64) -> bool {
    let both_nan = got.to_bits() == 0x7ff8_0000_0000_0000 && want.is_nan();
    got.to_bits() != want.to_bits() && !both_nan
}

fn differ32(got: f32, want: f32) -> bool {
    let both_nan = got.to_bits() == 0x7fc0_0000 && want.is_nan();
    got.to_bits() != want.to_bits() && !both_nan
}
