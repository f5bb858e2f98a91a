//! Damaged and greedy safetensors files.

/// A file, its name, and words its refusal must hold.
pub(crate) type Case = (&'static str, Vec<u8>, &'static [&'static str]);

/// Joins a header and the tensors' bytes.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

/// Writes a file of one float tensor.
fn one(shape: &str, offsets: &str, data: usize) -> Vec<u8> {
    let header = format!(r#"{{"w":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#);
    file(&header, data)
}

/// Writes a file of two float tensors of four bytes each.
fn two(first: &str, second: &str, offsets: [&str; 2], data: usize) -> Vec<u8> {
    let entry = |name: &str, offsets: &str| {
        format!(r#""{name}":{{"dtype":"F32","shape":[1],"data_offsets":{offsets}}}"#)
    };
    let (first, second) = (entry(first, offsets[0]), entry(second, offsets[1]));
    file(&format!("{{{first},{second}}}"), data)
}

/// Writes a file that says another length of its header than it has.
fn says(length: u64) -> Vec<u8> {
    let mut bytes = one("[1]", "[0,4]", 4);
    bytes[..8].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// Files of every kind that is refused.
pub(crate) fn cases() -> Vec<Case> {
    let huge = "[18446744073709551615,18446744073709551615]";
    let many = || {
        let entry =
            |i: usize| format!(r#""{i}":{{"dtype":"F32","shape":[],"data_offsets":[0,0]}}"#);
        let entries: Vec<String> = (0..100_000).map(entry).collect();
        file(&format!("{{{}}}", entries.join(",")), 0)
    };
    let deep = format!(r#"{{"w":{}}}"#, "[".repeat(1 << 20));
    vec![
        ("nothing", Vec::new(), &["8 bytes", "0 follow"]),
        ("half a length", vec![1, 2, 3], &["8 bytes", "3 follow"]),
        (
            "a header longer than the file",
            says(1 << 20),
            &["1048576 bytes", "follow"],
        ),
        (
            "the longest header",
            says(u64::MAX),
            &["header", "18446744073709551615", "limit"],
        ),
        ("a header that ends early", says(9), &["header", "object"]),
        ("no object", file("[]", 0), &["header", "object"]),
        ("deep lists", file(&deep, 0), &["header"]),
        ("too many tensors", many(), &["header", "limit"]),
        ("huge dimensions", one(huge, "[0,4]", 4), &["overflow"]),
        (
            "dimensions that wrap to nothing",
            one("[4294967296,4294967296]", "[0,0]", 0),
            &["overflow"],
        ),
        (
            "an empty tensor of huge strides",
            one("[0,4611686018427387904]", "[0,0]", 0),
            &["\"w\"", "limit"],
        ),
        (
            "too many dimensions",
            one(&format!("[{}1]", "1,".repeat(40)), "[0,4]", 4),
            &["dimensions", "41", "16"],
        ),
        (
            "a negative dimension",
            one("[-1]", "[0,4]", 4),
            &["invalid"],
        ),
        (
            "offsets beyond the file",
            one("[2]", "[0,8]", 4),
            &["ncomplete"],
        ),
        (
            "offsets that wrap",
            one("[1]", "[18446744073709551612,0]", 4),
            &["w"],
        ),
        (
            "offsets beyond any number",
            one("[1]", "[0,18446744073709551616]", 4),
            &["invalid"],
        ),
        (
            "bytes after the last tensor",
            one("[1]", "[0,4]", 5),
            &["ncomplete"],
        ),
        (
            "a size that is not the shape's",
            one("[2]", "[0,4]", 4),
            &["invalid shape"],
        ),
        (
            "tensors that overlap",
            two("a", "b", ["[0,4]", "[2,6]"], 6),
            &["b"],
        ),
        (
            "a gap between tensors",
            two("a", "b", ["[0,4]", "[8,12]"], 12),
            &["b"],
        ),
        (
            "one name twice",
            two("a", "a", ["[0,4]", "[0,4]"], 4),
            &["two tensors", "\"a\""],
        ),
        ("no name", two("a", "", ["[0,4]", "[4,8]"], 8), &["no name"]),
        (
            "a name without end",
            two("a", &"b".repeat(1 << 16), ["[0,4]", "[4,8]"], 8),
            &["name", "65536", "limit"],
        ),
        (
            "an unknown element type",
            file(
                r#"{"w":{"dtype":"F13","shape":[1],"data_offsets":[0,4]}}"#,
                4,
            ),
            &["F13"],
        ),
    ]
}
