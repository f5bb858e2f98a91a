//! JSON for tensors and decimal numbers: what people write to what models read.

use assay_runtime::numerics::half::{Bf16, F16};
use assay_runtime::{DType, Data, Tensor, View, element_count};
use serde_json::{Number, Value, json};

/// Reads nested lists (or one number) as a tensor of the given type.
pub(crate) fn tensor(value: &Value, dtype: DType) -> Result<Tensor, String> {
    let mut shape = Vec::new();
    let mut at = value;
    while let Value::Array(items) = at {
        shape.push(items.len());
        match items.first() {
            Some(first) => at = first,
            None => break,
        }
    }
    let mut leaves = Vec::new();
    flatten(value, &shape, &mut leaves)?;
    let data = convert(&leaves, dtype)?;
    if element_count(&shape) != Some(data.len()) {
        return Err("the nested lists are uneven".to_owned());
    }
    Tensor::new(shape, data).map_err(|error| error.to_string())
}

fn flatten<'v>(value: &'v Value, shape: &[usize], out: &mut Vec<&'v Value>) -> Result<(), String> {
    match (value, shape) {
        (Value::Array(items), [size, rest @ ..]) if items.len() == *size => {
            items.iter().try_for_each(|item| flatten(item, rest, out))
        }
        (Value::Array(_), _) | (_, [_, ..]) => Err("the nested lists are uneven".to_owned()),
        (leaf, []) => {
            out.push(leaf);
            Ok(())
        }
    }
}

fn convert(leaves: &[&Value], dtype: DType) -> Result<Data, String> {
    fn all<T>(
        leaves: &[&Value],
        dtype: DType,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Vec<T>, String> {
        leaves
            .iter()
            .map(|leaf| read(leaf).ok_or_else(|| format!("{leaf} is not a {dtype} value")))
            .collect()
    }
    let float = |leaf: &Value| match leaf {
        Value::Null => Some(f64::NAN),
        Value::Number(number) => number.as_f64(),
        _ => None,
    };
    // The text is parsed in the target type, so that it is rounded once.
    let single = |leaf: &Value| match leaf {
        Value::Null => Some(f32::NAN),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    };
    macro_rules! integer {
        ($kind:ident, $t:ty) => {
            Data::$kind(all(leaves, dtype, |leaf| match leaf {
                Value::Bool(b) => Some(<$t>::from(*b)),
                _ => leaf
                    .as_i64()
                    .and_then(|v| <$t>::try_from(v).ok())
                    .or_else(|| leaf.as_u64().and_then(|v| <$t>::try_from(v).ok())),
            })?)
        };
    }
    Ok(match dtype {
        DType::F32 => Data::F32(all(leaves, dtype, single)?),
        DType::F64 => Data::F64(all(leaves, dtype, float)?),
        DType::F16 => Data::F16(
            all(leaves, dtype, float)?
                .into_iter()
                .map(F16::from_f64)
                .collect(),
        ),
        DType::Bf16 => Data::Bf16(
            all(leaves, dtype, float)?
                .into_iter()
                .map(Bf16::from_f64)
                .collect(),
        ),
        DType::I8 => integer!(I8, i8),
        DType::I16 => integer!(I16, i16),
        DType::I32 => integer!(I32, i32),
        DType::I64 => integer!(I64, i64),
        DType::U8 => integer!(U8, u8),
        DType::U16 => integer!(U16, u16),
        DType::U32 => integer!(U32, u32),
        DType::U64 => integer!(U64, u64),
        DType::Bool => Data::Bool(all(leaves, dtype, Value::as_bool)?),
        DType::Str => Data::Str(all(leaves, dtype, |v| v.as_str().map(str::to_owned))?),
        other => return Err(format!("{other} tensors cannot be given as JSON")),
    })
}

/// Writes a tensor as an object with its type, shape and flat values; numbers JSON cannot hold
/// (NaN, infinities) become text.
pub(crate) fn describe(view: View<'_>) -> Value {
    let float = |v: f64| match Number::from_f64(v) {
        Some(number) => Value::Number(number),
        None => Value::String(v.to_string()),
    };
    // The shortest text that reads back as the same binary32 number.
    let single = |v: &f32| {
        v.to_string()
            .parse()
            .map_or_else(|_| float(f64::from(*v)), float)
    };
    let values: Vec<Value> = match view.data {
        Data::F32(v) => v.iter().map(single).collect(),
        Data::F64(v) => v.iter().map(|&v| float(v)).collect(),
        Data::F16(v) => v.iter().map(|v| single(&v.to_f32())).collect(),
        Data::Bf16(v) => v.iter().map(|v| single(&v.to_f32())).collect(),
        Data::I8(v) | Data::I4(v) | Data::I2(v) => v.iter().map(|&v| json!(v)).collect(),
        Data::I16(v) => v.iter().map(|&v| json!(v)).collect(),
        Data::I32(v) => v.iter().map(|&v| json!(v)).collect(),
        Data::I64(v) => v.iter().map(|&v| json!(v)).collect(),
        Data::U16(v) => v.iter().map(|&v| json!(v)).collect(),
        Data::U32(v) => v.iter().map(|&v| json!(v)).collect(),
        Data::U64(v) => v.iter().map(|&v| json!(v)).collect(),
        Data::Bool(v) => v.iter().map(|&v| json!(v)).collect(),
        Data::Str(v) => v.iter().map(|v| json!(v)).collect(),
        // Codes of the narrow formats, and plain bytes.
        other => other
            .codes()
            .unwrap_or_default()
            .iter()
            .map(|&v| json!(v))
            .collect(),
    };
    json!({ "dtype": view.dtype().name(), "shape": view.shape, "data": values })
}
