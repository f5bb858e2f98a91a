//! Lets a simulation move precompiles to other addresses. Blocks never do.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
};

use alloy_primitives::{Address, map::AddressSet};
use revm::{
    context_interface::{Cfg, ContextTr},
    handler::PrecompileProvider,
    interpreter::{CallInputs, InterpreterResult},
};

/// Precompiles, some of which may answer at another address than their own.
#[derive(Debug, Clone)]
pub struct Relocated<P> {
    inner: P,
    /// New address to old; empty outside simulations.
    moved: BTreeMap<Address, Address>,
}

impl<P> Relocated<P> {
    /// Wraps precompiles that stand where they belong.
    pub const fn new(inner: P) -> Self {
        Self {
            inner,
            moved: BTreeMap::new(),
        }
    }

    /// Moves precompiles: each pair is the new address and the old one.
    pub fn relocate(&mut self, moved: BTreeMap<Address, Address>) {
        self.moved = moved;
    }

    fn moved_away(&self, address: &Address) -> bool {
        self.moved.values().any(|old| old == address)
    }
}

impl<P> Deref for Relocated<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.inner
    }
}

impl<P> DerefMut for Relocated<P> {
    fn deref_mut(&mut self) -> &mut P {
        &mut self.inner
    }
}

impl<CTX, P> PrecompileProvider<CTX> for Relocated<P>
where
    CTX: ContextTr,
    P: PrecompileProvider<CTX, Output = InterpreterResult>,
{
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: <CTX::Cfg as Cfg>::Spec) -> bool {
        self.inner.set_spec(spec)
    }

    fn run(
        &mut self,
        context: &mut CTX,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        if self.moved.is_empty() {
            return self.inner.run(context, inputs);
        }
        match self.moved.get(&inputs.bytecode_address) {
            Some(old) => {
                let inputs = CallInputs {
                    bytecode_address: *old,
                    ..inputs.clone()
                };
                self.inner.run(context, &inputs)
            }
            None if self.moved_away(&inputs.bytecode_address) => Ok(None),
            None => self.inner.run(context, inputs),
        }
    }

    fn warm_addresses(&self) -> &AddressSet {
        self.inner.warm_addresses()
    }

    fn contains(&self, address: &Address) -> bool {
        self.moved.contains_key(address)
            || self.inner.contains(address) && !self.moved_away(address)
    }
}
