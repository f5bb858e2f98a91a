//! Evidence of equivocation on its way to the chain: a validator whose turn it is sends what its node
//! keeps and the ValidatorSet contract does not.
//!
//! Turns spare the fees of the same proof sent by all; who cannot pay lets its turn pass. Every
//! transaction is run on the newest state first, so that one which the chain refuses is never sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

use alloy_primitives::{Address, B256, keccak256};
use alloy_sol_types::SolCall as _;
use assay_chain::{Attributes, Refusal, TransactionSource};
use assay_state::{Reader, Seen, StateSnapshot};
use assay_types::{
    Evidence, StateView as _, Transaction, contracts::IValidatorSet, evidence::Deed,
    validators::set_at,
};
use bytes::Bytes;

use crate::{
    LibraryError,
    sender::{Sender, Sent},
};

/// Gas limit of a proof; a forge test shows that one needs less than two thirds of it.
const PROOF_GAS: u64 = 300_000;
/// Blocks for which it is one validator's turn: time for a transaction to find its block.
const TURN_BLOCKS: u64 = 4;
/// Proofs against one validator that a node sends within so many blocks: they tell those who change
/// the set what a thousand more would, and each costs a fee.
const ENOUGH_PROOFS: usize = 3;
const ENOUGH_BLOCKS: u64 = 1_000;

/// What one validator's node did about the evidence it keeps.
#[derive(Debug, Default)]
pub(crate) struct Accuser {
    /// Block after which it looked last.
    looked_at: Option<u64>,
    /// The proof under way: there is one at a time.
    sent: Option<(Sent, Deed)>,
    /// Hashes of kept evidence with which nothing is to be done any more.
    done: BTreeSet<B256>,
    /// Heights at which this node sent proofs against a validator, the latest.
    accused: BTreeMap<Address, Vec<u64>>,
    /// Whether the operator was told that the account cannot send.
    told: bool,
}

/// What the next block would make of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Taken,
    /// The contract refuses it, and will tomorrow.
    Refused,
    /// The account cannot pay.
    Unpaid,
}

/// Evidence that can be proven, as far as this node can tell.
struct Open {
    hash: B256,
    deed: Deed,
    call: IValidatorSet::proveEquivocationCall,
}

/// One transaction for one block that is thrown away.
struct One(Option<(Transaction, Address)>);

impl TransactionSource for One {
    fn next(&mut self) -> Option<(Transaction, Address)> {
        self.0.take()
    }

    fn refused(&mut self, _: B256, _: Address, _: Refusal) {}
}

impl Accuser {
    /// Looks once after each block; answers a transaction that peers should hear of.
    pub(crate) fn look(&mut self, sender: &Sender) -> Result<Option<Bytes>, LibraryError> {
        let Some(params) = &sender.chain().spec().assay else {
            return Ok(None);
        };
        let (contract, reader) = (params.validator_set, sender.chain().reader()?);
        let tip = reader.tip();
        if self.looked_at.replace(tip) == Some(tip) {
            return Ok(None);
        }
        let state = reader.state(tip)?;
        if self.awaits(sender, contract, &state, tip)? || sender.is_busy() {
            return Ok(None);
        }
        let set = set_at(tip.saturating_add(1), |slot| state.storage(contract, slot))?;
        let own = set.iter().position(|one| one.account == sender.account());
        if own.is_none() || own != turn(tip, set.len()) {
            return Ok(None);
        }
        let Some(open) = self.next(&reader, &state, contract)? else {
            return Ok(None);
        };
        let call = open.call.abi_encode();
        let Some(transaction) = sender.transaction(contract, call, PROOF_GAS, &state)? else {
            return Ok(None);
        };
        match rehearse(sender, &reader, transaction.clone())? {
            Verdict::Taken => {}
            Verdict::Refused => {
                let Deed {
                    account, height, ..
                } = open.deed;
                tracing::warn!(%account, height, "the chain does not take this evidence");
                self.done.insert(open.hash);
                return Ok(None);
            }
            Verdict::Unpaid => {
                self.tell(sender, &"it cannot pay: fund the account");
                return Ok(None);
            }
        }
        let (sent, bytes) = match sender.submit(transaction, tip)? {
            Ok(sent) => sent,
            Err(error) => {
                self.tell(sender, &error);
                return Ok(None);
            }
        };
        let Deed {
            account,
            height,
            round,
            kind,
        } = open.deed;
        tracing::info!(%account, height, round, ?kind, transaction = %sent.hash, "evidence sent");
        self.sent = Some((sent, open.deed));
        self.accused.entry(account).or_default().push(tip);
        Ok(Some(bytes))
    }

