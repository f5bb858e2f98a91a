//! Builds the next block: the same execution a validator checks it with.

use alloy_consensus::{
    BlockBody,
    constants::EMPTY_OMMER_ROOT_HASH,
    proofs::{calculate_transaction_root, calculate_withdrawals_root},
    transaction::Transaction as _,
};
use alloy_eips::eip4895::Withdrawals;
use alloy_hardforks::EthereumHardfork;
use alloy_primitives::{Address, B256, Bytes, U256};
use assay_executor::{Execution, Outcome, TransactError, next_base_fee, next_excess_blob_gas};
use assay_state::{Reader, StateSnapshot};
use assay_types::{Block, Header, RecoveredBlock, Transaction};

use crate::{Chain, ChainError, Executed, Head, service::read_head};

/// Least gas any transaction costs: a block with less left is full.
const LEAST_TRANSACTION_GAS: u64 = 21_000;

/// What a driver decides about the next block; the rest follows from its parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// Time of the block, whole seconds since 1970.
    pub timestamp: u64,
    /// Account that earns the fees.
    pub beneficiary: Address,
    /// Gas limit of the block.
    pub gas_limit: u64,
    /// Base fee instead of the one that follows from the parent; developers' tools set it.
    pub base_fee: Option<u64>,
    /// The header's `mixHash`, which PREVRANDAO answers.
    pub mix_hash: B256,
    /// The header's `extraData`.
    pub extra_data: Bytes,
    /// The header's `parentBeaconBlockRoot`; zero on our own chains, which have no beacon chain.
    pub beacon_root: B256,
    /// Withdrawals of the block; none on our own chains.
    pub withdrawals: Withdrawals,
}

impl Attributes {
    /// Chooses for the next block what its parent has, a second later.
    #[must_use]
    pub fn following(head: &Head) -> Self {
        let parent = &head.header;
        Self {
            timestamp: parent.timestamp.saturating_add(1),
            beneficiary: parent.beneficiary,
            gas_limit: parent.gas_limit,
            base_fee: None,
            mix_hash: parent.mix_hash,
            extra_data: Bytes::new(),
            beacon_root: B256::ZERO,
            withdrawals: Withdrawals::default(),
        }
    }
}

/// Says why a transaction did not go into the block being built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It breaks a rule in this state; so will the sender's later ones.
    Invalid(revm::context::result::InvalidTransaction),
    /// The block has no room for it.
    NoRoom,
}

/// Offers transactions, best first.
pub trait TransactionSource {
    /// Takes the next transaction to try; `None` when there is none left.
    fn next(&mut self) -> Option<(Transaction, Address)>;

    /// Learns that a transaction was refused: its sender's later ones cannot follow.
    fn refused(&mut self, hash: B256, sender: Address, refusal: Refusal);
}

impl Chain {
    /// Lays out the header of the next block, as far as it is known before execution.
    #[must_use]
    pub fn next_header(&self, head: &Head, attributes: &Attributes) -> Header {
        let (spec, parent) = (self.spec(), &head.header);
        let timestamp = attributes.timestamp;
        let number = parent.number.saturating_add(1);
        let forks = spec.forks(number, timestamp, U256::ZERO);
        let cancun = forks.is_active(EthereumHardfork::Cancun);
        let base_fee = next_base_fee(spec, parent, timestamp);
        Header {
            parent_hash: head.hash,
            number,
            timestamp,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: attributes.beneficiary,
            gas_limit: attributes.gas_limit,
            base_fee_per_gas: base_fee.map(|fee| attributes.base_fee.unwrap_or(fee)),
            mix_hash: attributes.mix_hash,
            extra_data: attributes.extra_data.clone(),
            withdrawals_root: forks
                .is_active(EthereumHardfork::Shanghai)
                .then(|| calculate_withdrawals_root(&attributes.withdrawals)),
            excess_blob_gas: next_excess_blob_gas(spec, parent, timestamp),
            blob_gas_used: cancun.then_some(0),
            parent_beacon_block_root: cancun.then_some(attributes.beacon_root),
            ..Header::default()
        }
    }

    /// Builds and executes the next block from a source of transactions. Nothing is stored.
    ///
    /// # Errors
    /// When the time is not after the newest block's, or this machine fails.
    pub fn build(
        &self,
        attributes: &Attributes,
        source: &mut dyn TransactionSource,
    ) -> Result<Executed, ChainError> {
        let head = self.head();
        if attributes.timestamp <= head.header.timestamp && head.header.number > 0 {
            let (got, head) = (attributes.timestamp, head.header.timestamp);
            return Err(ChainError::Timestamp { got, head });
        }
        let state = self.parent_state(&head)?;
        let executing = self.begin_executing();
        let draft = self.draft(&head, state, attributes, source)?;
        drop(executing);
        let (outcome, trie) = self.root(draft.outcome)?;
        let block = Draft { outcome, ..draft }.seal(trie.root);
        Ok(Executed {
            block: block.block,
            outcome: block.outcome,
            trie,
        })
    }

