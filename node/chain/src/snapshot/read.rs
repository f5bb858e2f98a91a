//! Believing a snapshot: everything in it is checked against the genesis, step by step.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
};

use alloy_consensus::constants::KECCAK_EMPTY;
use alloy_eips::eip7685::Requests;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use assay_executor::{InvalidBlock, Outcome, validate_body, validate_outcome};
use assay_state::{KeptBlock, Origin, SLOTS_A_PIECE, Store, TrieUpdate};
use assay_types::{
    Account, AccountChange, AssayParams, Certificate, Domain, Genesis, RecordsRequest,
    RecoveredBlock, SetUpdate, StateChanges, StateView as _, certificate::total_power,
    digest::set_hash, validators::set_at,
};

use super::{AccountFrame, Kind, SlotsFrame, SnapshotError, Title, first_of, frame::Reader};
use crate::{ChainError, service::genesis_block};

/// Accounts and slots that one write of the store takes.
const ITEMS_A_WRITE: usize = 50_000;
/// Bytes of code that weigh as much as a slot.
const BYTES_AN_ITEM: usize = 64;
/// Most bytes of a code: no fork allows so many, a genesis might.
const MAX_CODE_BYTES: usize = 1 << 20;

/// What a snapshot proved to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// Number of the newest block.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// Its time, in seconds since 1970.
    pub time: u64,
    /// Power that signed it.
    pub signed: u64,
    /// Power of all.
    pub total: u64,
    /// Accounts in the state.
    pub accounts: u64,
}

/// Fills an empty store with a snapshot of the genesis's chain; `progress` is told of the bytes
/// read. A store that this failed on is of no use.
///
/// # Errors
/// When the snapshot is damaged, of another chain, or not proven, or the store fails.
pub fn restore(
    genesis: &Genesis,
    store: &Store,
    input: impl Read,
    progress: impl FnMut(u64),
) -> Result<Restored, SnapshotError> {
    let params = genesis.spec.assay.as_ref().ok_or(SnapshotError::NoVotes)?;
    let first = genesis_block(genesis)?;
    let mut reading = Reading {
        genesis,
        params,
        store,
        reader: Reader::new(input)?,
        domain: Domain {
            genesis_hash: first.hash(),
            chain_id: genesis.spec.chain_id,
        },
        progress,
    };
    store.set_origin(&Origin {
        genesis: genesis.rules().map_err(ChainError::from)?,
        options: String::new(),
    })?;
    let title = reading.title()?;
    let (updates, wanted_set, mut frame) = reading.sets(title.number)?;
    let number = title.number;
    let (block, certificate) = reading.blocks(number, &mut frame)?;
    let (accounts, root) = reading.state(frame)?;
    let header = block.header();
    if root.root != header.state_root {
        return Err(SnapshotError::State {
            number,
            got: root.root,
            wanted: header.state_root,
        });
    }
    store.begin_at(&first, first_of(number)..=number, &updates, &root)?;
    let state = store.reader()?.state(number)?;
    let validators = set_at(number, |slot| state.storage(params.validator_set, slot))?;
    let got = set_hash(&validators);
    if got != wanted_set {
        return Err(SnapshotError::Validators {
            number,
            got,
            wanted: wanted_set,
        });
    }
    let certificate = certificate
        .filter(|one| one.height == number && one.block_hash == block.hash())
        .ok_or(SnapshotError::NoBlock(number))?;
    let signed = certificate
        .verify(&reading.domain, &validators)
        .map_err(|error| SnapshotError::Certificate { number, error })?;
    Ok(Restored {
        number,
        hash: block.hash(),
        time: header.timestamp,
        signed,
        total: total_power(&validators),
        accounts,
    })
}

/// A snapshot being read.
struct Reading<'a, R, P> {
    genesis: &'a Genesis,
    params: &'a AssayParams,
    store: &'a Store,
    reader: Reader<R>,
    domain: Domain,
    progress: P,
}

type Frame = (Kind, Bytes);

