//! The node's side of a call: loaded models and answers already computed, both bounded by bytes.

use std::fmt;
use std::sync::Arc;

use alloy_primitives::B256;
use assay_runtime::bundle::{Bundle, BundleError};
use assay_runtime::numerics::Engine;
use assay_runtime::published::{PublishError, Published};
use assay_runtime::{ExecError, Limits, Tensor, Value, elements};
use bytes::Bytes;
use thiserror::Error;

use crate::cache::{Cache, Usage};

/// Bytes of loaded models kept by default.
pub const LOADED_BYTES: u64 = 2 << 30;
/// Bytes of computed answers kept by default.
pub const RESULT_BYTES: u64 = 256 << 20;
/// Bytes an entry of the result cache takes besides its values.
const ENTRY_BYTES: u64 = 256;

/// Finds a bundle's bytes by model id; the node's model store implements it.
pub trait ModelSource: Send + Sync {
    /// Returns the bundle, or `None` when this node does not hold it.
    fn bundle(&self, model: B256) -> std::io::Result<Option<Bytes>>;

    /// Learns that a bundle's bytes are not the model's, so that it can be fetched anew.
    fn damaged(&self, _model: B256) {}
}

/// Says why this machine cannot run a model that the chain says is active. None of these may become
/// a revert: other machines can run it.
#[derive(Debug, Error)]
pub enum HostFault {
    /// The bytes are not here.
    #[error("the bytes of model {0} are not on this node; fetch them before executing")]
    Missing(B256),
    /// The bytes cannot be read.
    #[error("the bytes of model {model} cannot be read: {source}")]
    Io {
        /// The model.
        model: B256,
        /// The error of the file system.
        source: std::io::Error,
    },
    /// The bytes are not the bundle they should be.
    #[error("the stored bundle of model {model} is damaged: {source}")]
    Damaged {
        /// The model.
        model: B256,
        /// What is wrong.
        source: BundleError,
    },
    /// The bundle is another model's.
    #[error("the stored bundle of model {model} is that of {found}")]
    Mixed {
        /// The model asked for.
        model: B256,
        /// The model found.
        found: B256,
    },
    /// The model is refused by this binary although it is active.
    #[error("model {model} does not load: {source}")]
    Load {
        /// The model.
        model: B256,
        /// What is wrong.
        source: Box<PublishError>,
    },
}

/// All outputs of a run, or the error every validator finds; what the result cache holds.
pub type Answer = Arc<Result<Vec<Value>, ExecError>>;

/// Gives a call its models and their answers: a [`Host`], or whoever watches one.
pub trait Answers {
    /// Finds a model, loading it when needed.
    ///
    /// # Errors
    /// When this machine cannot run it.
    fn model(&self, model: B256) -> Result<Arc<Published>, HostFault>;

    /// Answers inputs: the outputs, or the error every validator finds.
    fn infer(&self, published: &Published, inputs: &[Tensor]) -> Answer;
}

impl Answers for Host {
    fn model(&self, model: B256) -> Result<Arc<Published>, HostFault> {
        Host::model(self, model)
    }

    fn infer(&self, published: &Published, inputs: &[Tensor]) -> Answer {
        Host::infer(self, published, inputs)
    }
}

/// Loads models, runs them and remembers answers.
pub struct Host {
    source: Box<dyn ModelSource>,
    limits: Limits,
    engine: Engine,
    loaded: Cache<B256, Arc<Published>>,
    results: Cache<(B256, [u8; 32]), Answer>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("results", &self.results.usage())
            .finish_non_exhaustive()
    }
}

impl Host {
    /// Makes a host over a source of bundles.
    pub fn new(source: Box<dyn ModelSource>, limits: Limits, engine: Engine) -> Host {
        Host {
            source,
            limits,
            engine,
            loaded: Cache::new(LOADED_BYTES),
            results: Cache::new(RESULT_BYTES),
        }
    }

    /// Changes the bounds of the two caches; 0 switches one off.
    #[must_use]
    pub fn with_caches(mut self, loaded_bytes: u64, result_bytes: u64) -> Host {
        self.loaded = Cache::new(loaded_bytes);
        self.results = Cache::new(result_bytes);
        self
    }

    /// Returns the engine that models run on.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Finds a model, loading it when needed.
    pub fn model(&self, model: B256) -> Result<Arc<Published>, HostFault> {
        if let Some(published) = self.loaded.get(&model) {
            return Ok(published);
        }
        let bytes = self
            .source
            .bundle(model)
            .map_err(|source| HostFault::Io { model, source })?
            .ok_or(HostFault::Missing(model))?;
        let size_bytes = bytes.len() as u64;
        let bundle = Bundle::read(bytes, self.limits.model_bytes).map_err(|source| {
            self.source.damaged(model);
            HostFault::Damaged { model, source }
        })?;
        let found = bundle.model_id().0;
        if found != model {
            self.source.damaged(model);
            return Err(HostFault::Mixed { model, found });
        }
        let published = Published::open(bundle, &self.limits).map_err(|source| {
            let source = Box::new(source);
            HostFault::Load { model, source }
        })?;
        let published = Arc::new(published);
        self.loaded.insert(model, published.clone(), size_bytes);
        Ok(published)
    }

    /// Runs a model on inputs, or finds the answer computed before. The block's execution and the
    /// pre-execution of pending transactions both come through here.
    pub fn infer(&self, published: &Published, inputs: &[Tensor]) -> Answer {
        let key = (published.id().0, input_digest(inputs));
        if let Some(answer) = self.results.get(&key) {
            return answer;
        }
        let tensors: Vec<&Tensor> = inputs.iter().collect();
        let result = published.model().run_tensors(&self.engine, &tensors);
        let bytes = match &result {
            Ok(values) => values.iter().map(|value| value.size_bytes() as u64).sum(),
            Err(_) => 0u64,
        };
        let answer = Arc::new(result);
        self.results
            .insert(key, answer.clone(), bytes.saturating_add(ENTRY_BYTES));
        answer
    }

    /// Counts what the result cache did.
    pub fn result_usage(&self) -> Usage {
        self.results.usage()
    }

    /// Forgets all answers; execution must not notice.
    pub fn forget_results(&self) {
        self.results.clear();
    }
}

/// Hashes a canonical, length-prefixed encoding of every input: index, type, shape, bytes.
fn input_digest(inputs: &[Tensor]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut head = Vec::with_capacity(64);
    for (index, tensor) in inputs.iter().enumerate() {
        head.clear();
        head.extend((index as u64).to_le_bytes());
        head.push(tensor.dtype().onnx());
        head.extend((tensor.shape().len() as u64).to_le_bytes());
        for &size in tensor.shape() {
            head.extend((size as u64).to_le_bytes());
        }
        head.extend((elements::encoded_len(tensor.data()) as u64).to_le_bytes());
        hasher.update(&head);
        elements::blocks(tensor.data(), |block| {
            hasher.update(block);
        });
    }
    *hasher.finalize().as_bytes()
}
