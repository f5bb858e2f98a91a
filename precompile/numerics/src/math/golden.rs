//! Compares every function with results of MPFR (tests/vectors/math, by scripts/gen_math_vectors.py).

use super::*;

const F32: &str = include_str!("../../../../tests/vectors/math/f32.txt");
const F64: &str = include_str!("../../../../tests/vectors/math/f64.txt");

type Unary32 = fn(f32) -> f32;
type Unary64 = fn(f64) -> f64;

/// Lists the functions of one number by the name in the vectors.
const UNARY: &[(&str, Unary32, Unary64)] = &[
    ("exp", exp, double::exp),
    ("expm1", expm1, double::expm1),
    ("ln", ln, double::ln),
    ("log1p", log1p, double::log1p),
    ("sin", sin, double::sin),
    ("cos", cos, double::cos),
    ("tan", tan, double::tan),
    ("asin", asin, double::asin),
    ("acos", acos, double::acos),
    ("atan", atan, double::atan),
    ("sinh", sinh, double::sinh),
    ("cosh", cosh, double::cosh),
    ("tanh", tanh, double::tanh),
    ("asinh", asinh, double::asinh),
    ("acosh", acosh, double::acosh),
    ("atanh", atanh, double::atanh),
    ("erf", erf, double::erf),
];

/// Reads a line: the function's name and its words.
fn parse(line: &str) -> (&str, Vec<u64>) {
    let mut fields = line.split(' ');
    let name = fields.next().expect("a name");
    let words = fields.map(|w| u64::from_str_radix(w, 16).expect("hexadecimal"));
    (name, words.collect())
}

fn unary(name: &str) -> Option<&'static (&'static str, Unary32, Unary64)> {
    UNARY.iter().find(|f| f.0 == name)
}

#[test]
fn f32_results_are_those_of_mpfr() {
    let mut wrong = Vec::new();
    for line in F32.lines() {
        let (name, words) = parse(line);
        let x = f32::from_bits(words[0] as u32);
        let (got, want) = match unary(name) {
            Some(function) => (function.1(x), words[1]),
            None if name == "atan2" => (atan2(x, f32::from_bits(words[1] as u32)), words[2]),
            None => (pow(x, f32::from_bits(words[1] as u32)), words[2]),
        };
        if u64::from(got.to_bits()) != want {
            wrong.push(format!("{line}: got {:08x}", got.to_bits()));
        }
    }
    assert!(wrong.is_empty(), "{} wrong: {wrong:#?}", wrong.len());
}

#[test]
fn f64_results_are_those_of_mpfr() {
    let mut wrong = Vec::new();
    for line in F64.lines() {
        let (name, words) = parse(line);
        let x = f64::from_bits(words[0]);
        let (got, want) = match unary(name) {
            Some(function) => (function.2(x), words[1]),
            None => (double::pow(x, f64::from_bits(words[1])), words[2]),
        };
        if got.to_bits() != want {
            wrong.push(format!("{line}: got {:016x}", got.to_bits()));
        }
    }
    assert!(wrong.is_empty(), "{} wrong: {wrong:#?}", wrong.len());
}
