//! Agreement of two values: exact for everything but floats, a stated tolerance for those.

use assay_runtime::{Data, Tensor, Value};

/// Bounds the difference of two floats: `|got - want| <= absolute + relative * |want|`, or so many
/// units in the last place of a 16-bit type.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// The part that grows with the expected value.
    pub relative: f64,
    /// The part that does not.
    pub absolute: f64,
    /// Units in the last place that a float16 or bfloat16 may be off: one unit of a bfloat16 is more
    /// than the relative tolerance of most test cases.
    pub units16: f64,
}

/// Says where two values differ, or nothing when they agree.
pub fn difference(got: &Value, want: &Value, tolerance: Tolerance) -> Option<String> {
    match (got, want) {
        (Value::Tensor(got), Value::Tensor(want)) => tensors(got, want, tolerance),
        (Value::Sequence(got), Value::Sequence(want)) => {
            if got.len() != want.len() {
                return Some(format!("{} elements, expected {}", got.len(), want.len()));
            }
            let differing = got.iter().zip(want).enumerate();
            differing
                .filter_map(|(i, (got, want))| {
                    difference(got, want, tolerance).map(|why| format!("element {i}: {why}"))
                })
                .next()
        }
        (Value::Optional(None), Value::Optional(None)) => None,
        (Value::Optional(Some(got)), Value::Optional(Some(want))) => {
            difference(got, want, tolerance)
        }
        (Value::Optional(got), Value::Optional(_)) => Some(match got {
            Some(_) => "a value, expected an empty optional".to_owned(),
            None => "an empty optional, expected a value".to_owned(),
        }),
        (got, want) => Some(format!("a {}, expected a {}", got.kind(), want.kind())),
    }
}

fn tensors(got: &Tensor, want: &Tensor, tolerance: Tolerance) -> Option<String> {
    if got.dtype() != want.dtype() {
        return Some(format!("{}, expected {}", got.dtype(), want.dtype()));
    }
    if got.shape() != want.shape() {
        return Some(format!(
            "shape {:?}, expected {:?}",
            got.shape(),
            want.shape()
        ));
    }
    // The distance of neighbours, relative to the power of two below them.
    let spacing = match want.data() {
        Data::F16(_) => 1.0 / 1024.0,
        Data::Bf16(_) => 1.0 / 128.0,
        _ => 0.0,
    };
    match (floats(got.data()), floats(want.data())) {
        (Some(got), Some(want)) => {
            let far = got.iter().zip(&want).position(|(got, want)| {
                let units = tolerance.units16 * spacing * power_below(*want);
                !(close(*got, *want, tolerance) || (got - want).abs() <= units)
            })?;
            Some(format!(
                "[{far}] = {:?}, expected {:?}",
                got.get(far)?,
                want.get(far)?
            ))
        }
        _ if got.data() == want.data() => None,
        _ => Some(exact_difference(got.data(), want.data())),
    }
}

fn close(got: f64, want: f64, tolerance: Tolerance) -> bool {
    if got.is_nan() || want.is_nan() {
        return got.is_nan() && want.is_nan();
    }
    if got.is_infinite() || want.is_infinite() {
        return got.total_cmp(&want).is_eq();
    }
    (got - want).abs() <= tolerance.absolute + tolerance.relative * want.abs()
}

/// Returns the largest power of two that is not above the magnitude of a normal number.
fn power_below(value: f64) -> f64 {
    f64::from_bits(value.to_bits() & f64::INFINITY.to_bits())
}

/// Widens the elements of the floating types that have a tolerance; the codes of 8-bit and smaller
/// floats are compared as they are.
pub fn floats(data: &Data) -> Option<Vec<f64>> {
    Some(match data {
        Data::F32(values) => values.iter().map(|v| f64::from(*v)).collect(),
        Data::F64(values) => values.clone(),
        Data::F16(values) => values.iter().map(|v| v.to_f64()).collect(),
        Data::Bf16(values) => values.iter().map(|v| v.to_f64()).collect(),
        _ => return None,
    })
}

