//! The models this node holds: their bytes, their uploads, and the host that runs them.
//!
//! ```text
//! begin_upload(manifest) -> put_chunk ... -> commit_upload --validate, replay--> held
//! held + registered on the chain --> a validator may attest
//! ```
//!
//! Nothing is held that was not loaded and whose sample rows were not replayed on this machine: what
//! a validator promises when it attests is checked before the bytes get their name.

use std::{io, sync::Arc};

use alloy_primitives::{Address, B256, I256};
use assay_precompile::{Host, HostFault, ModelSource, gas, host::LOADED_BYTES};
use assay_runtime::{
    ExecError, Limits, Tensor, Value,
    bundle::{Bundle, BundleError, HEADER_BYTES},
    manifest::{Manifest, ManifestError},
    numerics::Engine,
    predict::PredictError,
    published::{PublishError, Published},
};
use assay_state::{ModelStore, Progress, StagedFile, StagingError};
use assay_types::{AssayParams, contracts::Summary};
use bytes::Bytes;

/// Says why a model is not taken, or not run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The files are larger than genesis allows.
    #[error("model has {found} bytes of files, genesis allows {limit} (modelSizeLimitBytes)")]
    TooLarge {
        /// Bytes of its files.
        found: u64,
        /// Most bytes.
        limit: u64,
    },
    /// The manifest is refused.
    #[error("manifest: {0}")]
    Manifest(#[from] ManifestError),
    /// The bundle is refused.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The model does not load, or its samples do not reproduce here.
    #[error(transparent)]
    Publish(#[from] Box<PublishError>),
    /// Not even the smallest call fits a transaction.
    #[error("the smallest call costs {gas} gas, genesis allows {cap} (transactionGasCap)")]
    TooDear {
        /// Gas of the smallest call.
        gas: u64,
        /// Most gas of a transaction.
        cap: u64,
    },
    /// An upload is refused.
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// The model is not here.
    #[error("model {0} is not on this node: upload it")]
    NotHeld(B256),
    /// The model has no feature schema to predict with.
    #[error("model {0} has no feature schema: give tensors")]
    NoSchema(B256),
    /// A row cannot be answered.
    #[error("row {row}: {source}")]
    Row {
        /// The row, from 0.
        row: usize,
        /// Why.
        source: PredictError,
    },
    /// The run failed.
    #[error(transparent)]
    Run(#[from] Box<ExecError>),
    /// The call would cost more than this node gives away.
    #[error("the call costs {gas} gas, this node answers up to {limit} without a transaction")]
    OverGas {
        /// Gas of the call.
        gas: u64,
        /// Most gas.
        limit: u64,
    },
    /// This machine cannot run the model.
    #[error(transparent)]
    Host(#[from] HostFault),
    /// This machine's store failed.
    #[error("model store: {0}")]
    Io(#[from] io::Error),
}

/// A model whose bytes are here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its id.
    pub id: B256,
    /// Its manifest.
    pub manifest: Manifest,
}

/// The bundles of a store, as the host reads them.
struct StoredBundles(Arc<ModelStore>);

impl ModelSource for StoredBundles {
    fn bundle(&self, model: B256) -> io::Result<Option<Bytes>> {
        self.0.get(model)
    }

    fn damaged(&self, model: B256) {
        tracing::error!(
            %model,
            "the stored bytes of a model are not the model's: set aside, to be fetched from peers; check this disk"
        );
        if let Err(error) = self.0.set_aside(model) {
            tracing::error!(%model, %error, "a damaged bundle cannot be set aside");
        }
    }
}

/// The models this node holds.
#[derive(Debug)]
pub struct Models {
    store: Arc<ModelStore>,
    host: Arc<Host>,
    limits: Limits,
    params: AssayParams,
}

impl Held {
    /// Reads a manifest; its bytes name the model.
    ///
    /// # Errors
    /// When it is refused.
    pub fn of_manifest(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest = Manifest::parse(bytes)?;
        let id = manifest.model_id().0;
        Ok(Self { id, manifest })
    }

    /// Returns name and version as people write them.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{}@{}", self.manifest.name, self.manifest.version)
    }

    /// Adds up the bytes of its files.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        let sizes = self.manifest.files.iter().map(|file| file.size_bytes);
        sizes.fold(0, u64::saturating_add)
    }

    /// Says what the registry is told of the model.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            publisher: self.publisher(),
            size: self.size_bytes(),
            schemaHash: self.manifest.schema.hash().0,
        }
    }

    /// Returns who may register it.
    #[must_use]
    pub const fn publisher(&self) -> Address {
        self.manifest.publisher
    }
}

