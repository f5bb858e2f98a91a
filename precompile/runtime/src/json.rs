//! Canonical JSON: one value has exactly one spelling, so hashes of it mean something.
//!
//! The subset (docs/spec/model.md, M-1): UTF-8; no spaces; object keys unique and ascending by
//! their bytes; integers only, within ±(2^53 - 1), without leading zeros or minus zero; in text the
//! only escapes are `\"` and `\\`, control characters are refused.

use thiserror::Error;

/// The largest integer, in either direction, that every JSON reader keeps exactly.
pub const INTEGER_MAX: i64 = (1 << 53) - 1;
/// Lists and objects inside one another.
pub const DEPTH_MAX: usize = 8;

/// Holds one canonical JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer within ±[`INTEGER_MAX`].
    Int(i64),
    /// Text without control characters.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// Members in ascending order of their keys.
    Object(Vec<(String, Json)>),
}

/// Says where bytes stop being canonical JSON, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not canonical JSON at byte {offset}: {fault}")]
pub struct JsonError {
    /// The byte at which reading stopped.
    pub offset: usize,
    /// What was wrong there.
    pub fault: JsonFault,
}

/// Names a departure from canonical JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum JsonFault {
    /// The bytes end inside a value.
    #[error("the text ends inside a value")]
    End,
    /// Bytes follow the value.
    #[error("bytes follow the value")]
    Trailing,
    /// A byte that begins or continues no value.
    #[error("unexpected byte 0x{0:02x} (spaces are not canonical)")]
    Byte(u8),
    /// A number with a fraction or an exponent.
    #[error("numbers must be integers")]
    Fraction,
    /// A number with leading zeros, or minus zero.
    #[error("the number is not in its shortest form")]
    Number,
    /// An integer over the range.
    #[error("the integer is outside -(2^53 - 1)..=2^53 - 1")]
    Range,
    /// An escape other than `\"` and `\\`.
    #[error("the only escapes are \\\" and \\\\")]
    Escape,
    /// A control character inside text.
    #[error("text holds a control character")]
    Control,
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    Utf8,
    /// A key that is not above the one before it.
    #[error("the key repeats or is out of order")]
    KeyOrder,
    /// Too many lists and objects inside one another.
    #[error("more than {DEPTH_MAX} lists and objects inside one another")]
    Depth,
}

impl Json {
    /// Parses bytes that must be one canonical value and nothing else.
    pub fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        let mut parser = Parser { bytes, at: 0 };
        let value = parser.value(0)?;
        if parser.at != bytes.len() {
            return Err(parser.fault(JsonFault::Trailing));
        }
        Ok(value)
    }

    /// Builds an object from members in any order; keys must be unique.
    pub fn object<const N: usize>(members: [(&str, Self); N]) -> Self {
        let mut members: Vec<_> = members
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        members.sort_by(|a, b| a.0.cmp(&b.0));
        Self::Object(members)
    }

    /// Returns the value's only canonical spelling.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = String::new();
        self.write(&mut out);
        out.into_bytes()
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Int(value) => out.push_str(&value.to_string()),
            Self::Text(text) => write_text(text, out),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_text(key, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
}

