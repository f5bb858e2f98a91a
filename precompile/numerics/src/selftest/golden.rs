//! The digests every machine must find. Regenerate: `cargo run --release --example digest -- --golden`.

pub(super) const GOLDEN: &[(&str, u64)] = &[
    ("gemm f32", 0x0f4ade4dfd98a35a),
    ("gemm f64", 0xb17a98b771e31554),
    ("conv f32", 0x95dd3089828ac97c),
    ("conv transpose f32", 0x0eb61f320b9170ee),
    ("reductions f32", 0xe66308061e916dfb),
    ("order f32", 0xb080bae24e07b281),
    ("softmax f32", 0xf8d75b5da7a1fd4a),
    ("normalisation f32", 0x826624b18312dd41),
    ("transcendentals f32", 0xd7c3491b2b4951ac),
    ("activations f32", 0xdd43c36b179eef69),
    ("transcendentals f64", 0x7307e6dd003cfae8),
    ("elementwise f32", 0xe10b83d80322c47f),
    ("half precision", 0x7a81cc69ad888860),
    ("casts", 0x811224976832da80),
    ("gemm int8", 0x0b473c81130cf8ec),
    ("quantise", 0x9accc4438f49e8a9),
    ("trees f32", 0xa5ba4d23769c4f16),
    ("pooling f32", 0x8c64b9243da1102d),
    ("fixed point", 0x3b863f018265aade),
];