    /// Tells whether a proof is under way.
    fn awaits(
        &mut self,
        sender: &Sender,
        contract: Address,
        state: &StateSnapshot,
        tip: u64,
    ) -> Result<bool, LibraryError> {
        let Some((sent, deed)) = self.sent else {
            return Ok(false);
        };
        let proven = is_proven(state, contract, deed)?;
        if proven {
            tracing::info!(account = %deed.account, height = deed.height, "equivocation proven");
        }
        let awaits = !proven && sender.waits(sent, tip);
        if !awaits {
            self.sent = None;
        }
        Ok(awaits)
    }

    /// Finds the oldest evidence kept that the chain does not know.
    fn next(
        &mut self,
        reader: &Reader,
        state: &StateSnapshot,
        contract: Address,
    ) -> Result<Option<Open>, LibraryError> {
        let kept = reader.evidence()?;
        let kept: Vec<(B256, Seen)> = kept
            .into_iter()
            .map(|seen| (keccak256(&seen.bytes), seen))
            .collect();
        // The store lists the newest only: what it lists no more need not be remembered.
        let listed: BTreeSet<B256> = kept.iter().map(|(hash, _)| *hash).collect();
        self.done.retain(|hash| listed.contains(hash));
        for (hash, seen) in kept.iter().rev() {
            if self.done.contains(hash) {
                continue;
            }
            let found = open(*hash, &seen.bytes);
            match found {
                Some(open) if !is_proven(state, contract, open.deed)? => {
                    let sent = self.accused.entry(open.deed.account).or_default();
                    sent.retain(|sent| reader.tip() < sent.saturating_add(ENOUGH_BLOCKS));
                    if sent.len() < ENOUGH_PROOFS {
                        return Ok(Some(open));
                    }
                    continue;
                }
                // A proven deed stays proven, and what cannot be read stays so.
                Some(_) | None => self.done.insert(*hash),
            };
        }
        Ok(None)
    }

    fn tell(&mut self, sender: &Sender, error: &dyn Display) {
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!(
                account = %sender.account(), %error,
                "evidence is kept, but the validator's account cannot send it; other validators send \
                 it in their turn"
            );
        }
    }
}

/// Tells whose turn it is: a place in the set, in the order of accounts.
fn turn(tip: u64, validators: usize) -> Option<usize> {
    let place = (tip / TURN_BLOCKS).checked_rem(validators as u64)?;
    usize::try_from(place).ok()
}

fn open(hash: B256, bytes: &[u8]) -> Option<Open> {
    let evidence = Evidence::decode(bytes).ok()?;
    Some(Open {
        hash,
        deed: evidence.deed()?,
        call: evidence.call()?,
    })
}

fn is_proven(state: &StateSnapshot, contract: Address, deed: Deed) -> Result<bool, LibraryError> {
    Ok(!state.storage(contract, deed.slot())?.is_zero())
}

/// Runs a transaction as the only one of the next block, which is thrown away.
fn rehearse(
    sender: &Sender,
    reader: &Reader,
    transaction: Transaction,
) -> Result<Verdict, LibraryError> {
    let attributes = Attributes::following(&sender.chain().head());
    let mut source = One(Some((transaction, sender.account())));
    let preview = sender.chain().preview(reader, &attributes, &mut source)?;
    let receipt = preview.outcome.receipts.first();
    Ok(match receipt {
        Some(receipt) if receipt.status() => Verdict::Taken,
        Some(_) => Verdict::Refused,
        None => Verdict::Unpaid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_validator_has_its_turn_and_nobody_in_an_empty_set() {
        let turns: Vec<_> = (0..16).map(|tip| turn(tip, 3)).collect();
        let places = turns.chunks(4).map(|chunk| chunk[0]).collect::<Vec<_>>();
        assert_eq!(places, [Some(0), Some(1), Some(2), Some(0)]);
        assert!(
            turns
                .chunks(4)
                .all(|chunk| chunk.iter().all(|one| *one == chunk[0]))
        );
        assert_eq!(turn(7, 0), None);
    }
}
