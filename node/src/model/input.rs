//! Inputs of `assay model run`: rows of features from JSON or CSV, tensors from JSON or NumPy files.

use std::path::Path;

use alloy_primitives::I256;
use assay_runtime::manifest::{Feature, Manifest};
use assay_runtime::predict::MISSING;
use assay_runtime::{DType, Model, PortKind, Tensor};
use serde_json::Value;

use super::{file, json};
use crate::cli::Failure;

/// Reads rows of features for a model with a schema; each row has one value for each feature.
pub(crate) fn rows(path: &Path, manifest: &Manifest) -> Result<Vec<Vec<I256>>, Failure> {
    let bytes = file::read(path)?;
    let at = |row: usize, why: String| {
        Failure::usage(format!("{}: row {}: {why}", path.display(), row + 1))
    };
    let features = &manifest.schema.features;
    if extension(path) == "csv" {
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| Failure::usage(format!("{}: not UTF-8 text", path.display())))?;
        return csv_rows(text, features).map_err(|(row, why)| at(row, why));
    }
    let value: Value = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    json_rows(&value, features).map_err(|(row, why)| at(row, why))
}

/// Reads rows of features from JSON: a list of rows, one row, or an object with the member `rows`.
/// A row is a list in schema order or an object by feature name.
pub(crate) fn json_rows(
    value: &Value,
    features: &[Feature],
) -> Result<Vec<Vec<I256>>, (usize, String)> {
    let list = match value {
        Value::Object(members) if members.contains_key("rows") => &members["rows"],
        other => other,
    };
    let rows: Vec<&Value> = match list {
        Value::Array(items) if items.iter().all(|i| i.is_array() || i.is_object()) => {
            items.iter().collect()
        }
        other => vec![other],
    };
    let read = |(at, row): (usize, &Value)| json_row(row, features).map_err(|why| (at, why));
    rows.into_iter().enumerate().map(read).collect()
}

fn json_row(row: &Value, features: &[Feature]) -> Result<Vec<I256>, String> {
    let cell = |value: &Value, feature: &Feature| match value {
        Value::Null => Ok(MISSING),
        Value::String(text) => parse_cell(text, feature),
        Value::Number(number) => parse_cell(&number.to_string(), feature),
        Value::Bool(flag) => parse_cell(if *flag { "1" } else { "0" }, feature),
        other => Err(format!(
            "{other} is not a value of the feature {:?}",
            feature.name
        )),
    };
    match row {
        Value::Array(items) if items.len() == features.len() => items
            .iter()
            .zip(features)
            .map(|(item, feature)| cell(item, feature))
            .collect(),
        Value::Array(items) => Err(format!(
            "{} values, the model takes {} features",
            items.len(),
            features.len()
        )),
        Value::Object(members) => {
            if let Some(name) = members
                .keys()
                .find(|k| !features.iter().any(|f| &f.name == *k))
            {
                return Err(format!("the model has no feature {name:?}"));
            }
            let member = |feature: &Feature| match members.get(&feature.name) {
                Some(value) => cell(value, feature),
                None => Err(format!("the feature {:?} is missing", feature.name)),
            };
            features.iter().map(member).collect()
        }
        other => Err(format!(
            "{other} is neither a list nor an object of features"
        )),
    }
}

/// Reads comma-separated rows under a heading of feature names, in any order.
fn csv_rows(text: &str, features: &[Feature]) -> Result<Vec<Vec<I256>>, (usize, String)> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let heading: Vec<String> = csv_cells(lines.next().ok_or((0, "the file is empty".to_owned()))?);
    let order = features
        .iter()
        .map(|feature| {
            heading
                .iter()
                .position(|name| *name == feature.name)
                .ok_or_else(|| {
                    (
                        0,
                        format!("the heading lacks the feature {:?}", feature.name),
                    )
                })
        })
        .collect::<Result<Vec<_>, _>>()?;
    lines
        .enumerate()
        .map(|(at, line)| {
            let cells = csv_cells(line);
            if cells.len() != heading.len() {
                let why = format!("{} cells under a heading of {}", cells.len(), heading.len());
                return Err((at, why));
            }
            features
                .iter()
                .zip(&order)
                .map(|(feature, &column)| match cells[column].as_str() {
                    "" => Ok(MISSING),
                    cell => parse_cell(cell, feature).map_err(|why| (at, why)),
                })
                .collect()
        })
        .collect()
}

