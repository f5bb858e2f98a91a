//! Compares the f32 functions with the wide arithmetic: the tables of exceptions, and a sample.

use super::unary::Exception;
use super::wide::Wide;
use super::wide::angle::reduce;
use super::wide::functions as wide;
use super::wide::rounding::{BINARY32, settle};
use super::*;

/// Is a function's name, its table of exceptions, its f32 form, its wide form rounded to f32, and
/// the inputs (their magnitudes) that the wide form takes.
struct Subject {
    name: &'static str,
    table: &'static [Exception],
    function: fn(f32) -> f32,
    oracle: fn(f64) -> f64,
    domain: (f32, f32),
}

/// Writes the list: positive inputs between two bounds.
macro_rules! subjects {
    ($($function:ident $table:ident $low:literal..$high:literal |$x:ident| $value:expr;)+) => {
        [$(Subject {
            name: stringify!($function),
            table: &exceptions::$table,
            function: $function,
            oracle: |x| settle!(BINARY32, N => { let $x = Wide::<N>::from_f64(x); $value }),
            domain: ($low, $high),
        }),+]
    };
}

fn one<const N: usize>() -> Wide<N> {
    Wide::from_int(1)
}

fn turned<const N: usize>(x: Wide<N>, by: u64) -> Wide<N> {
    let (quarter, r) = reduce::<N>(x.to_f64());
    let (sin, cos) = wide::sin_cos(r);
    let quarter = quarter.wrapping_add(by);
    let value = if quarter & 1 == 0 { sin } else { cos };
    if quarter & 2 == 0 {
        value
    } else {
        value.negated()
    }
}

fn subjects() -> Vec<Subject> {
    subjects! {
        exp EXP 1e-6..88.0 |x| wide::exp(x);
        expm1 EXPM1 1e-6..88.0 |x| wide::expm1(x);
        ln LN 1e-40..3e38 |x| wide::ln(x);
        log1p LOG1P 1e-6..3e38 |x| wide::ln(one().add(x));
        sin SIN 1e-3..3e38 |x| turned(x, 0);
        cos COS 1e-3..3e38 |x| turned(x, 1);
        tan TAN 1e-3..3e38 |x| turned(x, 0).div(turned(x, 1));
        asin ASIN 1e-3..1.0 |x| wide::asin(x);
        acos ACOS 1e-6..1.0 |x| wide::acos(x);
        atan ATAN 1e-3..3e38 |x| wide::atan(x.magnitude(), one());
        sinh SINH 1e-3..89.0 |x| wide::sinh(x);
        cosh COSH 1e-3..89.0 |x| wide::cosh(x);
        tanh TANH 1e-3..9.0 |x| wide::tanh(x);
        asinh ASINH 1e-3..3e38 |x| wide::asinh(x);
        acosh ACOSH 1.0..3e38 |x| wide::acosh(x);
        atanh ATANH 1e-3..1.0 |x| wide::atanh(x);
        erf ERF 1e-38..3.9 |x| wide::erf(x);
    }
    .into()
}

#[test]
fn every_listed_exception_is_the_correctly_rounded_value() {
    let mut rows = 0;
    for subject in subjects() {
        let sorted = subject.table.windows(2).all(|pair| pair[0].0 < pair[1].0);
        assert!(sorted, "{}", subject.name);
        for &(input, result) in subject.table {
            let x = f32::from_bits(input);
            let want = ((subject.oracle)(f64::from(x)) as f32).to_bits();
            assert_eq!(result, want, "{}({x})", subject.name);
            assert_eq!(
                (subject.function)(x).to_bits(),
                want,
                "{}({x})",
                subject.name
            );
            rows += 1;
        }
    }
    assert!(rows > 0, "the tables are not empty");
}

#[test]
fn sampled_results_are_the_correctly_rounded_values() {
    for subject in subjects() {
        let (low, high) = (subject.domain.0.to_bits(), subject.domain.1.to_bits());
        for input in (low..high).step_by(((high - low) / 1500) as usize) {
            let x = f32::from_bits(input);
            let want = ((subject.oracle)(f64::from(x)) as f32).to_bits();
            assert_eq!(
                (subject.function)(x).to_bits(),
                want,
                "{}({x})",
                subject.name
            );
        }
    }
}
