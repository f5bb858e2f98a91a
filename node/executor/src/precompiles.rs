//! Composes Ethereum's precompiles with the inference precompile.
//!
//! The seam is revm's own [`PrecompileProvider`]: an extension answers for its addresses, all other
//! calls go to Ethereum's precompiles of the active fork.

use alloy_primitives::{Address, map::AddressSet};
use revm::{
    context_interface::{Cfg, ContextTr},
    handler::{EthPrecompiles, PrecompileProvider},
    interpreter::{CallInputs, InterpreterResult},
    primitives::hardfork::SpecId,
};

/// Answers no address: the extension of an ordinary Ethereum chain.
#[derive(Debug, Clone, Default)]
pub struct NoInference {
    addresses: AddressSet,
}

impl<CTX: ContextTr> PrecompileProvider<CTX> for NoInference {
    type Output = InterpreterResult;

    fn set_spec(&mut self, _: <CTX::Cfg as Cfg>::Spec) -> bool {
        false
    }

    fn run(&mut self, _: &mut CTX, _: &CallInputs) -> Result<Option<InterpreterResult>, String> {
        Ok(None)
    }

    fn warm_addresses(&self) -> &AddressSet {
        &self.addresses
    }
}

/// Ethereum's precompiles with an extension before them.
#[derive(Debug, Clone)]
pub struct ChainPrecompiles<X = NoInference> {
    ethereum: EthPrecompiles,
    extension: X,
    addresses: AddressSet,
}

impl<X> ChainPrecompiles<X> {
    /// Composes the precompiles of a fork with an extension that answers `extension_addresses`.
    pub fn new(spec: SpecId, extension: X, extension_addresses: &AddressSet) -> Self {
        let ethereum = EthPrecompiles::new(spec);
        let mut addresses = ethereum.warm_addresses().clone();
        addresses.extend(extension_addresses.iter().copied());
        Self {
            ethereum,
            extension,
            addresses,
        }
    }

    /// Returns the extension, to read what it collected.
    pub const fn extension_mut(&mut self) -> &mut X {
        &mut self.extension
    }
}

impl<CTX, X> PrecompileProvider<CTX> for ChainPrecompiles<X>
where
    CTX: ContextTr,
    X: PrecompileProvider<CTX, Output = InterpreterResult>,
{
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: <CTX::Cfg as Cfg>::Spec) -> bool {
        let extension = self.extension.set_spec(spec.clone());
        let ethereum =
            <EthPrecompiles as PrecompileProvider<CTX>>::set_spec(&mut self.ethereum, spec);
        if extension || ethereum {
            self.addresses = self.ethereum.warm_addresses().clone();
            self.addresses
                .extend(self.extension.warm_addresses().iter().copied());
        }
        extension || ethereum
    }

    fn run(
        &mut self,
        context: &mut CTX,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        match self.extension.run(context, inputs)? {
            Some(answer) => Ok(Some(answer)),
            None => self.ethereum.run(context, inputs),
        }
    }

    fn warm_addresses(&self) -> &AddressSet {
        &self.addresses
    }

    fn contains(&self, address: &Address) -> bool {
        self.addresses.contains(address)
    }
}
