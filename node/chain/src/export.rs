//! States and blocks out of a chain, in the formats others read.

use std::{collections::BTreeMap, io};

use alloy_genesis::{Genesis as GenesisFile, GenesisAccount};
use alloy_primitives::{Address, B256};
use assay_types::StateView as _;

use crate::{Chain, ChainError};

impl Chain {
    /// Lists all accounts of the newest state in the form of a genesis file.
    ///
    /// # Errors
    /// When the store fails.
    pub fn accounts(&self) -> Result<BTreeMap<Address, GenesisAccount>, ChainError> {
        let reader = self.reader()?;
        let state = reader.state(reader.tip())?;
        let mut accounts = BTreeMap::new();
        for (address, account) in reader.accounts()? {
            let code = state.code(account.code_hash)?;
            let slots = reader.storage_of(address)?;
            let storage: BTreeMap<B256, B256> = slots
                .into_iter()
                .map(|(slot, value)| (slot.into(), value.into()))
                .collect();
            let entry = GenesisAccount {
                nonce: Some(account.nonce),
                balance: account.balance,
                code: (!code.is_empty()).then_some(code),
                storage: (!storage.is_empty()).then_some(storage),
                ..GenesisAccount::default()
            };
            accounts.insert(address, entry);
        }
        Ok(accounts)
    }

    /// Makes a genesis file of the newest state: a new chain of these rules may begin with it.
    ///
    /// # Errors
    /// When the store fails.
    pub fn export_state(&self) -> Result<GenesisFile, ChainError> {
        let head = self.head();
        let header = &head.header;
        let origin = self.store().origin()?;
        let assay = self.spec().assay.as_ref();
        let mut config = self.spec().config.clone();
        if let Some(section) = assay.and_then(|assay| serde_json::to_value(assay).ok()) {
            config.extra_fields.insert("assay".into(), section);
        }
        let base: GenesisFile = match origin {
            Some(origin) => {
                serde_json::from_str(&origin.genesis).map_err(assay_types::GenesisError::Format)?
            }
            None => GenesisFile {
                config,
                ..GenesisFile::default()
            },
        };
        Ok(GenesisFile {
            timestamp: header.timestamp,
            gas_limit: header.gas_limit,
            base_fee_per_gas: header.base_fee_per_gas.map(u128::from),
            alloc: self.accounts()?,
            ..base
        })
    }

    /// Writes the blocks after the first one, their RLP one after another, as an import reads them.
    /// Returns how many.
    ///
    /// # Errors
    /// When the store fails; the outer error is the writer's.
    pub fn export_blocks(&self, out: &mut impl io::Write) -> io::Result<Result<u64, ChainError>> {
        let reader = match self.reader() {
            Ok(reader) => reader,
            Err(error) => return Ok(Err(error)),
        };
        let first = reader.first_block();
        if first > 1 {
            return Ok(Err(ChainError::BeganLater(first)));
        }
        let mut count = 0;
        for number in 1..=reader.tip() {
            match reader.block_rlp(number) {
                Ok(Some(rlp)) => out.write_all(&rlp)?,
                Ok(None) => continue,
                Err(error) => return Ok(Err(error.into())),
            }
            count += 1;
        }
        Ok(Ok(count))
    }
}
