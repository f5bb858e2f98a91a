//! Lets revm read a [`StateView`].

use std::sync::{Arc, Mutex, PoisonError};

use alloy_primitives::{Address, B256, U256};
use assay_types::StateView;
use revm::{DatabaseRef, bytecode::Bytecode, context::DBErrorMarker, state::AccountInfo};

/// Stands in for the view's error inside revm; the error itself waits in the [`ViewDb`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("state read failed")]
pub struct ReadFailed;

impl DBErrorMarker for ReadFailed {}

/// The first failure of a view's reads, shared with whoever must know of it.
#[derive(Debug)]
pub(crate) struct Failure<E>(Arc<Mutex<Option<E>>>);

impl<E> Clone for Failure<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E> Failure<E> {
    /// Takes the failure, if there was one.
    pub(crate) fn take(&self) -> Option<E> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Reads for revm and keeps the first failure.
///
/// alloy-evm reports a failed read inside a system call as a fault of the block. A node must not:
/// the failure kept here overrules whatever verdict the library reaches after it.
#[derive(Debug)]
pub struct ViewDb<V: StateView> {
    view: V,
    failure: Failure<V::Error>,
}

impl<V: StateView> ViewDb<V> {
    /// Wraps a view.
    pub fn new(view: V) -> Self {
        Self {
            view,
            failure: Failure(Arc::new(Mutex::new(None))),
        }
    }

    /// Returns where the first failure is kept.
    pub(crate) const fn failure(&self) -> &Failure<V::Error> {
        &self.failure
    }

    fn keep<T>(&self, result: Result<T, V::Error>) -> Result<T, ReadFailed> {
        result.map_err(|error| {
            let mut failure = self
                .failure
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert(error);
            ReadFailed
        })
    }
}

impl<V: StateView> DatabaseRef for ViewDb<V> {
    type Error = ReadFailed;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, ReadFailed> {
        let account = self.keep(self.view.account(address))?;
        Ok(account.map(|account| AccountInfo {
            nonce: account.nonce,
            balance: account.balance,
            code_hash: account.code_hash,
            ..AccountInfo::default().without_code()
        }))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, ReadFailed> {
        let code = self.keep(self.view.code(hash))?;
        // Before London a contract could deploy code that only looks like a delegation.
        Ok(Bytecode::new_raw_checked(code.clone()).unwrap_or_else(|_| Bytecode::new_legacy(code)))
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, ReadFailed> {
        self.keep(self.view.storage(address, slot))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, ReadFailed> {
        self.keep(self.view.block_hash(number))
    }
}
