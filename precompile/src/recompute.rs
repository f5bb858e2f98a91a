//! One call again, away from any chain: what an auditor has is a bundle, an input, and nothing else.

use alloy_primitives::{B256, Bytes, U256};

use crate::{
    call::{ChainState, Charge, Stop, answer},
    host::Answers,
};

/// Status of a model that runs, as the registry stores it.
const ACTIVE: u64 = 3;

/// Says why a call gives no output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecomputeError {
    /// The call reverts: no record of an inference comes from it.
    #[error("the call reverts with {0}")]
    Reverts(Bytes),
    /// This machine cannot run the model.
    #[error("{0}")]
    Fault(String),
    /// The call costs more than the caller allows.
    #[error("the call costs more than {limit} gas")]
    OverGas {
        /// Gas that was allowed.
        limit: u64,
    },
}

/// A chain on which every model is active: what the call's inputs decide is left.
struct Offline;

impl ChainState for Offline {
    fn record_word(&mut self, _: B256) -> Result<(U256, bool), String> {
        Ok((U256::from(ACTIVE), false))
    }

    fn is_warm(&mut self, _: B256) -> bool {
        true
    }

    fn warm(&mut self, _: B256) {}

    fn height(&self) -> u64 {
        u64::MAX
    }
}

/// Computes the output of a call's input bytes, selector included, on a host's models.
///
/// Gas is no part of an output; `limit` bounds the work that is done for it.
///
/// # Errors
/// When the call reverts or costs more than the limit, or this machine cannot run the model.
pub fn recompute(host: &dyn Answers, input: &[u8], limit: u64) -> Result<Bytes, RecomputeError> {
    let mut charge = Charge::new(limit);
    match answer(host, &mut Offline, input, &mut charge) {
        Ok(done) => Ok(done.output),
        Err(Stop::Revert(data)) => Err(RecomputeError::Reverts(data)),
        Err(Stop::Fault(why)) => Err(RecomputeError::Fault(why)),
        Err(Stop::OutOfGas) => Err(RecomputeError::OverGas { limit }),
    }
}
