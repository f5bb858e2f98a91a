//! Checks the wide arithmetic by identities, and rounding by numbers with known bits.

use super::angle::reduce;
use super::functions::*;
use super::rounding::{BINARY32, BINARY64, Rounded, round};
use super::*;
use crate::math::constants::{LN2, QUARTER_PI};

/// Tells how many leading bits two numbers share, relative to the first.
fn agreement<const N: usize>(a: Wide<N>, b: Wide<N>) -> i64 {
    let difference = a.sub(b);
    if difference.is_zero() {
        i64::MAX
    } else {
        a.exponent() - difference.exponent()
    }
}

/// Spreads numbers over magnitudes and signs, all in (-30, 30).
fn numbers() -> impl Iterator<Item = f64> {
    (1..200u64).map(|i| {
        let unit = (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) as f64 / 9_007_199_254_740_992.0;
        let scale = [30.0, 1.0, 0.01, 1e-8][(i % 4) as usize];
        if i % 8 < 4 {
            unit * scale
        } else {
            -unit * scale
        }
    })
}

#[test]
fn f64_survives_the_way_there_and_back() {
    for x in [1.0, -1.5, 5e-324, f64::MAX, -f64::MIN_POSITIVE, 0.1, 0.0] {
        let wide = Wide::<4>::from_f64(x);
        assert_eq!(round(&wide, BINARY64, 200), Rounded::Certain(x), "{x}");
    }
    assert_eq!(Wide::<2>::from_f64(-0.3).to_f64(), -0.3);
}

#[test]
fn the_four_operations_and_the_root_undo_each_other() {
    for (x, y) in numbers().zip(numbers().skip(7)) {
        let (a, b) = (Wide::<4>::from_f64(x), Wide::<4>::from_f64(y));
        assert!(agreement(a, a.add(b).sub(b)) > 190, "{x} {y}");
        assert!(agreement(a, a.div(b).mul(b)) > 250, "{x} {y}");
        assert!(agreement(a.magnitude(), a.mul(a).sqrt()) > 250, "{x}");
        assert!(agreement(a, a.div_int(77).mul_int(77)) > 250, "{x}");
    }
}

#[test]
fn constants_come_out_of_the_functions() {
    let ln2 = Wide::<16>::from_constant(&LN2, 0);
    assert!(agreement(ln2, ln(Wide::from_int(2))) > 1010);
    let pi = Wide::<16>::from_constant(&QUARTER_PI, 2);
    let one = Wide::from_int(1);
    assert!(agreement(pi, atan(one, one).scaled(2)) > 1010);
    assert!(agreement(pi, acos(one.negated())) > 1010);
    assert!(agreement(pi, asin(one).scaled(1)) > 1010);
}

#[test]
fn functions_keep_their_identities() {
    for x in numbers() {
        let a = Wide::<4>::from_f64(x);
        let one = Wide::from_int(1);
        assert!(agreement(one, exp(a).mul(exp(a.negated()))) > 240, "{x}");
        assert!(agreement(a, ln(exp(a))) > 200, "{x}");
        assert!(agreement(a, asinh(sinh(a))) > 200, "{x}");
        let (sin, cos) = sin_cos(a.scaled(-5));
        assert!(agreement(one, sin.mul(sin).add(cos.mul(cos))) > 245, "{x}");
        assert!(
            agreement(a.scaled(-5).magnitude(), atan(sin.magnitude(), cos)) > 240,
            "{x}"
        );
        let small = a.scaled(-5);
        assert!(agreement(small, atanh(tanh(small))) > 200, "{x}");
        assert!(
            agreement(sinh(small), tanh(small).mul(cosh(small))) > 240,
            "{x}"
        );
    }
}

