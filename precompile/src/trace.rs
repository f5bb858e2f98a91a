//! One call again, operator by operator: what two machines compare that disagree about an answer.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use alloy_primitives::{B256, Bytes, keccak256};
use assay_runtime::{Operator, Path, Tensor, published::Published};
use serde::{Deserialize, Serialize};

use crate::{
    host::{Answer, Answers, HostFault},
    recompute::{RecomputeError, recompute},
};

/// Holds what every operator wrote while a call was answered. Spec: W-9 of docs/spec/wire.md.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CallTrace {
    /// The model that answered.
    pub model: B256,
    /// keccak256 of the call's input bytes.
    pub input_hash: B256,
    /// keccak256 of the call's output bytes.
    pub output_hash: B256,
    /// Where it ran: the version of assay, the path, the instruction set.
    pub machine: String,
    /// The operators in the order they ran.
    pub operators: Vec<Operator>,
}

/// Answers a call's input bytes along a path, with nothing remembered from before, and notes what
/// every operator writes.
///
/// # Errors
/// As [`recompute`], and when the call runs no model.
pub fn trace_call(
    models: &dyn Answers,
    path: Path,
    input: &[u8],
    limit: u64,
) -> Result<(Bytes, CallTrace), RecomputeError> {
    let watched = Watched {
        models,
        path,
        asked: Cell::default(),
        ran: RefCell::default(),
    };
    let output = recompute(&watched, input, limit)?;
    let model = watched.asked.get();
    let ran = watched.ran.into_inner();
    let operators =
        ran.ok_or_else(|| RecomputeError::Fault("the call runs no model".to_owned()))?;
    let trace = CallTrace {
        model,
        input_hash: keccak256(input),
        output_hash: keccak256(&output),
        machine: format!(
            "assay {}, {} path, {}",
            env!("CARGO_PKG_VERSION"),
            path.name(),
            path.isa().name()
        ),
        operators,
    };
    Ok((output, trace))
}

/// Models whose runs are watched; a call runs its model once.
struct Watched<'a> {
    models: &'a dyn Answers,
    path: Path,
    /// The model the call names.
    asked: Cell<B256>,
    ran: RefCell<Option<Vec<Operator>>>,
}

impl Answers for Watched<'_> {
    fn model(&self, model: B256) -> Result<Arc<Published>, HostFault> {
        self.asked.set(model);
        self.models.model(model)
    }

    fn infer(&self, published: &Published, inputs: &[Tensor]) -> Answer {
        let tensors: Vec<&Tensor> = inputs.iter().collect();
        let traced = published.model().trace(self.path, &tensors);
        Arc::new(traced.map(|traced| {
            *self.ran.borrow_mut() = Some(traced.operators);
            traced.outputs
        }))
    }
}
