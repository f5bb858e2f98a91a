//! Any bytes as a manifest: what parses is spelled the only way there is.
#![no_main]

use assay_runtime::manifest::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(manifest) = Manifest::parse(data) {
        assert_eq!(manifest.encode(), data);
    }
});
