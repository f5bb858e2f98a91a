//! Any text as the proof of a next set: what reads is written to the same, and is proven to nobody
//! who knows another set.
#![no_main]

use alloy_primitives::B256;
use assay_types::{Domain, SetUpdate};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(update) = SetUpdate::from_json(text) {
        let json = update.to_json().expect("every update has a form in JSON");
        let read = SetUpdate::from_json(&json.to_string());
        assert_eq!(read.expect("what was written is read"), update);
        let domain = Domain {
            genesis_hash: B256::ZERO,
            chain_id: 1,
        };
        assert!(update.verify(&domain, B256::ZERO).is_err());
    }
});