impl Models {
    /// Makes the models of a node over a store.
    #[must_use]
    pub fn new(store: ModelStore, limits: Limits, params: AssayParams) -> Self {
        let store = Arc::new(store);
        let source = Box::new(StoredBundles(Arc::clone(&store)));
        let host = Arc::new(Host::new(source, limits.clone(), Engine::single()));
        Self {
            store,
            host,
            limits,
            params,
        }
    }

    /// Returns the host that runs them.
    #[must_use]
    pub const fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// Makes a host over the same bytes that remembers no answers: what it says it has computed.
    #[must_use]
    pub fn fresh_host(&self) -> Host {
        let source = Box::new(StoredBundles(Arc::clone(&self.store)));
        Host::new(source, self.limits.clone(), Engine::single()).with_caches(LOADED_BYTES, 0)
    }

    /// Returns where their bytes are.
    #[must_use]
    pub fn store(&self) -> &ModelStore {
        &self.store
    }

    /// Begins an upload with the model's manifest, or goes on with one.
    ///
    /// # Errors
    /// When the manifest is refused, the model too large, or there is no room.
    pub fn begin_upload(&self, manifest: &[u8]) -> Result<(Held, Progress), ModelError> {
        let held = Held::of_manifest(manifest)?;
        self.check_size(&held)?;
        let files = held.manifest.files.iter().map(|file| StagedFile {
            name: file.name.clone(),
            size_bytes: file.size_bytes,
            blake3: file.blake3,
        });
        let head = Bundle::head(manifest);
        let progress = self
            .store
            .staging()
            .begin(held.id, &head, files.collect())?;
        Ok((held, progress))
    }

    /// Takes the next bytes of an upload's files.
    ///
    /// # Errors
    /// When they do not follow what is here, or are not what the manifest commits to.
    pub fn put_chunk(&self, id: B256, offset: u64, chunk: &[u8]) -> Result<Progress, ModelError> {
        Ok(self.store.staging().put(id, offset, chunk)?)
    }

    /// Ends an upload: loads the model, replays its sample rows, and keeps it.
    ///
    /// # Errors
    /// When bytes are missing, or the model is refused; a refused one is dropped.
    pub fn commit_upload(&self, id: B256) -> Result<Held, ModelError> {
        if self.store.staging().progress(id).is_none()
            && let Some(held) = self.find(id)?
        {
            return Ok(held);
        }
        let bundle = self.store.staging().finish(id)?;
        let added = self.add(bundle);
        // Verified bytes that make no model never will.
        if !matches!(added, Err(ModelError::Io(_))) {
            self.store.staging().cancel(id)?;
        }
        added
    }

    /// Loads a bundle, replays its sample rows, and keeps it.
    ///
    /// # Errors
    /// When the model is refused.
    pub fn add(&self, bytes: Bytes) -> Result<Held, ModelError> {
        let bundle = Bundle::read(bytes.clone(), self.limits.model_bytes)?;
        let held = Held {
            id: bundle.model_id().0,
            manifest: bundle.manifest().clone(),
        };
        self.check_size(&held)?;
        let published = Published::open(bundle, &self.limits).map_err(Box::new)?;
        published.replay(&Engine::single()).map_err(Box::new)?;
        self.check_cost(&held, &published)?;
        self.store.insert(held.id, bytes)?;
        Ok(held)
    }

    /// Finds what is known of a model that is here, without loading it.
    ///
    /// # Errors
    /// When the store cannot be read, or holds other bytes than it should.
    pub fn find(&self, id: B256) -> Result<Option<Held>, ModelError> {
        let Some(header) = self.store.read(id, 0, HEADER_BYTES)? else {
            return Ok(None);
        };
        let end = Bundle::manifest_end(&header).ok_or(BundleError::BadMagic)?;
        let length = usize::try_from(end.saturating_sub(HEADER_BYTES as u64)).unwrap_or(usize::MAX);
        let manifest = self.store.read(id, HEADER_BYTES as u64, length)?;
        Ok(Some(Held::of_manifest(&manifest.unwrap_or_default())?))
    }

