//! The bytes of a receipt: the Solidity ABI's, in their one canonical form (Spec: W-1).

use alloy_primitives::B256;
use alloy_sol_types::{SolValue as _, abi::AbiDecoderConfig};

use super::{Decision, InferenceReceipt, MAX_RECEIPT_BYTES, ReceiptError};
use crate::{InferenceRecord, Validator, certificate::SIGNATURE_BYTES};

mod sol {
    #![allow(missing_docs, clippy::pedantic)]

    alloy_sol_types::sol! {
        struct Record {
            uint32 transactionIndex;
            uint32 callIndex;
            address caller;
            bytes32 model;
            bytes4 method;
            bytes32 inputHash;
            bytes32 outputHash;
            uint64 gas;
            bool reverted;
        }

        struct Member { address account; uint64 power; }

        struct Decision {
            bytes header;
            uint32 round;
            bytes signatures;
            Member[] validators;
        }

        struct Receipt {
            Record record;
            uint32 index;
            uint32 count;
            bytes32[] branch;
            bytes32[] requestsBefore;
            bytes32[] requestsAfter;
            Decision decision;
        }
    }
}

impl InferenceReceipt {
    /// Encodes the receipt as Solidity's `abi.encode` does.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        sol::Receipt::from(self).abi_encode()
    }

    /// Decodes what [`Self::encode`] makes, and nothing else.
    ///
    /// # Errors
    /// When the bytes are too many, no receipt, a receipt over a limit, or another encoding of one.
    pub fn decode(bytes: &[u8]) -> Result<Self, ReceiptError> {
        if bytes.len() > MAX_RECEIPT_BYTES {
            return Err(ReceiptError::TooLarge {
                what: "encoding in bytes",
                limit: MAX_RECEIPT_BYTES,
                got: bytes.len(),
            });
        }
        let config = AbiDecoderConfig::new()
            .validate(true)
            .memory_limit(8 * MAX_RECEIPT_BYTES);
        let decoded = sol::Receipt::abi_decode_with_config(bytes, config);
        let receipt = Self::try_from(decoded.map_err(|_| ReceiptError::Encoding)?)?;
        receipt.check_limits()?;
        match receipt.encode() == bytes {
            true => Ok(receipt),
            false => Err(ReceiptError::Encoding),
        }
    }
}

impl From<&InferenceReceipt> for sol::Receipt {
    fn from(receipt: &InferenceReceipt) -> Self {
        let (record, decision) = (&receipt.record, &receipt.decision);
        Self {
            record: sol::Record {
                transactionIndex: record.transaction_index,
                callIndex: record.call_index,
                caller: record.caller,
                model: record.model_id,
                method: record.method.into(),
                inputHash: record.input_hash,
                outputHash: record.output_hash,
                gas: record.gas,
                reverted: record.reverted,
            },
            index: receipt.index,
            count: receipt.count,
            branch: receipt.branch.clone(),
            requestsBefore: receipt.requests_before.clone(),
            requestsAfter: receipt.requests_after.clone(),
            decision: sol::Decision {
                header: decision.header.clone(),
                round: decision.round,
                signatures: decision.signatures.concat().into(),
                validators: decision.validators.iter().map(member).collect(),
            },
        }
    }
}

fn member(validator: &Validator) -> sol::Member {
    sol::Member {
        account: validator.account,
        power: validator.power,
    }
}

impl TryFrom<sol::Receipt> for InferenceReceipt {
    type Error = ReceiptError;

    fn try_from(receipt: sol::Receipt) -> Result<Self, ReceiptError> {
        let (record, decision) = (receipt.record, receipt.decision);
        let (signatures, surplus) = decision.signatures.as_chunks::<SIGNATURE_BYTES>();
        if !surplus.is_empty() {
            return Err(ReceiptError::Encoding);
        }
        let validators = decision.validators.iter().map(|member| Validator {
            account: member.account,
            power: member.power,
        });
        Ok(Self {
            record: InferenceRecord {
                transaction_index: record.transactionIndex,
                call_index: record.callIndex,
                caller: record.caller,
                model_id: B256::from(record.model),
                method: record.method.into(),
                input_hash: record.inputHash,
                output_hash: record.outputHash,
                gas: record.gas,
                reverted: record.reverted,
            },
            index: receipt.index,
            count: receipt.count,
            branch: receipt.branch,
            requests_before: receipt.requestsBefore,
            requests_after: receipt.requestsAfter,
            decision: Decision {
                header: decision.header,
                round: decision.round,
                signatures: signatures.to_vec(),
                validators: validators.collect(),
            },
        })
    }
}
