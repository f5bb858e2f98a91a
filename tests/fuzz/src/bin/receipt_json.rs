//! Any text as a receipt in JSON: what reads has one encoding, which decodes to the same.
#![no_main]

use assay_types::InferenceReceipt;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(receipt) = InferenceReceipt::from_json(text) {
        let decoded = InferenceReceipt::decode(&receipt.encode());
        assert_eq!(decoded.expect("what is within the limits decodes"), receipt);
    }
});