/// Tells whether a character may stand in canonical text.
pub fn is_text(character: char) -> bool {
    !character.is_control()
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn fault(&self, fault: JsonFault) -> JsonError {
        JsonError {
            offset: self.at,
            fault,
        }
    }

    fn peek(&self) -> Result<u8, JsonError> {
        self.bytes
            .get(self.at)
            .copied()
            .ok_or(self.fault(JsonFault::End))
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        let found = self.peek()?;
        if found != byte {
            return Err(self.fault(JsonFault::Byte(found)));
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, JsonError> {
        for byte in word.bytes() {
            self.expect(byte)?;
        }
        Ok(value)
    }

    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        match self.peek()? {
            b'n' => self.word("null", Json::Null),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'"' => self.text().map(Json::Text),
            b'-' | b'0'..=b'9' => self.integer(),
            b'[' | b'{' if depth >= DEPTH_MAX => Err(self.fault(JsonFault::Depth)),
            b'[' => self.list(depth + 1),
            b'{' => self.object(depth + 1),
            byte => Err(self.fault(JsonFault::Byte(byte))),
        }
    }

    /// Steps over a separator; true when the list or object goes on.
    fn goes_on(&mut self, close: u8) -> Result<bool, JsonError> {
        let byte = self.peek()?;
        if byte != b',' && byte != close {
            return Err(self.fault(JsonFault::Byte(byte)));
        }
        self.at += 1;
        Ok(byte == b',')
    }

    fn list(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.expect(b'[')?;
        let mut items = Vec::new();
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(Json::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            if !self.goes_on(b']')? {
                return Ok(Json::List(items));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.expect(b'{')?;
        let mut members: Vec<(String, Json)> = Vec::new();
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            let start = self.at;
            let key = self.text()?;
            if members.last().is_some_and(|(before, _)| *before >= key) {
                return Err(JsonError {
                    offset: start,
                    fault: JsonFault::KeyOrder,
                });
            }
            self.expect(b':')?;
            let value = self.value(depth)?;
            members.push((key, value));
            if !self.goes_on(b'}')? {
                return Ok(Json::Object(members));
            }
        }
    }

    fn integer(&mut self) -> Result<Json, JsonError> {
        let start = self.at;
        let negative = self.peek()? == b'-';
        self.at += usize::from(negative);
        let digits = self.at;
        let mut value = 0i64;
        while let Some(digit @ b'0'..=b'9') = self.bytes.get(self.at).copied() {
            // Fifteen digits and two more stay far below i64::MAX.
            value = value * 10 + i64::from(digit - b'0');
            if value > INTEGER_MAX {
                return Err(JsonError {
                    offset: start,
                    fault: JsonFault::Range,
                });
            }
            self.at += 1;
        }
        let shortest = match (self.bytes.get(digits), self.at - digits) {
            (_, 0) => false,
            (Some(b'0'), count) => count == 1 && !negative,
            _ => true,
        };
        if !shortest {
            return Err(JsonError {
                offset: start,
                fault: JsonFault::Number,
            });
        }
        if matches!(self.bytes.get(self.at), Some(b'.' | b'e' | b'E')) {
            return Err(self.fault(JsonFault::Fraction));
        }
        Ok(Json::Int(if negative { -value } else { value }))
    }

    fn text(&mut self) -> Result<String, JsonError> {
        self.expect(b'"')?;
        let mut raw = Vec::new();
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    self.at += 1;
                    let escaped = self.peek()?;
                    if !matches!(escaped, b'"' | b'\\') {
                        return Err(self.fault(JsonFault::Escape));
                    }
                    raw.push(escaped);
                }
                byte => raw.push(byte),
            }
            self.at += 1;
        }
        let text = String::from_utf8(raw).map_err(|_| self.fault(JsonFault::Utf8))?;
        if !text.chars().all(is_text) {
            return Err(self.fault(JsonFault::Control));
        }
        self.at += 1;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fault(text: &str) -> JsonFault {
        Json::parse(text.as_bytes()).expect_err(text).fault
    }

    #[test]
    fn accepts_only_the_canonical_spelling() {
        assert_eq!(fault("{ }"), JsonFault::Byte(b' '));
        assert_eq!(fault("[1,]"), JsonFault::Byte(b']'));
        assert_eq!(fault("01"), JsonFault::Number);
        assert_eq!(fault("-0"), JsonFault::Number);
        assert_eq!(fault("-"), JsonFault::Number);
        assert_eq!(fault("1.0"), JsonFault::Fraction);
        assert_eq!(fault("1e3"), JsonFault::Fraction);
        assert_eq!(fault("9007199254740992"), JsonFault::Range);
        assert_eq!(fault("99999999999999999999999999"), JsonFault::Range);
        assert_eq!(fault(r#""\u0041""#), JsonFault::Escape);
        assert_eq!(fault(r#""\/""#), JsonFault::Escape);
        assert_eq!(fault("\"a\u{7f}\""), JsonFault::Control);
        assert_eq!(fault("\"a\nb\""), JsonFault::Control);
        assert_eq!(fault("[[[[[[[[["), JsonFault::Depth);
        assert_eq!(fault("1 "), JsonFault::Trailing);
        assert_eq!(fault(r#"{"a":1"#), JsonFault::End);
    }

    #[test]
    fn refuses_repeated_and_unsorted_keys() {
        assert_eq!(fault(r#"{"a":1,"a":2}"#), JsonFault::KeyOrder);
        assert_eq!(fault(r#"{"b":1,"a":2}"#), JsonFault::KeyOrder);
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::Bool),
            (-INTEGER_MAX..=INTEGER_MAX).prop_map(Json::Int),
            "[^\\p{Cc}]{0,8}".prop_map(Json::Text),
        ];
        leaf.prop_recursive(6, 64, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(Json::List),
                proptest::collection::btree_map("[^\\p{Cc}]{0,4}", inner, 0..8)
                    .prop_map(|members| Json::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_has_one_spelling(value in any_json()) {
            prop_assert_eq!(Json::parse(&value.encode()), Ok(value));
        }

        #[test]
        fn what_parses_encodes_to_the_same_bytes(bytes in "[\\[\\]{}:,\"\\\\a-c0-9-]{0,24}") {
            if let Ok(value) = Json::parse(bytes.as_bytes()) {
                prop_assert_eq!(value.encode(), bytes.into_bytes());
            }
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Json::parse(&bytes);
        }
    }
}