    /// Reads bytes of a model's files, as if they followed one another; `None` when the model is
    /// not here.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn read_files(&self, id: B256, offset: u64, length: usize) -> io::Result<Option<Bytes>> {
        let header = self.store.read(id, 0, HEADER_BYTES)?;
        match header.and_then(|header| Bundle::manifest_end(&header)) {
            Some(first) => self.store.read(id, first.saturating_add(offset), length),
            None => Ok(None),
        }
    }

    /// Lists the models that are here.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list(&self) -> Result<Vec<Held>, ModelError> {
        let ids = self.store.ids()?;
        ids.into_iter()
            .filter_map(|id| self.find(id).transpose())
            .collect()
    }

    /// Answers rows of features, each as one call of `predict` would, for up to so much gas.
    ///
    /// # Errors
    /// When the model is not here, a row is refused, or the rows cost more.
    pub fn predict(
        &self,
        id: B256,
        rows: &[Vec<I256>],
        gas_limit: u64,
    ) -> Result<(Vec<Vec<I256>>, u64), ModelError> {
        let published = self.published(id)?;
        if published.manifest().schema.features.is_empty() {
            return Err(ModelError::NoSchema(id));
        }
        let row_gas = row_gas(&published)?;
        let gas = row_gas.saturating_mul(rows.len() as u64);
        check_gas(gas, gas_limit)?;
        let answers = rows.iter().enumerate().map(|(row, features)| {
            let at = |source| ModelError::Row { row, source };
            let inputs = published.feature_tensors(1, features).map_err(at)?;
            let outputs = self.host.infer(&published, &inputs);
            let outputs = outputs.as_ref().as_ref();
            let outputs = outputs.map_err(|error| Box::new(error.clone()))?;
            let Some(Value::Tensor(primary)) = outputs.get(published.primary()) else {
                return Err(ModelError::NoSchema(id));
            };
            published.answer(1, primary.view()).map_err(at)
        });
        Ok((answers.collect::<Result<_, _>>()?, gas))
    }

    /// Runs a model on tensors, for up to so much gas.
    ///
    /// # Errors
    /// When the model is not here, refuses the inputs, or costs more.
    pub fn run(
        &self,
        id: B256,
        inputs: &[Tensor],
        gas_limit: u64,
    ) -> Result<(Vec<Value>, u64), ModelError> {
        let published = self.published(id)?;
        let shapes: Vec<&[usize]> = inputs.iter().map(Tensor::shape).collect();
        let plan = published.model().plan(&shapes).map_err(Box::new)?;
        let gas = gas::run(&plan).map_err(Box::new)?;
        check_gas(gas, gas_limit)?;
        let outputs = self.host.infer(&published, inputs);
        match outputs.as_ref() {
            Ok(outputs) => Ok((outputs.clone(), gas)),
            Err(error) => Err(Box::new(error.clone()).into()),
        }
    }

    fn published(&self, id: B256) -> Result<Arc<Published>, ModelError> {
        match self.host.model(id) {
            Err(HostFault::Missing(id)) => Err(ModelError::NotHeld(id)),
            found => Ok(found?),
        }
    }

    fn check_size(&self, held: &Held) -> Result<(), ModelError> {
        let (found, limit) = (held.size_bytes(), self.params.model_size_limit_bytes);
        match found <= limit {
            true => Ok(()),
            false => Err(ModelError::TooLarge { found, limit }),
        }
    }

    /// A model nobody could ever call would only take room.
    fn check_cost(&self, held: &Held, published: &Published) -> Result<(), ModelError> {
        let run = match published.manifest().schema.features.is_empty() {
            false => row_gas(published)?,
            // Without a schema the shapes of the smallest call are not known here.
            true => return Ok(()),
        };
        let gas = run.saturating_add(gas::cold(held.size_bytes()));
        let cap = self.params.transaction_gas_cap;
        match gas <= cap {
            true => Ok(()),
            false => Err(ModelError::TooDear { gas, cap }),
        }
    }
}

/// Prices the run of one row, without calldata and the first touch.
fn row_gas(published: &Published) -> Result<u64, ModelError> {
    let at = |source| ModelError::Row { row: 0, source };
    let shapes = published.input_shapes(1).map_err(at)?;
    let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
    let plan = published.model().plan(&shapes).map_err(Box::new)?;
    Ok(gas::run(&plan).map_err(Box::new)?)
}

const fn check_gas(gas: u64, limit: u64) -> Result<(), ModelError> {
    match gas <= limit {
        true => Ok(()),
        false => Err(ModelError::OverGas { gas, limit }),
    }
}
