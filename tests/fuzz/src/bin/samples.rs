//! Any bytes as sample rows: what parses encodes to the same bytes.
#![no_main]

use assay_runtime::samples::Samples;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(samples) = Samples::parse(&Bytes::copy_from_slice(data))
        && !samples.rows.is_empty()
    {
        assert_eq!(samples.encode().as_deref(), Ok(data));
    }
});
