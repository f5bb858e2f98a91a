//! Model files: a bundle or a bare ONNX graph, told apart by the first bytes.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use assay_runtime::bundle::{self, Bundle};
use assay_runtime::published::Published;
use assay_runtime::{Limits, Model};
use bytes::Bytes;

use crate::cli::Failure;

/// What to do about a graph that is refused.
pub(crate) const EXPORT_HINT: &str =
    "`python -m onnx.checker FILE`, or export again with a supported operator set";

/// Holds an opened model file.
pub(crate) enum Opened {
    /// A bundle, with its container's size.
    Bundle(Box<Published>, u64),
    /// A bare ONNX graph, with its size.
    Onnx(Box<Model>, u64),
}

impl Opened {
    /// Borrows the graph, ready to run.
    pub(crate) fn model(&self) -> &Model {
        match self {
            Opened::Bundle(published, _) => published.model(),
            Opened::Onnx(model, _) => model,
        }
    }

    /// Borrows the bundle's model, refusing a bare graph.
    pub(crate) fn published(&self) -> Option<&Published> {
        match self {
            Opened::Bundle(published, _) => Some(published),
            Opened::Onnx(..) => None,
        }
    }
}

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> Result<Bytes, Failure> {
    let fail = |error| {
        Failure::usage(format!("{}: {error}", path.display()))
            .hint("name a file that is there and that you may read")
    };
    let mut file = File::open(path).map_err(fail)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes.into())
}

/// Opens and validates a model file.
pub(crate) fn open(path: &Path, limits: &Limits) -> Result<Opened, Failure> {
    let bytes = read(path)?;
    let size_bytes = bytes.len() as u64;
    let at =
        |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", path.display()));
    if bytes.starts_with(&bundle::MAGIC) {
        let again = "fetch the bundle again, or make it anew with `assay model pack`";
        let bundle = Bundle::read(bytes, limits.model_bytes).map_err(|e| at(&e).hint(again))?;
        let published = Published::open(bundle, limits).map_err(|e| at(&e).hint(again))?;
        return Ok(Opened::Bundle(Box::new(published), size_bytes));
    }
    let model = Model::from_onnx(bytes, limits).map_err(|error| at(&error).hint(EXPORT_HINT))?;
    Ok(Opened::Onnx(Box::new(model), size_bytes))
}
