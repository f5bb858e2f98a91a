//! Reading safetensors files: this runtime's limits first, then the format's own checks.

use std::collections::BTreeSet;
use std::fmt;

use candle_core::Device;
use candle_core::safetensors::SliceSafetensors;
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::{CandleError, from_candle};
use crate::limits::Limits;
use crate::tensor::Tensor;

/// Bounds the header: some ten thousand tensors with long names.
const MAX_HEADER_BYTES: u64 = 4 << 20;
/// Bytes of the length that a file begins with.
const LENGTH_BYTES: usize = 8;

/// Reads all tensors of a safetensors file, ordered by name.
pub fn read_safetensors(
    bytes: &[u8],
    limits: &Limits,
) -> Result<Vec<(String, Tensor)>, CandleError> {
    check_header(bytes, limits)?;
    // The rest of the format is checked by its own parser: offsets in order, no gap, no overlap,
    // sizes that match the shapes, nothing after the last tensor.
    let file = SliceSafetensors::new(bytes)?;
    let mut tensors = file.tensors();
    // The parser keeps them in a hash map; which error comes first must not depend on its order.
    tensors.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    for (name, view) in &tensors {
        if view.shape().len() as u64 > limits.rank {
            return Err(CandleError::Limit {
                what: "dimensions of a tensor",
                limit: limits.rank,
                got: view.shape().len() as u64,
            });
        }
        // Zero dimensions do not excuse the others: strides are computed from all of them.
        let got = view
            .shape()
            .iter()
            .fold(1u64, |n, &d| n.saturating_mul((d as u64).max(1)));
        if got > limits.elements {
            return Err(CandleError::TooLarge {
                name: name.clone(),
                limit: limits.elements,
                got,
            });
        }
    }
    tensors
        .into_iter()
        .map(|(name, _)| {
            let tensor = from_candle(&file.load(&name, &Device::Cpu)?)?;
            Ok((name, tensor))
        })
        .collect()
}

/// Checks sizes before the header is parsed, and its names before they enter a map that would keep
/// the last of two alike.
fn check_header(bytes: &[u8], limits: &Limits) -> Result<(), CandleError> {
    let within = |what, limit, got| match got <= limit {
        true => Ok(()),
        false => Err(CandleError::Limit { what, limit, got }),
    };
    within("bytes of the file", limits.model_bytes, bytes.len() as u64)?;
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        return Err(CandleError::Header {
            says: LENGTH_BYTES as u64,
            got: bytes.len() as u64,
        });
    };
    let says = u64::from_le_bytes(*length);
    within("bytes of the header", MAX_HEADER_BYTES, says)?;
    let header = rest.get(..says as usize).ok_or(CandleError::Header {
        says,
        got: rest.len() as u64,
    })?;
    let names: Names =
        serde_json::from_slice(header).map_err(|error| CandleError::Json(error.to_string()))?;
    within("tensors", limits.values, names.0.len() as u64)?;
    let mut seen = BTreeSet::new();
    for name in &names.0 {
        within("bytes of a name", limits.name_bytes, name.len() as u64)?;
        if !seen.insert(name) {
            return Err(CandleError::Duplicate(name.clone()));
        }
    }
    Ok(())
}

/// Lists the names of a JSON object, repeated ones too.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name.is_empty() {
                        return Err(A::Error::custom("a tensor has no name"));
                    }
                    map.next_value::<IgnoredAny>()?;
                    names.push(name);
                }
                Ok(Names(names))
            }
        }

        deserializer.deserialize_map(Object)
    }
}
