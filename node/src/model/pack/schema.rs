//! The feature schema of a bundle: features and columns as described, or named after the graph.

use alloy_primitives::I256;
use assay_runtime::DType;
use assay_runtime::manifest::{Category, Column, Dim, Feature, FeatureSchema, Port};

use super::Args;
use super::description::{CategoryText, ColumnText, Description, FeatureText};
use crate::cli::Failure;
use crate::model::input;

/// Decimals of a float feature or column that does not state them.
const DEFAULT_DECIMALS: u8 = 18;

pub(super) fn schema(
    args: &Args,
    text: &Description,
    inputs: &[Port],
    primary: &Port,
) -> Result<FeatureSchema, Failure> {
    let free = |port: &Port| {
        port.shape
            .iter()
            .skip(1)
            .any(|dim| matches!(dim, Dim::Name(_)))
    };
    if inputs.iter().any(free) || free(primary) && text.columns.is_none() {
        if text.features.is_some() || text.columns.is_some() {
            return Err(Failure::usage(
                "features need inputs whose only free dimension is the batch",
            ));
        }
        // Sequences and images of any size: the model answers `run` only.
        return Ok(FeatureSchema::default());
    }
    let features = match &text.features {
        Some(list) => list.iter().map(feature).collect::<Result<Vec<_>, _>>()?,
        None => default_features(inputs),
    };
    let columns = match &text.columns {
        Some(list) => list
            .iter()
            .enumerate()
            .map(|(i, c)| column(i, c, primary))
            .collect(),
        None => default_columns(args, text, primary)?,
    };
    Ok(FeatureSchema { features, columns })
}

fn feature(text: &FeatureText) -> Result<Feature, Failure> {
    let decimals = text.decimals.unwrap_or(if text.categories.is_empty() {
        DEFAULT_DECIMALS
    } else {
        0
    });
    let bound = |value: &Option<serde_json::Value>| -> Result<Option<I256>, Failure> {
        let Some(value) = value else { return Ok(None) };
        let number = match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        input::parse_decimal(&number, decimals)
            .map(Some)
            .ok_or_else(|| {
                Failure::usage(format!("feature {:?}: {number} is not a number", text.name))
            })
    };
    let category = |(at, category): (usize, &CategoryText)| match category {
        CategoryText::Label(label) => Category {
            code: at as i64,
            label: label.clone(),
        },
        CategoryText::Coded { code, label } => Category {
            code: *code,
            label: label.clone(),
        },
    };
    Ok(Feature {
        name: text.name.clone(),
        unit: text.unit.clone(),
        decimals,
        min: bound(&text.min)?,
        max: bound(&text.max)?,
        nullable: text.nullable,
        categories: text.categories.iter().enumerate().map(category).collect(),
    })
}

fn default_features(inputs: &[Port]) -> Vec<Feature> {
    let mut features = Vec::new();
    for port in inputs {
        let width: u64 = port.shape.iter().skip(1).map(size_of_dim).product();
        for at in 0..width {
            let name = if width == 1 {
                port.name.clone()
            } else {
                format!("{}_{at}", port.name)
            };
            let decimals = if is_float(port.dtype) {
                DEFAULT_DECIMALS
            } else {
                0
            };
            features.push(Feature {
                name,
                unit: None,
                decimals,
                min: None,
                max: None,
                nullable: false,
                categories: Vec::new(),
            });
        }
    }
    features
}

fn column(at: usize, text: &ColumnText, primary: &Port) -> Column {
    let decimals = if is_float(primary.dtype) {
        DEFAULT_DECIMALS
    } else {
        0
    };
    Column {
        name: text.name.clone(),
        class: text.class.clone(),
        unit: text.unit.clone(),
        decimals: text.decimals.unwrap_or(decimals),
        index: text.index.unwrap_or(at as u32),
        labels: text.labels.clone(),
    }
}

/// Names the columns of the primary output. More than one column needs a decision by the author:
/// a contract that reads column 0 of a binary classifier reads the wrong class.
fn default_columns(
    args: &Args,
    text: &Description,
    primary: &Port,
) -> Result<Vec<Column>, Failure> {
    let width: u64 = primary.shape.iter().skip(1).map(size_of_dim).product();
    let decimals = if is_float(primary.dtype) {
        DEFAULT_DECIMALS
    } else {
        0
    };
    let plain = |index: u64, class: Option<&String>| Column {
        name: match class {
            Some(class) => format!("class {class}"),
            None if width == 1 => primary.name.clone(),
            None => format!("{}_{index}", primary.name),
        },
        class: class.cloned(),
        unit: None,
        decimals,
        index: index as u32,
        labels: Vec::new(),
    };
    if width == 1 {
        return Ok(vec![plain(0, None)]);
    }
    let numbered: Vec<String> = (0..width).map(|i| i.to_string()).collect();
    let classes = text.classes.as_ref().unwrap_or(&numbered);
    if classes.len() as u64 != width {
        return Err(Failure::usage(format!(
            "{} classes for {width} columns of the output {:?}",
            classes.len(),
            primary.name
        )));
    }
    let positive = args
        .positive_class
        .as_ref()
        .or(text.positive_class.as_ref());
    if let Some(positive) = positive {
        let index = classes
            .iter()
            .position(|class| class == positive)
            .ok_or_else(|| {
                Failure::usage(format!(
                    "no class {positive:?}; the classes are {}",
                    classes.join(", ")
                ))
            })?;
        return Ok(vec![plain(index as u64, Some(positive))]);
    }
    if args.all_classes {
        return Ok(classes
            .iter()
            .enumerate()
            .map(|(i, c)| plain(i as u64, Some(c)))
            .collect());
    }
    Err(Failure::usage(format!(
        "the output {:?} has {width} columns: say which a contract shall read",
        primary.name
    ))
    .hint("--positive-class CLASS for one of them, --all-classes for all"))
}

fn size_of_dim(dim: &Dim) -> u64 {
    match dim {
        Dim::Size(size) => *size,
        Dim::Name(_) => 1,
    }
}

fn is_float(dtype: u8) -> bool {
    DType::from_onnx(i32::from(dtype)).is_some_and(DType::is_float)
}
