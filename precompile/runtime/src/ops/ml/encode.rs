//! LabelEncoder: a table from keys to values of any of six types.

use std::collections::BTreeMap;

use super::category::{Mapper, first_places, search_cost};
use super::rows::check_len;
use crate::cost::Cost;
use crate::dtype::DType;
use crate::error::OpError;
use crate::ops::{CostCx, Fact, InferCx, Ins, NodeCx, Op, RunCx};
use crate::tensor::{Data, Out, Tensor};

/// Finds keys; numbers are widened, which is exact.
enum Keys {
    Strings(BTreeMap<String, usize>),
    Ints(BTreeMap<i64, usize>),
    /// Floats by their bits, with one zero and one NaN.
    Floats(BTreeMap<u64, usize>),
}

struct LabelEncoder {
    keys: Keys,
    key_type: DType,
    /// Holds the values, and the default behind them.
    values: Data,
    default: usize,
}

/// Gives equal floats, both zeros and all NaNs the same key.
fn float_key(x: f64) -> u64 {
    if x.is_nan() {
        f64::NAN.to_bits()
    } else if x == 0.0 {
        0
    } else {
        x.to_bits()
    }
}

impl LabelEncoder {
    fn places(&self, data: &Data) -> Result<Vec<usize>, OpError> {
        let default = |place: Option<&usize>| place.copied().unwrap_or(self.default);
        let float = |x: f64, keys: &BTreeMap<u64, usize>| default(keys.get(&float_key(x)));
        Ok(match (&self.keys, data) {
            (Keys::Strings(keys), Data::Str(x)) => x.iter().map(|x| default(keys.get(x))).collect(),
            (Keys::Ints(keys), Data::I64(x)) => x.iter().map(|x| default(keys.get(x))).collect(),
            (Keys::Ints(keys), Data::I32(x)) => {
                let find = |x: &i32| default(keys.get(&i64::from(*x)));
                x.iter().map(find).collect()
            }
            (Keys::Ints(keys), Data::I16(x)) => {
                let find = |x: &i16| default(keys.get(&i64::from(*x)));
                x.iter().map(find).collect()
            }
            (Keys::Floats(keys), Data::F32(x)) => {
                x.iter().map(|x| float((*x).into(), keys)).collect()
            }
            (Keys::Floats(keys), Data::F64(x)) => x.iter().map(|x| float(*x, keys)).collect(),
            (_, other) => {
                return Err(OpError::ElementType {
                    expected: self.key_type,
                    got: other.dtype(),
                });
            }
        })
    }
}

impl Op for LabelEncoder {
    fn infer(&self, cx: &InferCx<'_>) -> Result<Vec<Fact>, OpError> {
        let x = cx.tensor(0)?;
        if x.dtype != self.key_type {
            return Err(OpError::ElementType {
                expected: self.key_type,
                got: x.dtype,
            });
        }
        Ok(vec![Fact::tensor(self.values.dtype(), x.shape.clone())])
    }

    fn cost(&self, cx: &CostCx<'_>) -> Result<Cost, OpError> {
        search_cost(cx, self.default)
    }

    fn run(&self, _: &mut RunCx<'_>, ins: Ins<'_>, outs: &mut [Out<'_>]) -> Result<(), OpError> {
        fn put<T: Clone>(values: &[T], places: &[usize], out: &mut [T]) {
            for (out, place) in out.iter_mut().zip(places) {
                if let Some(value) = values.get(*place) {
                    out.clone_from(value);
                }
            }
        }
        let places = self.places(ins.get(0)?.data)?;
        match (&self.values, &mut *outs[0].data) {
            (Data::Str(values), Data::Str(out)) => put(values, &places, out),
            (Data::I64(values), Data::I64(out)) => put(values, &places, out),
            (Data::I32(values), Data::I32(out)) => put(values, &places, out),
            (Data::I16(values), Data::I16(out)) => put(values, &places, out),
            (Data::F32(values), Data::F32(out)) => put(values, &places, out),
            (Data::F64(values), Data::F64(out)) => put(values, &places, out),
            (values, out) => {
                return Err(OpError::ElementType {
                    expected: values.dtype(),
                    got: out.dtype(),
                });
            }
        }
        Ok(())
    }
}

/// Reads a list that may be given in four attributes, of which exactly one is there.
fn list(cx: &NodeCx<'_>, names: [&'static str; 4]) -> Result<Data, OpError> {
    let [tensor, strings, ints, floats] = names;
    let given = [
        cx.tensor(tensor)?.map(|tensor| tensor.into_parts().1),
        cx.strings(strings)?.map(Data::Str),
        cx.ints(ints)?.map(Data::I64),
        cx.floats(floats)?.map(Data::F32),
    ];
    let mut given = given.into_iter().flatten().filter(|data| !data.is_empty());
    match (given.next(), given.next()) {
        (Some(data), None) => Ok(data),
        (None, _) => Err(OpError::Attribute {
            name: strings,
            why: "is missing, and so are its other forms",
        }),
        (Some(_), Some(_)) => Err(OpError::Attribute {
            name: strings,
            why: "is given in two forms",
        }),
    }
}