/// Splits one line; cells may be quoted, a doubled quote stands for one.
fn csv_cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        let cell = cells.last_mut().expect("invariant: starts with one cell");
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            c => cell.push(c),
        }
    }
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

/// Reads a decimal number at the feature's scale, or a category by its label.
fn parse_cell(text: &str, feature: &Feature) -> Result<I256, String> {
    if text.eq_ignore_ascii_case("nan") {
        return Ok(MISSING);
    }
    if let Some(category) = feature.categories.iter().find(|c| c.label == text) {
        return parse_decimal(&category.code.to_string(), feature.decimals)
            .ok_or_else(|| format!("code {} does not fit", category.code));
    }
    parse_decimal(text, feature.decimals).ok_or_else(|| {
        let labels: Vec<&str> = feature
            .categories
            .iter()
            .take(5)
            .map(|c| c.label.as_str())
            .collect();
        let expected = if labels.is_empty() {
            "a number".to_owned()
        } else {
            labels.join(", ")
        };
        format!(
            "{text:?} is not a value of the feature {:?} ({expected})",
            feature.name
        )
    })
}

/// Reads a decimal number, with or without an exponent, as an integer at a scale; digits beyond the
/// scale round half to even.
pub(crate) fn parse_decimal(text: &str, decimals: u8) -> Option<I256> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all: String = [whole, fraction].concat();
    if all.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // The value is all * 10^(exponent - fraction digits + decimals) in units of the scale.
    let shift = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let shift = shift.checked_add(i32::from(decimals))?;
    let significant = all.trim_start_matches('0');
    let keep = significant.len() as i64 + i64::from(shift);
    if significant.is_empty() || keep < 0 {
        return Some(I256::ZERO);
    }
    if keep > 78 {
        return None;
    }
    let keep = keep as usize;
    let mut kept: String = significant.chars().take(keep).collect();
    kept.extend(std::iter::repeat_n(
        '0',
        keep.saturating_sub(significant.len()),
    ));
    let rest = significant
        .get(keep.min(significant.len())..)
        .unwrap_or_default();
    let mut value: I256 = if kept.is_empty() {
        I256::ZERO
    } else {
        kept.parse().ok()?
    };
    let odd = kept
        .bytes()
        .last()
        .is_some_and(|digit| (digit - b'0') % 2 == 1);
    let half = rest.bytes().next().unwrap_or(b'0');
    let more = rest.bytes().skip(1).any(|digit| digit != b'0');
    if half > b'5' || (half == b'5' && (more || odd)) {
        value = value.checked_add(I256::ONE)?;
    }
    let value = if negative {
        value.checked_neg()?
    } else {
        value
    };
    (value != MISSING).then_some(value)
}

/// Writes an integer at a scale as a decimal number.
pub(crate) fn format_decimal(value: I256, decimals: u8) -> String {
    let digits = value.unsigned_abs().to_string();
    let sign = if value.is_negative() { "-" } else { "" };
    let scale = usize::from(decimals);
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    }
}

/// An input as its file must give it; without a type it is no tensor.
pub(crate) struct InputPort<'a> {
    pub(crate) name: &'a str,
    pub(crate) dtype: Option<DType>,
}

/// Lists the inputs of a loaded graph.
pub(crate) fn graph_ports(model: &Model) -> Vec<InputPort<'_>> {
    let port = |port: &'_ assay_runtime::Port| match port.kind {
        PortKind::Tensor { dtype, .. } => Some(dtype),
        _ => None,
    };
    let ports = model.inputs().iter();
    ports
        .map(|input| InputPort {
            name: &input.name,
            dtype: port(input),
        })
        .collect()
}

/// Reads the inputs of a bare graph: an object of nested lists by input name, or one NumPy file for
/// a model with one input.
pub(crate) fn tensors(path: &Path, ports: &[InputPort<'_>]) -> Result<Vec<Tensor>, Failure> {
    let bytes = file::read(path)?;
    let at = |why: String| Failure::usage(format!("{}: {why}", path.display()));
    if extension(path) == "npy" {
        if ports.len() != 1 {
            let why = format!(
                "a NumPy file holds one tensor, the model has {} inputs",
                ports.len()
            );
            return Err(at(why).hint("give a JSON object with one member for each input"));
        }
        return npy(&bytes).map(|tensor| vec![tensor]).map_err(at);
    }
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| at(error.to_string()))?;
    let mut tensors = Vec::new();
    for port in ports {
        let Some(dtype) = port.dtype else {
            return Err(at(format!("the input {:?} is not a tensor", port.name)));
        };
        let given = match &value {
            Value::Object(members) => members.get(port.name),
            other if ports.len() == 1 => Some(other),
            _ => None,
        };
        let given = given.ok_or_else(|| at(format!("the input {:?} is missing", port.name)))?;
        let tensor = json::tensor(given, dtype)
            .map_err(|why| at(format!("the input {:?}: {why}", port.name)))?;
        tensors.push(tensor);
    }
    Ok(tensors)
}

