//! `describe`: a model's manifest as the ABI shows it.

use alloy_primitives::{Bytes, I256, U256};
use alloy_sol_types::SolCall;
use assay_runtime::manifest::{Column, Dim, Feature, Port};
use assay_runtime::published::Published;

use crate::abi::{self, IInference};
use crate::registry::{Record, Status};

/// Encodes the answer of `describe`.
pub(crate) fn encode(
    published: &Published,
    record: Record,
    status: Status,
    predict_gas: u64,
    cold_extra: u64,
) -> Bytes {
    let manifest = published.manifest();
    let info = abi::ModelInfo {
        status: match status {
            Status::Unknown => abi::ModelStatus::Unknown,
            Status::Pending => abi::ModelStatus::Pending,
            Status::Scheduled => abi::ModelStatus::Scheduled,
            Status::Active => abi::ModelStatus::Active,
            Status::Suspended => abi::ModelStatus::Suspended,
        },
        deprecated: record.deprecated,
        numericsVersion: manifest.numerics,
        schemaHash: published.schema_hash().0,
        sizeBytes: record.size_bytes,
        predictGas: U256::from(predict_gas),
        coldExtra: U256::from(cold_extra),
        name: manifest.name.clone(),
        inputs: manifest.inputs.iter().map(port).collect(),
        outputs: manifest.outputs.iter().map(port).collect(),
        features: manifest.schema.features.iter().map(feature).collect(),
        columns: manifest.schema.columns.iter().map(column).collect(),
    };
    IInference::describeCall::abi_encode_returns(&info).into()
}

fn port(port: &Port) -> abi::TensorInfo {
    let size = |dim: &Dim| match dim {
        Dim::Size(size) => *size,
        Dim::Name(_) => u64::MAX,
    };
    abi::TensorInfo {
        name: port.name.clone(),
        dtype: port.dtype,
        shape: port.shape.iter().map(size).collect(),
    }
}

fn feature(feature: &Feature) -> abi::FeatureInfo {
    abi::FeatureInfo {
        name: feature.name.clone(),
        unit: feature.unit.clone().unwrap_or_default(),
        decimals: feature.decimals,
        min: feature.min.unwrap_or(I256::MIN),
        max: feature.max.unwrap_or(I256::MAX),
        nullable: feature.nullable,
        categories: feature
            .categories
            .iter()
            .map(|category| abi::CategoryInfo {
                code: category.code,
                label: category.label.clone(),
            })
            .collect(),
    }
}

fn column(column: &Column) -> abi::ColumnInfo {
    abi::ColumnInfo {
        name: column.name.clone(),
        classLabel: column.class.clone().unwrap_or_default(),
        unit: column.unit.clone().unwrap_or_default(),
        decimals: column.decimals,
    }
}
