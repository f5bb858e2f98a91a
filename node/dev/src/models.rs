//! The models a developer's chain begins with: the trained examples, and bundles read from files.

use std::path::Path;

use assay_chain::{Held, Models};
use assay_runtime::bundle::Bundle;
use bytes::Bytes;

use crate::DevError;

/// The trained example models; precompile/runtime/models holds a card beside each.
const EXAMPLES: [&[u8]; 4] = [
    include_bytes!("../../../precompile/runtime/models/credit-default.assay"),
    include_bytes!("../../../precompile/runtime/models/liquidation-risk.assay"),
    include_bytes!("../../../precompile/runtime/models/transfer-anomaly.assay"),
    include_bytes!("../../../precompile/runtime/models/volatility.assay"),
];

/// Returns the bytes of the example model of this name.
#[must_use]
pub fn example(name: &str) -> Option<Bytes> {
    let mut bundles = EXAMPLES.into_iter().map(Bytes::from_static);
    bundles.find(|bytes| {
        let bundle = Bundle::read(bytes.clone(), bytes.len() as u64);
        bundle.is_ok_and(|bundle| bundle.manifest().name == name)
    })
}

/// Makes the trained example models part of the store. They are loaded when they are first called;
/// a test replays their samples.
///
/// # Errors
/// When one is no bundle.
pub fn pin_examples(models: &Models) -> Result<Vec<Held>, DevError> {
    let pin = |bytes: &'static [u8]| {
        let bytes = Bytes::from_static(bytes);
        let refuse = |error: assay_runtime::bundle::BundleError| DevError::Model {
            path: "example model".into(),
            reason: error.to_string(),
        };
        let bundle = Bundle::read(bytes.clone(), bytes.len() as u64).map_err(refuse)?;
        let held = Held {
            id: bundle.model_id().0,
            manifest: bundle.manifest().clone(),
        };
        models.store().pin(held.id, bytes);
        Ok(held)
    };
    EXAMPLES.into_iter().map(pin).collect()
}

/// Reads a bundle, checks that it loads, and replays its samples: what a validator does before it
/// attests.
///
/// # Errors
/// When the file cannot be read, or the model is not one that can be published.
pub fn add_file(models: &Models, path: &Path) -> Result<Held, DevError> {
    let refuse = |reason: String| DevError::Model {
        path: path.into(),
        reason,
    };
    let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    models.add(bytes.into()).map_err(|error| match error {
        assay_chain::ModelError::Bundle(error) => {
            refuse(format!("{error}; make a bundle with `assay model pack`"))
        }
        other => refuse(other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use assay_runtime::Limits;
    use assay_state::ModelStore;

    use super::*;
    use crate::dev_params;

    #[test]
    fn examples_reproduce_their_samples_here() {
        let models = Models::new(ModelStore::in_memory(), Limits::default(), dev_params());
        for held in pin_examples(&models).unwrap() {
            let bytes = models.store().get(held.id).unwrap().unwrap();
            assert_eq!(models.add(bytes).unwrap(), held);
        }
    }
}
