//! Composes Ethereum's precompiles with the inference precompile.
//!
//! The seam is revm's own [`PrecompileProvider`]: inference answers for its address, all other calls
//! go to Ethereum's precompiles of the active fork.

use alloy_primitives::{Address, Log, map::AddressSet};
use assay_precompile::{CallRecord, Inference};
use revm::{
    context_interface::{Cfg, ContextTr},
    handler::{EthPrecompiles, PrecompileProvider},
    interpreter::{CallInputs, InterpreterResult},
    primitives::hardfork::SpecId,
};

/// Ethereum's precompiles, with inference before them where the genesis asks for it.
#[derive(Debug, Clone)]
pub struct ChainPrecompiles {
    ethereum: EthPrecompiles,
    inference: Option<Inference>,
    warm: AddressSet,
}

impl ChainPrecompiles {
    /// Composes the precompiles of a fork; without inference they are an ordinary Ethereum chain's.
    #[must_use]
    pub fn new(spec: SpecId, inference: Option<Inference>) -> Self {
        let ethereum = EthPrecompiles::new(spec);
        let warm = warm(&ethereum, inference.as_ref());
        Self {
            ethereum,
            inference,
            warm,
        }
    }

    /// Ends a transaction: takes its inference records, and takes the marks of the precompile out
    /// of its logs.
    pub fn settle(&mut self, logs: &mut Vec<Log>) -> Vec<CallRecord> {
        match &mut self.inference {
            Some(inference) => inference.settle(logs),
            None => Vec::new(),
        }
    }
}

fn warm(ethereum: &EthPrecompiles, inference: Option<&Inference>) -> AddressSet {
    let mut warm = ethereum.warm_addresses().clone();
    if let Some(inference) = inference {
        warm.extend(inference.warm().iter().copied());
    }
    warm
}

impl<CTX: ContextTr> PrecompileProvider<CTX> for ChainPrecompiles {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: <CTX::Cfg as Cfg>::Spec) -> bool {
        let changed =
            <EthPrecompiles as PrecompileProvider<CTX>>::set_spec(&mut self.ethereum, spec);
        if changed {
            self.warm = warm(&self.ethereum, self.inference.as_ref());
        }
        changed
    }

    fn run(
        &mut self,
        context: &mut CTX,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        if let Some(inference) = &mut self.inference
            && let Some(answer) = inference.run(context, inputs)?
        {
            return Ok(Some(answer));
        }
        self.ethereum.run(context, inputs)
    }

    fn warm_addresses(&self) -> &AddressSet {
        &self.warm
    }

    fn contains(&self, address: &Address) -> bool {
        self.inference
            .as_ref()
            .is_some_and(|inference| inference.address() == *address)
            || self.ethereum.contains(address)
    }
}