impl<R: Read, P: FnMut(u64)> Reading<'_, R, P> {
    fn title(&mut self) -> Result<Title, SnapshotError> {
        let (Kind::Title, bytes) = self.reader.next()? else {
            return Err(self.reader.damaged("the title is missing"));
        };
        let title: Title = self.reader.decode(&bytes)?;
        let (found, wanted) = (title.genesis_hash, self.domain.genesis_hash);
        if found != wanted || title.chain_id != self.domain.chain_id {
            return Err(SnapshotError::OtherChain { found, wanted });
        }
        match title.number {
            0 => Err(SnapshotError::NoBlocks),
            _ => Ok(title),
        }
    }

    /// Follows the validator sets from the genesis to the one in force at a height. Answers the
    /// proofs, that set's hash, and the frame after them.
    fn sets(&mut self, height: u64) -> Result<(Vec<SetUpdate>, B256, Frame), SnapshotError> {
        let state = self.genesis.state();
        let contract = state.accounts.get(&self.params.validator_set);
        let slot = |slot: U256| contract.and_then(|one| one.storage.get(&slot)).copied();
        let first = set_at(1, |at| {
            Ok::<_, std::convert::Infallible>(slot(at).unwrap_or_default())
        });
        let mut trusted = set_hash(&first.unwrap_or_default());
        let (mut at_height, mut last) = (trusted, 0);
        let mut updates = Vec::new();
        loop {
            let (kind, bytes) = self.advance()?;
            if kind != Kind::SetUpdate {
                return Ok((updates, at_height, (kind, bytes)));
            }
            let text = std::str::from_utf8(&bytes)
                .map_err(|_| self.reader.damaged("a set update is no text"))?;
            let update = SetUpdate::from_json(text).map_err(SnapshotError::Set)?;
            let proven = update.verify(&self.domain, trusted);
            let proven = proven.map_err(SnapshotError::Set)?;
            if proven.height <= last || proven.height > height {
                return Err(self.reader.damaged("a set update is out of order"));
            }
            (last, trusted) = (proven.height, update.next_set_hash);
            // The proof cut from the newest block itself names the set of the next one.
            if proven.height < height {
                at_height = trusted;
            }
            updates.push(update);
        }
    }

    /// Reads the newest blocks into the store: as many as a contract can ask the hashes of, each the
    /// parent of the next and as its header says. Answers the last and what decided it.
    fn blocks(
        &mut self,
        last: u64,
        frame: &mut Frame,
    ) -> Result<(RecoveredBlock, Option<Certificate>), SnapshotError> {
        let mut before: Option<RecoveredBlock> = None;
        for wanted in first_of(last)..=last {
            if frame.0 != Kind::Block {
                return Err(self.reader.damaged("a block is missing"));
            }
            let kept = KeptBlock::decode(&frame.1)
                .map_err(|_| self.reader.damaged("a block does not decode"))?;
            let number = kept.block.header.number;
            let parent = before.map(|before| before.hash());
            if number != wanted
                || parent.is_some_and(|parent| parent != kept.block.header.parent_hash)
            {
                return Err(SnapshotError::Order { number });
            }
            let (block, kept) = self
                .check(kept)
                .map_err(|error| SnapshotError::Block { number, error })?;
            let certificate = kept.certificate.clone();
            self.store.fill_block(&block, kept)?;
            *frame = self.advance()?;
            match (number == last, certificate) {
                (true, certificate) => return Ok((block, certificate)),
                (false, Some(_)) => {
                    return Err(self.reader.damaged("a certificate of an older block"));
                }
                (false, None) => before = Some(block),
            }
        }
        Err(SnapshotError::NoBlocks)
    }

    /// Checks what came with a block against its header; the header itself is for later ones.
    fn check(&self, kept: KeptBlock) -> Result<(RecoveredBlock, KeptBlock), InvalidBlock> {
        let header = &kept.block.header;
        validate_body(&self.genesis.spec, &kept.block)?;
        let records = RecordsRequest::of(&kept.records).encode();
        if !kept.requests.contains(&records) {
            let found = kept.records.len();
            return Err(InvalidBlock::header(
                "records",
                found,
                "those of the request",
            ));
        }
        let used = kept.receipts.last();
        let outcome = Outcome {
            gas_used: used.map_or(0, |receipt| receipt.cumulative_gas_used()),
            receipts: kept.receipts,
            requests: Requests::new(kept.requests),
            ..Outcome::default()
        };
        validate_outcome(header, &outcome, header.state_root)?;
        let kept = KeptBlock {
            receipts: outcome.receipts,
            requests: outcome.requests.take(),
            ..kept
        };
        Ok((RecoveredBlock::recover(kept.block.clone(), false)?, kept))
    }

    /// Reads the state into the store; answers the number of accounts and the root.
    fn state(&mut self, mut frame: Frame) -> Result<(u64, TrieUpdate), SnapshotError> {
        let mut batch = Batch::default();
        let mut accounts = 0;
        loop {
            match frame.0 {
                Kind::Code if frame.1.len() > MAX_CODE_BYTES => {
                    return Err(self.reader.damaged("a code is over its limit of 1 MiB"));
                }
                Kind::Code => batch.code(frame.1),
                Kind::Account => {
                    let account: AccountFrame = self.reader.decode(&frame.1)?;
                    batch
                        .account(&account)
                        .map_err(|what| self.reader.damaged(what))?;
                    accounts += 1;
                }
                Kind::Slots => {
                    let SlotsFrame { slots } = self.reader.decode(&frame.1)?;
                    if slots.len() > SLOTS_A_PIECE {
                        return Err(self.reader.damaged("a part has more than 8,192 slots"));
                    }
                    let slots = slots.into_iter().map(|slot| (slot.key, slot.value));
                    batch
                        .slots(slots)
                        .map_err(|what| self.reader.damaged(what))?;
                }
                Kind::End if self.reader.is_at_end()? => {
                    return Ok((accounts, self.store.fill(&batch.changes)?));
                }
                Kind::End => return Err(self.reader.damaged("something follows the end")),
                _ => return Err(self.reader.damaged("a part is out of order")),
            }
            if batch.items >= ITEMS_A_WRITE {
                self.store.fill(&batch.take())?;
            }
            frame = self.advance()?;
        }
    }

    fn advance(&mut self) -> Result<Frame, SnapshotError> {
        let frame = self.reader.next()?;
        (self.progress)(self.reader.offset());
        Ok(frame)
    }
}

