//! Any bytes as a receipt: what decodes encodes to the same bytes, has a form in JSON, and is proven
//! to nobody who knows another set.
#![no_main]

use alloy_primitives::B256;
use assay_types::{Domain, InferenceReceipt};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(receipt) = InferenceReceipt::decode(data) {
        assert_eq!(receipt.encode(), data);
        let json = receipt.to_json().expect("every receipt has a form in JSON");
        let read = InferenceReceipt::from_json(&json.to_string());
        assert_eq!(read.expect("what was written is read"), receipt);
        let domain = Domain {
            genesis_hash: B256::ZERO,
            chain_id: 1,
        };
        assert!(receipt.verify(&domain, B256::ZERO).is_err());
    }
});
