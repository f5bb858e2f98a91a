//! Any bytes as a safetensors file: reading ends in tensors within the limits or a typed error.
#![no_main]

use assay_runtime::Limits;
use assay_runtime::candle::read_safetensors;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let limits = Limits {
        elements: 1 << 16,
        live_bytes: 16 << 20,
        ..Limits::default()
    };
    let _ = read_safetensors(data, &limits);
});
