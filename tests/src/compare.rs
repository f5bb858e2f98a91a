//! Agreement of two values: exact for everything but floats, a stated tolerance for those.

use assay_runtime::{Data, Tensor, Value};

/// Bounds the difference of two floats: `|got - want| <= absolute + relative * |want|`.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// The part that grows with the expected value.
    pub relative: f64,
    /// The part that does not.
    pub absolute: f64,
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
    // The reference rounds a narrow float after every step of an operator, ours once for each
    // operator: two last places of difference are no error.
    let last_places = match want.data() {
        Data::Bf16(_) => f64::powi(2.0, -6),
        Data::F16(_) => f64::powi(2.0, -9),
        _ => 0.0,
    };
    let tolerance = Tolerance {
        relative: tolerance.relative.max(last_places),
        ..tolerance
    };
    match (floats(got.data()), floats(want.data())) {
        (Some(got), Some(want)) => {
            let far = got
                .iter()
                .zip(&want)
                .position(|(got, want)| !close(*got, *want, tolerance))?;
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
    use super::*;

    const EXACT: Tolerance = Tolerance {
        relative: 0.0,
        absolute: 0.0,
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
        };
        assert_eq!(
            difference(&floats_of(&[109.0]), &floats_of(&[100.0]), relative),
            None
        );
        assert!(difference(&floats_of(&[1.2]), &floats_of(&[1.0]), relative).is_some());
    }

    #[test]
    fn integers_and_shapes_must_be_equal() {
        let ints = |shape: &[usize], values: Vec<i64>| {
            Value::Tensor(Tensor::from_vec(shape, values).expect("the count fits"))
        };
        let loose = Tolerance {
            relative: 1.0,
            absolute: 1.0,
        };
        let want = ints(&[2], vec![1, 2]);
        assert_eq!(difference(&want, &want, loose), None);
        let found = difference(&ints(&[2], vec![1, 3]), &want, loose);
        assert_eq!(found.as_deref(), Some("[1] = 3, expected 2"));
        assert!(difference(&ints(&[2, 1], vec![1, 2]), &want, loose).is_some());
    }
}
