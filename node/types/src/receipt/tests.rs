//! Rules of receipts: what proves, what is refused, and that both sides read the same bytes.

use alloy_primitives::hex;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use super::*;

/// Written by `forge test --match-path test/verify/Vectors.t.sol`: Solidity encoded and signed them.
const VECTORS: &str = include_str!("../../../../tests/vectors/receipts/vectors.json");
/// The same receipt as the good one, in JSON.
const VECTOR_JSON: &str = include_str!("../../../../tests/vectors/receipts/receipt.json");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vectors {
    chain_id: u64,
    genesis_hash: B256,
    set_hash: B256,
    good: Bytes,
    id: B256,
    height: u64,
    time: u64,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    name: String,
    receipt: Bytes,
    error: String,
}

impl Vectors {
    fn read() -> Self {
        serde_json::from_str(VECTORS).unwrap()
    }

    fn domain(&self) -> Domain {
        Domain {
            genesis_hash: self.genesis_hash,
            chain_id: self.chain_id,
        }
    }

    fn good(&self) -> InferenceReceipt {
        InferenceReceipt::decode(&self.good).unwrap()
    }
}

/// The word Solidity's error has for ours.
fn solidity(error: &ReceiptError) -> &'static str {
    match error {
        ReceiptError::Requests { .. } => "WrongRequests",
        ReceiptError::Branch { .. } => "WrongBranch",
        ReceiptError::Header => "BadHeader",
        ReceiptError::WrongSet { .. } => "WrongSet",
        ReceiptError::Certificate(CertificateError::NoQuorum { .. }) => "NoQuorum",
        ReceiptError::Certificate(CertificateError::NotValidator(_)) => "NotValidator",
        ReceiptError::Certificate(_) => "BadSignature",
        _ => "",
    }
}

#[test]
fn receipt_of_solidity_decodes_verifies_and_encodes_to_the_same_bytes() {
    let vectors = Vectors::read();
    let receipt = vectors.good();
    assert_eq!(receipt.encode(), vectors.good);
    let proven = receipt.verify(&vectors.domain(), vectors.set_hash).unwrap();
    assert_eq!(
        (proven.id, proven.height, proven.time),
        (vectors.id, vectors.height, vectors.time)
    );
    assert_eq!((proven.signed, proven.total), (300, 400));
}

#[test]
fn every_forgery_is_refused_for_the_reason_solidity_gives() {
    let vectors = Vectors::read();
    assert!(vectors.refused.len() >= 20);
    for forged in &vectors.refused {
        let receipt = InferenceReceipt::decode(&forged.receipt).unwrap();
        let error = receipt
            .verify(&vectors.domain(), vectors.set_hash)
            .unwrap_err();
        assert_eq!(solidity(&error), forged.error, "{}: {error}", forged.name);
    }
}

#[test]
fn json_of_the_vector_is_the_file_beside_it() {
    let receipt = InferenceReceipt::from_json(VECTOR_JSON).unwrap();
    assert_eq!(receipt, Vectors::read().good());
    let written: Value = serde_json::from_str(VECTOR_JSON).unwrap();
    assert_eq!(receipt.to_json().unwrap(), written);
}

#[test]
fn json_carries_the_whole_receipt_and_nothing_else() {
    let receipt = Vectors::read().good();
    let mut json = receipt.to_json().unwrap();
    let read = InferenceReceipt::from_json(&json.to_string()).unwrap();
    assert_eq!(read, receipt);
    assert_eq!(json["record"]["gas"], "0x840");
    json["more"] = Value::Null;
    let refused = InferenceReceipt::from_json(&json.to_string());
    assert!(matches!(refused, Err(ReceiptError::Json(_))));
}

#[test]
fn receipts_over_a_limit_are_refused() {
    let good = Vectors::read().good();
    let domain = Vectors::read().domain();
    type Change = fn(&mut InferenceReceipt);
    let changes: [(&str, Change); 6] = [
        ("branch", |r| r.branch.resize(33, B256::ZERO)),
        ("requestsBefore", |r| {
            r.requests_before.resize(17, B256::ZERO)
        }),
        ("requestsAfter", |r| r.requests_after.resize(17, B256::ZERO)),
        ("header", |r| r.decision.header = vec![0; 4_097].into()),
        ("signatures", |r| r.decision.signatures.resize(101, [0; 65])),
        ("validators", |r| {
            let one = r.decision.validators[0];
            r.decision.validators.resize(101, one);
        }),
    ];
    for (part, change) in changes {
        let mut receipt = good.clone();
        change(&mut receipt);
        for refused in [
            receipt.verify(&domain, B256::ZERO).unwrap_err(),
            InferenceReceipt::decode(&receipt.encode()).unwrap_err(),
            InferenceReceipt::from_json(&receipt.to_json().unwrap().to_string()).unwrap_err(),
        ] {
            let named = matches!(refused, ReceiptError::TooLarge { what, .. } if what == part);
            assert!(named, "{part}: {refused}");
        }
    }
    let long = vec![0; MAX_RECEIPT_BYTES + 1];
    assert!(matches!(
        InferenceReceipt::decode(&long),
        Err(ReceiptError::TooLarge { .. })
    ));
}