fn keys(data: &Data) -> Result<Keys, OpError> {
    let floats = |x: &mut dyn Iterator<Item = f64>| Keys::Floats(first_places(x.map(float_key)));
    Ok(match data {
        Data::Str(list) => Keys::Strings(first_places(list.iter().cloned())),
        Data::I64(list) => Keys::Ints(first_places(list.iter().copied())),
        Data::I32(list) => Keys::Ints(first_places(list.iter().map(|x| i64::from(*x)))),
        Data::I16(list) => Keys::Ints(first_places(list.iter().map(|x| i64::from(*x)))),
        Data::F32(list) => floats(&mut list.iter().map(|x| f64::from(*x))),
        Data::F64(list) => floats(&mut list.iter().copied()),
        other => {
            return Err(OpError::Type {
                what: "string, integer or float keys",
                got: other.dtype(),
            });
        }
    })
}

/// Appends the default to the values: the tensor if it is given, else the attribute of its type.
fn with_default(cx: &NodeCx<'_>, mut values: Data) -> Result<Data, OpError> {
    let text = cx.string_or("default_string", "_Unused")?;
    let int = cx.int_or("default_int64", -1)?;
    let float = cx.float_or("default_float", -0.0)?;
    let tensor = cx.tensor("default_tensor")?.map(Tensor::into_parts);
    let tensor = tensor.map(|(_, data)| data);
    if let Some(data) = &tensor {
        check_len("default_tensor", data.len(), 1)?;
    }
    match (&mut values, &tensor) {
        (Data::Str(list), Some(Data::Str(one))) => list.extend_from_slice(one),
        (Data::I64(list), Some(Data::I64(one))) => list.extend_from_slice(one),
        (Data::I32(list), Some(Data::I32(one))) => list.extend_from_slice(one),
        (Data::I16(list), Some(Data::I16(one))) => list.extend_from_slice(one),
        (Data::F32(list), Some(Data::F32(one))) => list.extend_from_slice(one),
        (Data::F64(list), Some(Data::F64(one))) => list.extend_from_slice(one),
        (Data::Str(list), None) => list.push(text),
        (Data::I64(list), None) => list.push(int),
        (Data::I32(list), None) => list.push(-1),
        (Data::I16(list), None) => list.push(-1),
        (Data::F32(list), None) => list.push(float),
        (Data::F64(list), None) => list.push(float.into()),
        (list, Some(one)) => {
            return Err(OpError::ElementType {
                expected: list.dtype(),
                got: one.dtype(),
            });
        }
        (list, None) => {
            return Err(OpError::Type {
                what: "string, integer or float values",
                got: list.dtype(),
            });
        }
    }
    Ok(values)
}

/// Builds LabelEncoder.
pub(super) fn label_encoder(cx: &NodeCx<'_>) -> Result<Box<dyn Op>, OpError> {
    cx.arity(1..=1, 1)?;
    if cx.opset() < 2 {
        let strings = cx.strings("classes_strings")?.unwrap_or_default();
        let ints = (0..).take(strings.len()).collect();
        return Ok(Box::new(Mapper::new(cx, strings, ints)?));
    }
    let names = ["keys_tensor", "keys_strings", "keys_int64s", "keys_floats"];
    let key_list = list(cx, names)?;
    let names = [
        "values_tensor",
        "values_strings",
        "values_int64s",
        "values_floats",
    ];
    let values = list(cx, names)?;
    check_len("values", values.len(), key_list.len())?;
    Ok(Box::new(LabelEncoder {
        keys: keys(&key_list)?,
        key_type: key_list.dtype(),
        default: values.len(),
        values: with_default(cx, values)?,
    }))
}
