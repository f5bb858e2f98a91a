//! A receipt as JSON: the same fields by name, for people and for files.

use alloy_primitives::{Address, B256, Bytes, FixedBytes, U64};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Decision, InferenceReceipt, MAX_RECEIPT_BYTES, ReceiptError, SetUpdate};
use crate::{InferenceRecord, Validator, certificate::SIGNATURE_BYTES};

/// Most bytes of the text: hex takes two for each, names and quotes some more.
const MAX_TEXT_BYTES: usize = 4 * MAX_RECEIPT_BYTES;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Record {
    transaction_index: U64,
    call_index: U64,
    caller: Address,
    model: B256,
    method: FixedBytes<4>,
    input_hash: B256,
    output_hash: B256,
    gas: U64,
    reverted: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    account: Address,
    power: U64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Decided {
    header: Bytes,
    round: U64,
    signatures: Vec<FixedBytes<SIGNATURE_BYTES>>,
    validators: Vec<Member>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Receipt {
    record: Record,
    index: U64,
    count: U64,
    branch: Vec<B256>,
    requests_before: Vec<B256>,
    requests_after: Vec<B256>,
    decision: Decided,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Update {
    next_set_hash: B256,
    requests_before: Vec<B256>,
    requests_after: Vec<B256>,
    decision: Decided,
}

impl InferenceReceipt {
    /// Writes the receipt as JSON.
    ///
    /// # Errors
    /// Never: every value of a receipt has a form in JSON.
    pub fn to_json(&self) -> Result<Value, ReceiptError> {
        Ok(serde_json::to_value(Receipt::from(self))?)
    }

    /// Reads a receipt written as JSON.
    ///
    /// # Errors
    /// When the text is too long, no receipt, or a receipt over a limit.
    pub fn from_json(text: &str) -> Result<Self, ReceiptError> {
        let receipt = Self::try_from(serde_json::from_str::<Receipt>(bounded(text)?)?)?;
        receipt.check_limits()?;
        Ok(receipt)
    }
}

impl SetUpdate {
    /// Writes the update as JSON.
    ///
    /// # Errors
    /// Never: every value of an update has a form in JSON.
    pub fn to_json(&self) -> Result<Value, ReceiptError> {
        Ok(serde_json::to_value(Update {
            next_set_hash: self.next_set_hash,
            requests_before: self.requests_before.clone(),
            requests_after: self.requests_after.clone(),
            decision: Decided::from(&self.decision),
        })?)
    }

    /// Reads an update written as JSON.
    ///
    /// # Errors
    /// When the text is too long, no update, or an update over a limit.
    pub fn from_json(text: &str) -> Result<Self, ReceiptError> {
        let update = serde_json::from_str::<Update>(bounded(text)?)?;
        let update = Self {
            next_set_hash: update.next_set_hash,
            requests_before: update.requests_before,
            requests_after: update.requests_after,
            decision: update.decision.try_into()?,
        };
        update.check_limits()?;
        Ok(update)
    }
}

fn bounded(text: &str) -> Result<&str, ReceiptError> {
    match text.len() {
        0..=MAX_TEXT_BYTES => Ok(text),
        got => Err(ReceiptError::TooLarge {
            what: "text in bytes",
            limit: MAX_TEXT_BYTES,
            got,
        }),
    }
}

impl TryFrom<Decided> for Decision {
    type Error = ReceiptError;

    fn try_from(decided: Decided) -> Result<Self, ReceiptError> {
        let validators = decided.validators.iter().map(|member| Validator {
            account: member.account,
            power: member.power.to(),
        });
        Ok(Self {
            header: decided.header,
            round: narrow("round", decided.round)?,
            signatures: decided.signatures.iter().map(|one| one.0).collect(),
            validators: validators.collect(),
        })
    }
}

impl From<&Decision> for Decided {
    fn from(decision: &Decision) -> Self {
        let members = decision.validators.iter().map(|one| Member {
            account: one.account,
            power: U64::from(one.power),
        });
        Self {
            header: decision.header.clone(),
            round: U64::from(decision.round),
            signatures: decision.signatures.iter().map(FixedBytes::from).collect(),
            validators: members.collect(),
        }
    }
}

impl From<&InferenceReceipt> for Receipt {
    fn from(receipt: &InferenceReceipt) -> Self {
        let record = &receipt.record;
        Self {
            record: Record {
                transaction_index: U64::from(record.transaction_index),
                call_index: U64::from(record.call_index),
                caller: record.caller,
                model: record.model_id,
                method: record.method.into(),
                input_hash: record.input_hash,
                output_hash: record.output_hash,
                gas: U64::from(record.gas),
                reverted: record.reverted,
            },
            index: U64::from(receipt.index),
            count: U64::from(receipt.count),
            branch: receipt.branch.clone(),
            requests_before: receipt.requests_before.clone(),
            requests_after: receipt.requests_after.clone(),
            decision: Decided::from(&receipt.decision),
        }
    }
}

impl TryFrom<Receipt> for InferenceReceipt {
    type Error = ReceiptError;

    fn try_from(receipt: Receipt) -> Result<Self, ReceiptError> {
        let record = receipt.record;
        Ok(Self {
            record: InferenceRecord {
                transaction_index: narrow("transactionIndex", record.transaction_index)?,
                call_index: narrow("callIndex", record.call_index)?,
                caller: record.caller,
                model_id: record.model,
                method: record.method.into(),
                input_hash: record.input_hash,
                output_hash: record.output_hash,
                gas: record.gas.to(),
                reverted: record.reverted,
            },
            index: narrow("index", receipt.index)?,
            count: narrow("count", receipt.count)?,
            branch: receipt.branch,
            requests_before: receipt.requests_before,
            requests_after: receipt.requests_after,
            decision: receipt.decision.try_into()?,
        })
    }
}

fn narrow(what: &'static str, value: U64) -> Result<u32, ReceiptError> {
    u32::try_from(value).map_err(|_| ReceiptError::TooLarge {
        what,
        limit: u32::MAX as usize,
        got: value.saturating_to(),
    })
}
