//! The feature schema: what predict's numbers mean, in which order and at which scale.

use alloy_primitives::I256;

use crate::identity::SchemaHash;
use crate::json::{INTEGER_MAX, Json};

use super::ManifestError;
use super::fields::{Fields, text};

/// Features of one model.
pub const FEATURES_MAX: usize = 2048;
/// Columns of one model.
pub const COLUMNS_MAX: usize = 1024;
/// Categories of one feature.
pub const CATEGORIES_MAX: usize = 1024;
/// Labels of one column.
pub const LABELS_MAX: usize = 1024;
/// Decimal places of a fixed-point value.
pub const DECIMALS_MAX: u8 = 36;

/// Lists what predict takes and answers, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureSchema {
    /// Values of one input row.
    pub features: Vec<Feature>,
    /// Values of one answered row.
    pub columns: Vec<Column>,
}

/// Describes one value of predict's input row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Name.
    pub name: String,
    /// Unit of measure; nothing for a pure number.
    pub unit: Option<String>,
    /// Decimal places of the fixed-point value.
    pub decimals: u8,
    /// Smallest value seen in training, at the same scale.
    pub min: Option<I256>,
    /// Largest value seen in training, at the same scale.
    pub max: Option<I256>,
    /// Whether the value may be missing.
    pub nullable: bool,
    /// Allowed codes, ascending; empty for a quantity.
    pub categories: Vec<Category>,
}

/// Pairs a category's code with its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Category {
    /// The whole value a caller passes.
    pub code: i64,
    /// What it stands for; a string input receives this text.
    pub label: String,
}

/// Describes one value of predict's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Class this is the score of; nothing for a quantity.
    pub class: Option<String>,
    /// Unit of measure; nothing for a pure number.
    pub unit: Option<String>,
    /// Decimal places of the fixed-point value.
    pub decimals: u8,
    /// Position in a row of the primary output.
    pub index: u32,
    /// Texts of a string output: the answer is a position in this list.
    pub labels: Vec<String>,
}

impl FeatureSchema {
    /// Returns the canonical bytes: the manifest's `schema` member, byte for byte.
    pub fn encode(&self) -> Vec<u8> {
        self.to_json().encode()
    }

    /// Computes the hash that a consumer pins.
    pub fn hash(&self) -> SchemaHash {
        SchemaHash::of_schema(&self.encode())
    }

    pub(super) fn to_json(&self) -> Json {
        Json::object([
            (
                "columns",
                Json::List(self.columns.iter().map(Column::to_json).collect()),
            ),
            (
                "features",
                Json::List(self.features.iter().map(Feature::to_json).collect()),
            ),
        ])
    }

    pub(super) fn from_fields(mut fields: Fields) -> Result<Self, ManifestError> {
        let columns = fields.list("columns", 0, COLUMNS_MAX, Column::from_fields)?;
        let features = fields.list("features", 0, FEATURES_MAX, Feature::from_fields)?;
        fields.finish()?;
        Ok(Self { features, columns })
    }
}

impl Feature {
    fn to_json(&self) -> Json {
        let categories = self.categories.iter().map(|category| {
            Json::object([
                ("code", Json::Int(category.code)),
                ("label", Json::Text(category.label.clone())),
            ])
        });
        Json::object([
            ("categories", Json::List(categories.collect())),
            ("decimals", Json::Int(i64::from(self.decimals))),
            ("max", bound_json(self.max)),
            ("min", bound_json(self.min)),
            ("name", Json::Text(self.name.clone())),
            ("nullable", Json::Bool(self.nullable)),
            ("unit", text_or_null(self.unit.as_ref())),
        ])
    }

    fn from_fields(mut fields: Fields) -> Result<Self, ManifestError> {
        let categories = fields.list("categories", 0, CATEGORIES_MAX, |mut fields| {
            let code = fields.integer("code", -INTEGER_MAX, INTEGER_MAX)?;
            let label = fields.text("label")?;
            fields.finish()?;
            Ok(Category { code, label })
        })?;
        let decimals = decimals_from(&mut fields)?;
        let max = bound_from(&mut fields, "max")?;
        let min = bound_from(&mut fields, "min")?;
        let name = fields.text("name")?;
        let nullable = fields.boolean("nullable")?;
        let unit = fields.optional_text("unit")?;
        fields.finish()?;
        Ok(Self {
            name,
            unit,
            decimals,
            min,
            max,
            nullable,
            categories,
        })
    }
}

impl Column {
    fn to_json(&self) -> Json {
        Json::object([
            ("class", text_or_null(self.class.as_ref())),
            ("decimals", Json::Int(i64::from(self.decimals))),
            ("index", Json::Int(i64::from(self.index))),
            (
                "labels",
                Json::List(self.labels.iter().cloned().map(Json::Text).collect()),
            ),
            ("name", Json::Text(self.name.clone())),
            ("unit", text_or_null(self.unit.as_ref())),
        ])
    }

    fn from_fields(mut fields: Fields) -> Result<Self, ManifestError> {
        let class = fields.optional_text("class")?;
        let decimals = decimals_from(&mut fields)?;
        let index = fields.integer("index", 0, i64::from(u32::MAX))?;
        let labels = fields.values("labels", 0, LABELS_MAX, text)?;
        let name = fields.text("name")?;
        let unit = fields.optional_text("unit")?;
        fields.finish()?;
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        Ok(Self {
            name,
            class,
            unit,
            decimals,
            index,
            labels,
        })
    }
}

fn decimals_from(fields: &mut Fields) -> Result<u8, ManifestError> {
    let decimals = fields.integer("decimals", 0, i64::from(DECIMALS_MAX))?;
    Ok(u8::try_from(decimals).unwrap_or(DECIMALS_MAX))
}

fn text_or_null(text: Option<&String>) -> Json {
    text.map_or(Json::Null, |text| Json::Text(text.clone()))
}

/// Bounds are texts: at 18 decimals even small values pass JSON's exact integer range.
fn bound_json(bound: Option<I256>) -> Json {
    bound.map_or(Json::Null, |bound| Json::Text(bound.to_string()))
}

fn bound_from(fields: &mut Fields, name: &'static str) -> Result<Option<I256>, ManifestError> {
    let Some(found) = fields.optional_text(name)? else {
        return Ok(None);
    };
    // Only the shortest spelling is canonical: no plus sign, leading zeros or minus zero.
    match I256::from_dec_str(&found) {
        Ok(bound) if bound.to_string() == found => Ok(Some(bound)),
        _ => Err(ManifestError::BadText {
            path: fields.path(name),
            found,
            expected: "an integer of 256 bits in its shortest decimal form",
        }),
    }
}