/// Reads a NumPy file of version 1 to 3 in C order.
fn npy(bytes: &[u8]) -> Result<Tensor, String> {
    let not = || "not a NumPy file".to_owned();
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or_else(not)?;
    let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(not)?;
    let (length, rest) = if version[0] == 1 {
        let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(not)?;
        (usize::from(u16::from_le_bytes(*length)), rest)
    } else {
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(not)?;
        (u32::from_le_bytes(*length) as usize, rest)
    };
    let (header, data) = rest.split_at_checked(length).ok_or_else(not)?;
    let header = std::str::from_utf8(header).map_err(|_| not())?;
    let member = |name: &str| {
        let start = header.find(&format!("'{name}':"))? + name.len() + 3;
        Some(header.get(start..)?.trim_start())
    };
    if member("fortran_order").is_none_or(|text| !text.starts_with("False")) {
        return Err("the array is in Fortran order; save it with np.ascontiguousarray".to_owned());
    }
    let descr = member("descr")
        .and_then(|text| text.split('\'').nth(1))
        .ok_or_else(not)?;
    let dtype = match descr {
        "<f4" => DType::F32,
        "<f8" => DType::F64,
        "<f2" => DType::F16,
        "|i1" => DType::I8,
        "<i2" => DType::I16,
        "<i4" => DType::I32,
        "<i8" => DType::I64,
        "|u1" => DType::U8,
        "<u2" => DType::U16,
        "<u4" => DType::U32,
        "<u8" => DType::U64,
        "|b1" => DType::Bool,
        other => return Err(format!("NumPy type {other} is not supported")),
    };
    let list = member("shape")
        .and_then(|text| text.split(['(', ')']).nth(1))
        .ok_or_else(not)?;
    let shape = list
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty())
        .map(|size| size.parse::<usize>().map_err(|_| not()))
        .collect::<Result<Vec<_>, _>>()?;
    let count = assay_runtime::element_count(&shape).ok_or_else(not)?;
    let data = assay_runtime::elements::decode(dtype, count, data).map_err(|e| e.to_string())?;
    Tensor::new(shape, data).map_err(|e| e.to_string())
}

fn extension(path: &Path) -> String {
    path.extension()
        .map(|e| e.to_string_lossy().to_lowercase())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str, decimals: u8) -> Option<String> {
        parse_decimal(text, decimals).map(|value| value.to_string())
    }

    #[test]
    fn decimals_keep_every_digit_and_round_half_to_even() {
        assert_eq!(decimal("1.5", 18).as_deref(), Some("1500000000000000000"));
        assert_eq!(decimal("-0.1", 1).as_deref(), Some("-1"));
        assert_eq!(decimal("2.5", 0).as_deref(), Some("2"));
        assert_eq!(decimal("3.5", 0).as_deref(), Some("4"));
        assert_eq!(decimal("0.05", 1).as_deref(), Some("0"));
        assert_eq!(decimal("0.051", 1).as_deref(), Some("1"));
        assert_eq!(decimal("1e3", 2).as_deref(), Some("100000"));
        assert_eq!(decimal("12e-4", 3).as_deref(), Some("1"));
        assert_eq!(decimal("1e90", 0), None);
        assert_eq!(decimal("1.2.3", 0), None);
        assert_eq!(decimal("", 0), None);
    }

    #[test]
    fn formatting_inverts_parsing() {
        for text in ["0", "-12", "0.5", "-3.25", "1000000.000001"] {
            let value = parse_decimal(text, 18).unwrap();
            assert_eq!(format_decimal(value, 18), text);
        }
    }

    #[test]
    fn quoted_cells_may_hold_commas() {
        assert_eq!(csv_cells("a,\"b, \"\"c\"\"\",d"), ["a", "b, \"c\"", "d"]);
    }
}