#[test]
fn more_limbs_confirm_the_good_bits() {
    for x in numbers() {
        let (narrow, wide) = (Wide::<2>::from_f64(x), Wide::<4>::from_f64(x));
        let check = |name: &str, narrow: Wide<2>, wide: Wide<4>| {
            let mut limbs = [0; 4];
            limbs[2..].copy_from_slice(&narrow.limbs);
            let widened = Wide::<4> {
                negative: narrow.negative,
                exponent: narrow.exponent,
                limbs,
            };
            // The bound itself: 64 * 2 - 48 bits.
            assert!(
                agreement(wide, widened) > good_bits(2) as i64,
                "{name}({x})"
            );
        };
        check("exp", exp(narrow), exp(wide));
        check("expm1", expm1(narrow), expm1(wide));
        check("sinh", sinh(narrow), sinh(wide));
        check("tanh", tanh(narrow), tanh(wide));
        check("asinh", asinh(narrow), asinh(wide));
        check("ln", ln(narrow.magnitude()), ln(wide.magnitude()));
        check(
            "atan",
            atan(narrow.magnitude(), Wide::from_int(1)),
            atan(wide.magnitude(), Wide::from_int(1)),
        );
        if x.abs() < 6.0 {
            check("erf", erf(narrow), erf(wide));
        }
        if x.abs() < 1.0 {
            check("asin", asin(narrow), asin(wide));
            check("acos", acos(narrow), acos(wide));
            check("atanh", atanh(narrow), atanh(wide));
        }
        let angle = x * 1e6;
        check(
            "sin",
            sin_cos(reduce::<2>(angle).1).0,
            sin_cos(reduce::<4>(angle).1).0,
        );
    }
}

#[test]
fn reduction_holds_for_the_angle_closest_to_a_quarter_turn() {
    // The f64 whose distance from a multiple of pi / 2 is smallest: about 4.7e-19.
    let x = 6_381_956_970_095_103.0 * f64::powi(2.0, 797);
    let (quarter, rest) = reduce::<2>(x);
    assert_eq!(quarter & 1, 1);
    assert!((rest.to_f64().abs() - 4.687_165_924_254_624e-19).abs() < 1e-30);
    let (_, wide) = reduce::<4>(x);
    assert!((rest.to_f64() / wide.to_f64() - 1.0).abs() < 1e-15);
}

#[test]
fn the_middle_of_two_results_is_unsure_and_goes_to_even() {
    let middle = |low: u64| Wide::<2>::from_int(2 * low + 1);
    assert_eq!(
        round(&middle(1 << 23), BINARY32, 80),
        Rounded::Unsure((1u64 << 24) as f64)
    );
    let odd = (1 << 23) + 1;
    assert_eq!(
        round(&middle(odd), BINARY32, 80),
        Rounded::Unsure((2 * odd + 2) as f64)
    );
    let below = middle(odd).sub(Wide::from_int(1).scaled(-50));
    assert_eq!(
        round(&below, BINARY32, 80),
        Rounded::Certain((2 * odd) as f64)
    );
    let above = middle(odd).add(Wide::from_int(1).scaled(-50));
    assert_eq!(
        round(&above, BINARY32, 80),
        Rounded::Certain((2 * odd + 2) as f64)
    );
}

#[test]
fn subnormal_results_lose_bits_and_vanish_below_half() {
    let power = |k: i64| Wide::<2>::from_int(1).scaled(k);
    assert_eq!(
        round(&power(-149), BINARY32, 80),
        Rounded::Certain(f64::from(1e-45f32))
    );
    assert_eq!(round(&power(-150), BINARY32, 80), Rounded::Unsure(0.0));
    assert_eq!(round(&power(-151), BINARY32, 80), Rounded::Certain(0.0));
    assert_eq!(round(&power(-1074), BINARY64, 80), Rounded::Certain(5e-324));
    let three = Wide::<2>::from_int(3).scaled(-1075);
    assert_eq!(round(&three, BINARY64, 80), Rounded::Unsure(1e-323));
    let huge = round(&power(1024), BINARY64, 80);
    assert_eq!(huge, Rounded::Certain(f64::INFINITY));
}
