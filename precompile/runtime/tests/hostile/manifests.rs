//! Damaged and greedy manifests.

/// A file, its name, and words its refusal must hold.
pub(crate) type Case = (&'static str, Vec<u8>, &'static [&'static str]);

/// Manifests of every kind that is refused before any member means anything.
pub(crate) fn cases() -> Vec<Case> {
    vec![
        ("nothing", Vec::new(), &["manifest"]),
        ("an empty object", b"{}".to_vec(), &["manifest has no"]),
        (
            "more than the limit",
            vec![b' '; 1 << 20],
            &["1048576", "limit is 262144"],
        ),
        ("deep lists", vec![b'['; 200_000], &["manifest is"]),
        ("deep objects", br#"{"a":"#.repeat(40_000), &["manifest is"]),
        (
            "one member twice",
            br#"{"batch":null,"batch":null}"#.to_vec(),
            &["manifest is"],
        ),
        (
            "a number beyond 2^53",
            br#"{"numerics":9007199254740993}"#.to_vec(),
            &["manifest is"],
        ),
        (
            "a number without end",
            [br#"{"numerics":"#.as_slice(), &[b'9'; 200_000], b"}"].concat(),
            &["manifest is"],
        ),
        (
            "a text that does not end",
            [br#"{"name":""#.as_slice(), &[b'x'; 200_000]].concat(),
            &["manifest is"],
        ),
        (
            "bytes that are no text",
            b"{\"name\":\"\xff\xfe\"}".to_vec(),
            &["manifest is"],
        ),
    ]
}
