//! The models of a developer's chain: the trained examples and bundles read from files, active from
//! the first block.

use std::{collections::BTreeMap, io, path::Path};

use alloy_primitives::{Address, B256};
use assay_precompile::ModelSource;
use assay_runtime::{Limits, bundle::Bundle, published::Published};
use bytes::Bytes;

use crate::DevError;

/// The trained example models; precompile/runtime/models holds a card beside each.
const EXAMPLES: [&[u8]; 3] = [
    include_bytes!("../../../precompile/runtime/models/credit-default.assay"),
    include_bytes!("../../../precompile/runtime/models/liquidation-risk.assay"),
    include_bytes!("../../../precompile/runtime/models/volatility.assay"),
];

/// What the registry and the first screen say of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevModel {
    /// Its id.
    pub id: B256,
    /// Its name and version, from the manifest.
    pub name: String,
    /// Hash of its feature schema.
    pub schema_hash: B256,
    /// Who publishes it, from the manifest.
    pub publisher: Address,
    /// Bytes of its files together.
    pub size_bytes: u64,
}

/// Bundles by model id.
#[derive(Debug, Clone, Default)]
pub struct Models {
    bundles: BTreeMap<B256, Bytes>,
    described: Vec<DevModel>,
}

impl Models {
    /// Adds the trained example models.
    ///
    /// # Errors
    /// When this machine does not reproduce their samples.
    pub fn add_examples(&mut self, limits: &Limits) -> Result<(), DevError> {
        EXAMPLES.iter().try_for_each(|bytes| {
            self.add_bytes(
                Path::new("example model"),
                Bytes::from_static(bytes),
                limits,
            )
        })
    }

    /// Reads a bundle, checks that it loads, and replays its samples: what a validator does before
    /// it attests.
    ///
    /// # Errors
    /// When the file cannot be read, or the model is not one that can be published.
    pub fn add(&mut self, path: &Path, limits: &Limits) -> Result<(), DevError> {
        let bytes = std::fs::read(path).map_err(|error| DevError::Model {
            path: path.into(),
            reason: error.to_string(),
        })?;
        self.add_bytes(path, bytes.into(), limits)
    }

    fn add_bytes(&mut self, path: &Path, bytes: Bytes, limits: &Limits) -> Result<(), DevError> {
        let refuse = |reason: String| DevError::Model {
            path: path.into(),
            reason,
        };
        let bundle = Bundle::read(bytes.clone(), limits.model_bytes)
            .map_err(|error| refuse(format!("{error}; make a bundle with `assay model pack`")))?;
        let published =
            Published::open(&bundle, limits).map_err(|error| refuse(error.to_string()))?;
        let engine = assay_runtime::numerics::Engine::single();
        published
            .replay(&engine)
            .map_err(|error| refuse(error.to_string()))?;
        let manifest = bundle.manifest();
        let id = bundle.model_id().0;
        if self.bundles.insert(id, bytes).is_none() {
            self.described.push(DevModel {
                id,
                name: format!("{}@{}", manifest.name, manifest.version),
                schema_hash: published.schema_hash().0,
                publisher: manifest.publisher,
                size_bytes: manifest.files.iter().map(|file| file.size_bytes).sum(),
            });
        }
        Ok(())
    }

    /// Lists the models in the order they were added.
    #[must_use]
    pub fn described(&self) -> &[DevModel] {
        &self.described
    }
}

impl ModelSource for Models {
    fn bundle(&self, model: B256) -> io::Result<Option<Bytes>> {
        Ok(self.bundles.get(&model).cloned())
    }
}
