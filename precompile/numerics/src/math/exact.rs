//! Compares the f32 functions with the wide arithmetic: the tables of exceptions, a sample, and (a
//! long run, ignored) every input whose rounding the error bound of the f64 lanes leaves open.

use super::step::Step;
use super::unary::{Exception, Unary};
use super::wide::Wide;
use super::wide::angle::reduce;
use super::wide::functions as wide;
use super::wide::rounding::{BINARY32, settle};
use super::*;
use crate::fma::{HardFma, SoftFma};

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

/// Is a relative error that every lane stays below: each has fewer than 20 roundings of 2^-53 that
/// reach its result, and polynomials that are right to 2^-53.
const LANE_ERROR: f64 = f64::from_bits((1023 - 44) << 52);

/// Computes as another step does, but rounds the value less the error bound.
#[derive(Clone, Copy)]
struct Down<S>(S);

/// Computes as another step does, but rounds the value and the error bound.
#[derive(Clone, Copy)]
struct Up<S>(S);

impl<S: Step> Step for Down<S> {
    #[inline(always)]
    fn mul_add(a: f64, b: f64, c: f64) -> f64 {
        S::mul_add(a, b, c)
    }
    #[inline(always)]
    fn round(value: f64) -> f32 {
        (value - value * LANE_ERROR) as f32
    }
}

impl<S: Step> Step for Up<S> {
    #[inline(always)]
    fn mul_add(a: f64, b: f64, c: f64) -> f64 {
        S::mul_add(a, b, c)
    }
    #[inline(always)]
    fn round(value: f64) -> f32 {
        (value + value * LANE_ERROR) as f32
    }
}

multiversion! {
    fn mark_open<U: Unary>(start: u32, open: &mut [u32]) = mark_open_body;
}

/// Marks the inputs from `start` on whose result the error bound leaves open.
#[inline(always)]
fn mark_open_body<S: Step, U: Unary>(start: u32, open: &mut [u32]) {
    for (i, open) in open.iter_mut().enumerate() {
        let x = f32::from_bits(start + i as u32);
        let (low, high) = (U::lane::<Down<S>>(x), U::lane::<Up<S>>(x));
        *open = u32::from((low.to_bits() != high.to_bits()) & !U::is_rare(x));
    }
}

/// Compares every open input of a function up to bits `last`; returns how many there were, and how
/// many of them are rounded wrongly.
fn settle_open<U: Unary>(name: &str, last: u32) -> (u64, usize) {
    const STRIDE: u32 = 1 << 16;
    let list = subjects();
    let subject = list.iter().find(|s| s.name == name).expect("listed");
    let engine = Engine::single();
    let mut open = vec![0; STRIDE as usize];
    let (mut count, mut wrong) = (0, Vec::new());
    for start in (0..=last).step_by(STRIDE as usize) {
        mark_open::<U>(&engine, start, &mut open);
        for i in (0..STRIDE).filter(|&i| open[i as usize] != 0) {
            let x = f32::from_bits(start + i);
            let want = ((subject.oracle)(f64::from(x)) as f32).to_bits();
            let fused = U::lane::<HardFma>(x).to_bits();
            if fused != want || U::lane::<SoftFma>(x).to_bits() != want {
                wrong.push((x.to_bits(), want));
            }
            count += 1;
        }
    }
    println!("{name}: inputs up to {last:#x}, open: {count}, wrong: {wrong:08x?}");
    (count, wrong.len())
}

/// Proves the tables complete, given the error bound. Odd and even functions compute with |x|.
///
/// cargo test --profile bench -p assay-numerics open_inputs -- --ignored --nocapture
#[test]
#[ignore = "runs for minutes: all 2^32 inputs of every function but huge angles"]
fn open_inputs_are_rounded_right() {
    const POSITIVE: u32 = u32::MAX >> 1;
    use super::{arc, erf, exp, hyperbolic, log, trigonometry};
    let counts = [
        settle_open::<hyperbolic::Acosh>("acosh", u32::MAX),
        settle_open::<hyperbolic::Asinh>("asinh", POSITIVE),
        settle_open::<hyperbolic::Atanh>("atanh", POSITIVE),
        settle_open::<arc::Acos>("acos", u32::MAX),
        settle_open::<hyperbolic::Sinh>("sinh", POSITIVE),
        settle_open::<hyperbolic::Cosh>("cosh", POSITIVE),
        settle_open::<log::Ln>("ln", POSITIVE),
        settle_open::<erf::Erf>("erf", POSITIVE),
        settle_open::<hyperbolic::Tanh>("tanh", POSITIVE),
        settle_open::<exp::Exp>("exp", u32::MAX),
        settle_open::<exp::Expm1>("expm1", u32::MAX),
        settle_open::<log::Log1p>("log1p", u32::MAX),
        settle_open::<arc::Atan>("atan", POSITIVE),
        settle_open::<arc::Asin>("asin", POSITIVE),
        settle_open::<trigonometry::Sin>("sin", POSITIVE),
        settle_open::<trigonometry::Cos>("cos", POSITIVE),
        settle_open::<trigonometry::Tan>("tan", POSITIVE),
    ];
    let all_tried = counts.iter().all(|&(open, _)| open > 0);
    assert!(all_tried, "some input is always open");
    let wrong: usize = counts.iter().map(|&(_, wrong)| wrong).sum();
    assert_eq!(wrong, 0, "rows are missing in the tables");
}