fn exact_difference(got: &Data, want: &Data) -> String {
    macro_rules! first {
        ($($kind:ident)*) => {
            match (got, want) {
                $((Data::$kind(got), Data::$kind(want)) => got
                    .iter()
                    .zip(want)
                    .enumerate()
                    .find(|(_, (got, want))| got != want)
                    .map(|(i, (got, want))| format!("[{i}] = {got:?}, expected {want:?}")),)*
                _ => None,
            }
        };
    }
    first!(U8 I8 U16 I16 I32 I64 Str Bool U32 U64 F8E4M3Fn F8E4M3Fnuz F8E5M2 F8E5M2Fnuz U4 I4 F4E2M1 F8E8M0 U2 I2)
        .unwrap_or_else(|| "the elements differ".to_owned())
}

#[cfg(test)]
mod tests {
    use assay_numerics::half::Bf16;

    use super::*;

    const EXACT: Tolerance = Tolerance {
        relative: 0.0,
        absolute: 0.0,
        units16: 0.0,
    };

    fn floats_of(values: &[f32]) -> Value {
        let tensor = Tensor::from_vec([values.len()], values.to_vec());
        Value::Tensor(tensor.expect("the count fits"))
    }

    #[test]
    fn nan_agrees_with_nan_only() {
        let nan = floats_of(&[f32::NAN]);
        assert_eq!(difference(&nan, &nan, EXACT), None);
        assert!(difference(&nan, &floats_of(&[0.0]), EXACT).is_some());
    }

    #[test]
    fn infinity_is_never_within_a_tolerance() {
        let loose = Tolerance {
            relative: 1.0,
            absolute: 1.0,
            units16: 0.0,
        };
        let infinite = floats_of(&[f32::INFINITY]);
        assert_eq!(difference(&infinite, &infinite, loose), None);
        assert!(difference(&floats_of(&[1.0]), &infinite, loose).is_some());
        assert!(difference(&floats_of(&[f32::NEG_INFINITY]), &infinite, loose).is_some());
    }

    #[test]
    fn the_tolerance_grows_with_the_expected_value() {
        let relative = Tolerance {
            relative: 0.1,
            absolute: 0.0,
            units16: 0.0,
        };
        assert_eq!(
            difference(&floats_of(&[109.0]), &floats_of(&[100.0]), relative),
            None
        );
        assert!(difference(&floats_of(&[1.2]), &floats_of(&[1.0]), relative).is_some());
    }

    #[test]
    fn sixteen_bit_floats_may_be_off_by_units_of_their_last_place() {
        let halves = |value: f64| {
            let tensor = Tensor::from_vec([1], vec![Bf16::from_f64(value)]);
            Value::Tensor(tensor.expect("the count fits"))
        };
        let units = Tolerance {
            units16: 2.0,
            ..EXACT
        };
        let unit = 1.0 / 256.0;
        let (want, near, far) = (
            halves(0.75),
            halves(0.75 + 2.0 * unit),
            halves(0.75 + 3.0 * unit),
        );
        assert_eq!(difference(&near, &want, units), None);
        assert!(difference(&far, &want, units).is_some());
        assert!(difference(&near, &want, EXACT).is_some());
        assert!(difference(&halves(f64::NAN), &want, units).is_some());
    }

    #[test]
    fn integers_and_shapes_must_be_equal() {
        let ints = |shape: &[usize], values: Vec<i64>| {
            Value::Tensor(Tensor::from_vec(shape, values).expect("the count fits"))
        };
        let loose = Tolerance {
            relative: 1.0,
            absolute: 1.0,
            units16: 0.0,
        };
        let want = ints(&[2], vec![1, 2]);
        assert_eq!(difference(&want, &want, loose), None);
        let found = difference(&ints(&[2], vec![1, 3]), &want, loose);
        assert_eq!(found.as_deref(), Some("[1] = 3, expected 2"));
        assert!(difference(&ints(&[2, 1], vec![1, 2]), &want, loose).is_some());
    }
}