    /// Executes what the next block would be if it were built now, without its state's root, which
    /// is zero in the header. For answering what is pending.
    ///
    /// # Errors
    /// When this machine fails.
    pub fn preview(
        &self,
        reader: &Reader,
        attributes: &Attributes,
        source: &mut dyn TransactionSource,
    ) -> Result<Preview, ChainError> {
        let head = read_head(reader)?;
        let state = reader.state(reader.tip())?;
        Ok(self
            .draft(&head, state, attributes, source)?
            .seal(B256::ZERO))
    }

    fn draft(
        &self,
        head: &Head,
        state: StateSnapshot,
        attributes: &Attributes,
        source: &mut dyn TransactionSource,
    ) -> Result<Draft, ChainError> {
        let mut header = self.next_header(head, attributes);
        let withdrawals = header
            .withdrawals_root
            .map(|_| attributes.withdrawals.clone());
        let mut execution = self
            .executor()
            .begin(state, &header, &[], withdrawals.as_ref())?;
        let blobs = self.spec().blob_params(header.timestamp);
        let room = Room {
            gas: header.gas_limit,
            blob_gas: blobs.map_or(0, |blobs| blobs.max_blob_gas_per_block()),
        };
        let (transactions, senders) = fill(&mut execution, room, source)?;
        let outcome = execution.finish()?;
        let forks = self.spec().forks_at(&header);
        header.requests_hash = forks
            .is_active(EthereumHardfork::Prague)
            .then(|| outcome.requests.requests_hash());
        Ok(Draft {
            header,
            transactions,
            senders,
            withdrawals,
            outcome,
        })
    }
}

/// What the next block would be if it were built now.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The block.
    pub block: RecoveredBlock,
    /// What executing it gave.
    pub outcome: Outcome,
}

/// A block executed, its header not yet complete.
struct Draft {
    header: Header,
    transactions: Vec<Transaction>,
    senders: Vec<Address>,
    withdrawals: Option<Withdrawals>,
    outcome: Outcome,
}

impl Draft {
    fn seal(mut self, state_root: B256) -> Preview {
        seal(
            &mut self.header,
            &self.transactions,
            &self.outcome,
            state_root,
        );
        let body = BlockBody {
            transactions: self.transactions,
            ommers: Vec::new(),
            withdrawals: self.withdrawals,
        };
        let block = RecoveredBlock::with_senders(Block::new(self.header, body), self.senders)
            .expect("invariant: each transaction was taken with its sender");
        Preview {
            block,
            outcome: self.outcome,
        }
    }
}

/// What a block has room for.
#[derive(Debug, Clone, Copy)]
struct Room {
    gas: u64,
    blob_gas: u64,
}

fn fill(
    execution: &mut Execution<'_, StateSnapshot>,
    mut room: Room,
    source: &mut dyn TransactionSource,
) -> Result<(Vec<Transaction>, Vec<Address>), ChainError> {
    let (mut transactions, mut senders) = (Vec::new(), Vec::new());
    while room.gas.saturating_sub(execution.gas_used()) >= LEAST_TRANSACTION_GAS {
        let Some((transaction, sender)) = source.next() else {
            break;
        };
        let hash = *transaction.tx_hash();
        let Some(blob_gas_left) = room
            .blob_gas
            .checked_sub(transaction.blob_gas_used().unwrap_or_default())
        else {
            source.refused(hash, sender, Refusal::NoRoom);
            continue;
        };
        match execution.transact(&transaction, sender) {
            Ok(_) => {
                room.blob_gas = blob_gas_left;
                transactions.push(transaction);
                senders.push(sender);
            }
            Err(TransactError::Invalid(reason)) => {
                source.refused(hash, sender, Refusal::Invalid(reason));
            }
            Err(TransactError::BlockGasLeft { .. }) => {
                source.refused(hash, sender, Refusal::NoRoom);
            }
            Err(TransactError::Fatal(error)) => return Err(error.into()),
        }
    }
    Ok((transactions, senders))
}

/// Fills in what only execution tells.
fn seal(header: &mut Header, transactions: &[Transaction], outcome: &Outcome, state_root: B256) {
    header.state_root = state_root;
    header.transactions_root = calculate_transaction_root(transactions);
    header.receipts_root = outcome.receipts_root();
    header.logs_bloom = outcome.logs_bloom();
    header.gas_used = outcome.gas_used;
    if header.parent_beacon_block_root.is_some() {
        let blob_gas = transactions
            .iter()
            .filter_map(|transaction| transaction.blob_gas_used());
        header.blob_gas_used = Some(blob_gas.fold(0, u64::saturating_add));
    }
}
