//! Refusals of models as clients receive them: words, and the field, value and limit as data.

use assay_chain::ModelError;
use assay_state::StagingError;
use serde_json::{Value, json};

use crate::{
    RpcError,
    error::{INTERNAL_ERROR, INVALID_PARAMS, SERVER_ERROR},
    json::quantity,
};

impl From<ModelError> for RpcError {
    fn from(error: ModelError) -> Self {
        let code = match &error {
            ModelError::Host(_) | ModelError::Io(_) | ModelError::Staging(StagingError::Io(_)) => {
                INTERNAL_ERROR
            }
            ModelError::NotHeld(_) | ModelError::Staging(StagingError::Unknown(_)) => SERVER_ERROR,
            _ => INVALID_PARAMS,
        };
        Self {
            code,
            message: error.to_string(),
            data: Some(data(&error)),
        }
    }
}

fn bound(name: &str, field: &str, value: u64, limit: u64) -> Value {
    json!({"error": name, "field": field, "value": quantity(value), "limit": quantity(limit)})
}

fn data(error: &ModelError) -> Value {
    match error {
        ModelError::TooLarge { found, limit } => bound("TooLarge", "size", *found, *limit),
        ModelError::TooDear { gas, cap } => bound("TooDear", "gas", *gas, *cap),
        ModelError::OverGas { gas, limit } => bound("OverGas", "gas", *gas, *limit),
        ModelError::Manifest(_) => json!({"error": "BadManifest", "field": "manifest"}),
        ModelError::Bundle(_) => json!({"error": "BadBundle"}),
        ModelError::Publish(_) => json!({"error": "BadModel"}),
        ModelError::NotHeld(id) => json!({"error": "NotHeld", "field": "model", "value": id}),
        ModelError::NoSchema(id) => json!({"error": "NoSchema", "field": "model", "value": id}),
        ModelError::Row { row, .. } => {
            json!({"error": "BadRow", "field": format!("rows[{row}]"), "value": row})
        }
        ModelError::Run(_) => json!({"error": "BadInputs", "field": "inputs"}),
        ModelError::Host(_) | ModelError::Io(_) => json!({"error": "LocalFault"}),
        ModelError::Staging(error) => staging(error),
    }
}

fn staging(error: &StagingError) -> Value {
    match error {
        StagingError::Quota { asked, used, limit } => {
            bound("StagingFull", "size", asked.saturating_add(*used), *limit)
        }
        StagingError::TooMany { found, limit } => {
            bound("TooManyUploads", "uploads", *found as u64, *limit as u64)
        }
        StagingError::Unknown(id) => json!({"error": "NoUpload", "field": "model", "value": id}),
        StagingError::Offset { found, wanted } => json!({
            "error": "WrongOffset",
            "field": "offset",
            "value": quantity(*found),
            "wanted": quantity(*wanted),
        }),
        StagingError::TooLong { found, limit } => bound("TooLong", "chunk", *found, *limit),
        StagingError::WrongHash { name, .. } => {
            json!({"error": "WrongHash", "field": "file", "value": name})
        }
        StagingError::Incomplete { received, total } => {
            bound("Incomplete", "received", *received, *total)
        }
        StagingError::Io(_) => json!({"error": "LocalFault"}),
    }
}