/// Accounts and slots that wait for the next write.
#[derive(Default)]
struct Batch {
    changes: StateChanges,
    items: usize,
    codes: BTreeSet<B256>,
    last: Option<(Address, Account)>,
    /// The last account's last slot.
    last_slot: Option<U256>,
}

impl Batch {
    fn code(&mut self, code: Bytes) {
        let hash = keccak256(&code);
        self.items += 1 + code.len() / BYTES_AN_ITEM;
        self.codes.insert(hash);
        self.changes.codes.insert(hash, code);
    }

    fn account(&mut self, frame: &AccountFrame) -> Result<(), &'static str> {
        let (address, code) = (frame.address, frame.code_hash);
        if self.last.is_some_and(|(last, _)| last >= address) {
            return Err("accounts are out of order");
        }
        if code != KECCAK_EMPTY && !code.is_zero() && !self.codes.contains(&code) {
            return Err("an account's code is missing");
        }
        let account = Account {
            nonce: frame.nonce,
            balance: frame.balance,
            code_hash: code,
        };
        self.last = Some((address, account));
        self.last_slot = None;
        self.slots([])
    }

    /// Adds slots to the last account, or the account alone.
    fn slots(&mut self, slots: impl IntoIterator<Item = (U256, U256)>) -> Result<(), &'static str> {
        let (address, account) = self.last.ok_or("slots of no account")?;
        let change = self.changes.accounts.entry(address);
        let change = change.or_insert_with(|| AccountChange {
            account: Some(account),
            wiped: false,
            storage: BTreeMap::new(),
        });
        self.items += 1;
        for (slot, value) in slots {
            if value.is_zero() {
                return Err("a slot is zero");
            }
            if self.last_slot.replace(slot) >= Some(slot) {
                return Err("slots are out of order");
            }
            self.items += 1;
            change.storage.insert(slot, value);
        }
        Ok(())
    }

    fn take(&mut self) -> StateChanges {
        self.items = 0;
        std::mem::take(&mut self.changes)
    }
}
