//! Any bytes as a bundle: what reads writes back to the same bytes.
#![no_main]

use assay_runtime::bundle::Bundle;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(bundle) = Bundle::read(Bytes::copy_from_slice(data), 1 << 24) {
        let mut written = Vec::new();
        bundle.write_to(&mut written).expect("memory takes everything");
        assert_eq!(written, data);
    }
});