#[test]
fn largest_receipt_fits_in_its_limit() {
    let mut receipt = Vectors::read().good();
    receipt.branch.resize(MAX_BRANCH, B256::ZERO);
    receipt.requests_before.resize(MAX_REQUESTS, B256::ZERO);
    receipt.requests_after.resize(MAX_REQUESTS, B256::ZERO);
    receipt.decision.header = vec![0; MAX_HEADER_BYTES].into();
    receipt.decision.signatures.resize(MAX_VALIDATORS, [0; 65]);
    let one = receipt.decision.validators[0];
    receipt.decision.validators.resize(MAX_VALIDATORS, one);
    assert_eq!(
        InferenceReceipt::decode(&receipt.encode()).unwrap(),
        receipt
    );
}

#[test]
fn cut_receipts_prove_each_record_of_a_block() {
    let vectors = Vectors::read();
    let good = vectors.good();
    let records: Vec<InferenceRecord> = (0..7)
        .map(|index| InferenceRecord {
            call_index: index,
            ..good.record
        })
        .collect();
    let mut requests = Requests::default();
    requests.push_request(Bytes::from_static(&[0, 1, 2]));
    requests.push_request(RecordsRequest::of(&records).encode());
    requests.push_request(Bytes::from_static(&[0xa2, 7]));
    for index in 0..7 {
        let cut = InferenceReceipt::cut(&records, index, &requests, good.decision.clone());
        let cut = cut.unwrap();
        let place = usize::try_from(index).unwrap();
        assert_eq!(cut.record, records[place]);
        let root = climb(cut.record.leaf(), index, cut.count, &cut.branch).unwrap();
        let digest = sha256(&RecordsRequest { count: 7, root }.encode());
        let hash = requests_hash(&cut.requests_before, digest, &cut.requests_after);
        assert_eq!(hash, requests.requests_hash());
    }
    let past = InferenceReceipt::cut(&records, 7, &requests, good.decision.clone());
    assert_eq!(past, None);
    let none = InferenceReceipt::cut(&records, 0, &Requests::default(), good.decision);
    assert_eq!(none, None);
}

#[test]
fn last_block_of_a_set_names_the_next_and_others_name_none() {
    let decision = Vectors::read().good().decision;
    let set = B256::repeat_byte(9);
    let mut requests = Requests::default();
    requests.push_request(RecordsRequest::of(&[]).encode());
    assert_eq!(SetUpdate::cut(&requests, decision.clone()), None);
    requests.push_request([&[0xa2][..], set.as_slice()].concat().into());
    let update = SetUpdate::cut(&requests, decision.clone()).unwrap();
    assert_eq!(update.next_set_hash, set);
    let records = sha256(&RecordsRequest::of(&[]).encode());
    assert_eq!(update.requests_before, [records]);
    assert!(update.requests_after.is_empty());
    let json = update.to_json().unwrap();
    assert_eq!(json["nextSetHash"], set.to_string());
    assert_eq!(SetUpdate::from_json(&json.to_string()).unwrap(), update);
    let mut long = update;
    long.requests_after.resize(MAX_REQUESTS + 1, B256::ZERO);
    let refused = SetUpdate::from_json(&long.to_json().unwrap().to_string());
    assert!(matches!(
        refused,
        Err(ReceiptError::TooLarge {
            what: "requestsAfter",
            ..
        })
    ));
    let mut short = Requests::default();
    short.push_request(vec![0xa2, 1].into());
    assert_eq!(SetUpdate::cut(&short, decision), None);
}

proptest! {
    #[test]
    fn no_other_bytes_decode_to_the_same_receipt(at in 0_usize..4_000, bit in 0_u8..8) {
        let vectors = Vectors::read();
        let mut bytes = vectors.good.to_vec();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(receipt) = InferenceReceipt::decode(&bytes) {
            prop_assert_eq!(receipt.encode(), bytes);
            prop_assert!(receipt.verify(&vectors.domain(), vectors.set_hash).is_err());
        }
    }

    #[test]
    fn whatever_decodes_encodes_to_itself(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        if let Ok(receipt) = InferenceReceipt::decode(&bytes) {
            prop_assert_eq!(receipt.encode(), bytes);
        }
    }

    #[test]
    fn truncated_and_lengthened_receipts_are_refused(length in 0_usize..4_000) {
        let good = Vectors::read().good.to_vec();
        let mut bytes = good.clone();
        bytes.resize(length, 0);
        prop_assert_eq!(InferenceReceipt::decode(&bytes).is_ok(), length == good.len());
    }
}

#[test]
fn header_is_read_whole_or_not_at_all() {
    let mut receipt = Vectors::read().good();
    assert_eq!(receipt.header().unwrap().number, 50);
    let header = [&receipt.decision.header[..], &hex!("00")].concat();
    receipt.decision.header = header.into();
    assert!(matches!(receipt.header(), Err(ReceiptError::Header)));
}
