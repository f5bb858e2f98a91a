//! Evidence of equivocation, as a node shows it before and after the chain keeps it.

use alloy_primitives::U256;
use assay_types::{
    contracts::validators,
    evidence::{Evidence, Kind, Signed},
};

use super::*;

fn evidence(height: u64) -> Evidence {
    let signed = |byte: u8| Signed {
        block_hash: Some(B256::repeat_byte(byte)),
        valid_round: None,
        signature: Bytes::copy_from_slice(&[byte; 65]),
    };
    Evidence {
        validator: BOB,
        height,
        round: Some(1),
        kind: Kind::Precommit,
        first: signed(1),
        second: signed(2),
    }
}

#[test]
fn kept_evidence_says_whether_the_chain_keeps_it() {
    let backend = backend();
    assert_eq!(call(&backend, "assay_getEvidence", json!([])), json!([]));
    let (old, new) = (evidence(3), evidence(4));
    for one in [&old, &new] {
        let (store, bytes) = (backend.chain.store(), one.encode());
        store.keep_evidence(one.height, BOB, &bytes).unwrap();
    }
    let set = backend.chain.spec().assay.as_ref().unwrap().validator_set;
    let word = |value: u64| B256::from(U256::from(value));
    let slot = |slot: U256, value| json!([set, slot, word(value)]);
    let proven = slot(old.deed().unwrap().slot(), 9);
    call(&backend, "anvil_setStorageAt", proven);
    let shown = call(&backend, "assay_getEvidence", json!([]));
    let expected = json!({
        "validator": BOB,
        "height": 4,
        "round": 1,
        "kind": "precommit",
        "first": {"blockHash": B256::repeat_byte(1), "signature": Bytes::from_iter([1; 65])},
        "second": {"blockHash": B256::repeat_byte(2), "signature": Bytes::from_iter([2; 65])},
        "provenAt": null,
    });
    assert_eq!(shown[0], expected);
    assert_eq!(
        (&shown[1]["height"], &shown[1]["provenAt"]),
        (&json!(3), &json!("0x9"))
    );
    let count = slot(U256::from(validators::MISDEEDS), 2);
    call(&backend, "anvil_setStorageAt", count);
    let text = crate::probe::metrics(&backend);
    assert!(text.contains("\nassay_equivocations_proven 2\n"), "{text}");
}
