//! Any bytes as a certificate, a record and a request of records: what decodes encodes to the same
//! bytes, and a certificate of nobody's is refused.
#![no_main]

use alloy_primitives::B256;
use assay_types::{Certificate, Domain, InferenceRecord, RecordsRequest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(certificate) = Certificate::decode(data) {
        assert_eq!(certificate.encode(), data);
        let domain = Domain {
            genesis_hash: B256::ZERO,
            chain_id: 1,
        };
        assert!(certificate.verify(&domain, &[]).is_err());
    }
    if let Some(record) = InferenceRecord::decode(data) {
        assert_eq!(record.encode()[..], data[..]);
    }
    if let Some(request) = RecordsRequest::decode(data) {
        assert_eq!(request.encode()[..], data[..]);
    }
});
