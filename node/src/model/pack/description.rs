//! The description file of a model, as its author writes it.

use alloy_primitives::Address;
use serde::Deserialize;

/// Describes a model as its author writes it; what is left out is taken from the graph.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Description {
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
    pub(super) licence: Option<String>,
    pub(super) publisher: Option<Address>,
    pub(super) batch: Option<String>,
    pub(super) primary: Option<String>,
    pub(super) calibrated: Option<bool>,
    pub(super) features: Option<Vec<FeatureText>>,
    pub(super) columns: Option<Vec<ColumnText>>,
    pub(super) classes: Option<Vec<String>>,
    pub(super) positive_class: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeatureText {
    pub(super) name: String,
    pub(super) unit: Option<String>,
    pub(super) decimals: Option<u8>,
    pub(super) min: Option<serde_json::Value>,
    pub(super) max: Option<serde_json::Value>,
    #[serde(default)]
    pub(super) nullable: bool,
    #[serde(default)]
    pub(super) categories: Vec<CategoryText>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum CategoryText {
    Label(String),
    Coded { code: i64, label: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ColumnText {
    pub(super) name: String,
    pub(super) class: Option<String>,
    pub(super) unit: Option<String>,
    pub(super) decimals: Option<u8>,
    pub(super) index: Option<u32>,
    #[serde(default)]
    pub(super) labels: Vec<String>,
}
