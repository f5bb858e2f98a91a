//! Long lists in the attributes of tree ensembles, left on the wire until their node is built.
//!
//! Decoded, they take several times the file: an integer of one byte becomes eight, and a list that comes
//! element by element doubles its memory as it grows. So they are cut out of the message before it is
//! decoded, and the node's builder reads them from the file's bytes.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::decode::{Bound, DecodeError, TEXT_BYTES, bounded};
use super::wire::{Reader, WIRE_BYTES, WIRE_FIXED32, WIRE_VARINT};

/// Bytes of an attribute from which its lists stay on the wire.
const LONG_BYTES: usize = 4 << 10;

/// The numbers of the fields that lead to a list, as ONNX has them.
const MODEL_GRAPH: u32 = 7;
const MODEL_FUNCTIONS: u32 = 25;
const GRAPH_NODE: u32 = 1;
const NODE_OP_TYPE: u32 = 4;
const NODE_ATTRIBUTE: u32 = 5;
const NODE_DOMAIN: u32 = 7;
const ATTRIBUTE_NAME: u32 = 1;
const FLOATS: u32 = 7;
const INTS: u32 = 8;
const STRINGS: u32 = 9;

/// The lists of one node that stay on the wire, by their attribute's place.
pub(crate) type NodeLists = BTreeMap<usize, List>;

/// Is an attribute's message, whose list elements were found sound.
#[derive(Clone, Debug)]
pub(crate) struct List {
    bytes: Bytes,
    longest_text: usize,
    /// Is the memory that reading the lists may take beyond their bytes.
    growth: usize,
}

impl List {
    /// Reads the integers.
    pub(crate) fn ints(&self) -> Elements<'_, i64> {
        // A varint is the two's complement of the integer.
        Elements::new(&self.bytes, INTS, |reader| Ok(reader.varint()? as i64))
    }

    /// Reads the floats.
    pub(crate) fn floats(&self) -> Elements<'_, f32> {
        Elements::new(&self.bytes, FLOATS, |reader| {
            let bytes = reader.take(4)?.try_into().unwrap_or_default();
            Ok(f32::from_le_bytes(bytes))
        })
    }

    /// Reads the strings.
    pub(crate) fn strings(&self) -> Elements<'_, &[u8]> {
        Elements::new(&self.bytes, STRINGS, Reader::sized)
    }

    /// Returns the bytes of the longest string.
    pub(crate) fn longest_text(&self) -> usize {
        self.longest_text
    }
}

/// Reads one element at a reader.
type ReadOne<'a, T> = fn(&mut Reader<'a>) -> Result<T, DecodeError>;

/// Walks the elements of one field, packed or one by one.
pub(crate) struct Elements<'a, T> {
    rest: Reader<'a>,
    run: Option<Reader<'a>>,
    tag: u32,
    one: ReadOne<'a, T>,
    left: usize,
}

impl<'a, T> Elements<'a, T> {
    fn new(bytes: &'a [u8], tag: u32, one: ReadOne<'a, T>) -> Self {
        let start = || Elements {
            rest: Reader::new(bytes, 0),
            run: None,
            tag,
            one,
            left: 0,
        };
        let mut count = start();
        let mut left = 0;
        while let Ok(Some(_)) = count.advance() {
            left += 1;
        }
        Elements { left, ..start() }
    }

    fn advance(&mut self) -> Result<Option<T>, DecodeError> {
        loop {
            if let Some(run) = self.run.as_mut().filter(|run| !run.is_done()) {
                return (self.one)(run).map(Some);
            }
            let Some((tag, wire)) = self.rest.key()? else {
                return Ok(None);
            };
            if tag != self.tag {
                self.rest.skip(wire)?;
            } else if wire == WIRE_BYTES && tag != STRINGS {
                self.run = Some(Reader::new(self.rest.sized()?, 0));
            } else {
                return (self.one)(&mut self.rest).map(Some);
            }
        }
    }
}

impl<T> Iterator for Elements<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        // The elements were walked when the list was cut out: there is no error to meet here.
        let next = self.advance().ok().flatten()?;
        self.left = self.left.saturating_sub(1);
        Some(next)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// Cuts the long lists of the main graph's tree ensembles out of a checked file: gives what is left to
/// decode (the file itself where there are none) and the lists by their node's place.
///
/// Files with functions stay whole, as do attributes that the decoder must refuse.
///
/// # Errors
/// When the lists would take more than `limit` bytes beyond the file's own.
pub(crate) fn take_lists(
    file: Bytes,
    limit: usize,
) -> Result<(Bytes, BTreeMap<usize, NodeLists>), DecodeError> {
    let (mut lists, mut growth) = (BTreeMap::new(), 0usize);
    let (mut graph, mut whole) = (None, false);
    for field in fields(&file) {
        let field = field?;
        match field.tag {
            MODEL_FUNCTIONS => whole = true,
            MODEL_GRAPH => whole |= graph.replace(field.value).is_some(),
            _ => {}
        }
    }
    let (Some(graph), false) = (graph, whole) else {
        return Ok((file, lists));
    };
    // Fields are walked again where they are needed, never listed: a file may have very many.
    let (mut nodes, mut place) = (Vec::new(), 0);
    for field in fields(graph) {
        let field = field?;
        if field.tag == GRAPH_NODE {
            let (short, found) = cut_node(&file, field.value)?;
            if !found.is_empty() {
                let more = found.values().map(|list| list.growth);
                growth = more.fold(growth, usize::saturating_add);
                bounded(Bound::ListBytes, growth, limit)?;
                lists.insert(place, found);
                nodes.push((field.value.as_ptr(), short));
            }
            place += 1;
        }
    }
    if lists.is_empty() {
        return Ok((file, lists));
    }
    let short_graph = join(graph, &nodes)?;
    let rest = join(&file, &[(graph.as_ptr(), short_graph)])?;
    Ok((rest.into(), lists))
}

/// Gives a node without its long lists, and these.
fn cut_node(file: &Bytes, node: &[u8]) -> Result<(Vec<u8>, NodeLists), DecodeError> {
    let mut lists = NodeLists::new();
    let (mut domain, mut name): (&[u8], &[u8]) = (b"", b"");
    for field in fields(node) {
        let field = field?;
        match field.tag {
            NODE_DOMAIN => domain = field.value,
            NODE_OP_TYPE => name = field.value,
            _ => {}
        }
    }
    if domain != b"ai.onnx.ml" || !name.starts_with(b"TreeEnsemble") {
        return Ok((Vec::new(), lists));
    }
    let (mut short, mut next) = (Vec::new(), 0);
    for attribute in fields(node) {
        let attribute = attribute?;
        if attribute.tag != NODE_ATTRIBUTE {
            continue;
        }
        let place = next;
        next += 1;
        if attribute.value.len() < LONG_BYTES {
            continue;
        }
        let Some((longest_text, growth)) = sound(attribute.value) else {
            continue;
        };
        let mut kept = Vec::new();
        for field in fields(attribute.value) {
            let field = field?;
            if !matches!(field.tag, FLOATS..=STRINGS) {
                kept.extend_from_slice(field.whole);
            }
        }
        short.push((attribute.value.as_ptr(), kept));
        let bytes = file.slice_ref(attribute.value);
        lists.insert(
            place,
            List {
                bytes,
                longest_text,
                growth,
            },
        );
    }
    Ok((join(node, &short)?, lists))
}

/// Walks the lists of an attribute as the decoder would: gives the longest string's bytes and what the
/// lists take beyond their bytes, or nothing where the decoder refuses them.
fn sound(attribute: &[u8]) -> Option<(usize, usize)> {
    let (mut longest_text, mut ints, mut texts, mut modes) = (0, 0usize, 0usize, false);
    for field in fields(attribute) {
        let field = field.ok()?;
        let mut run = Reader::new(field.value, 0);
        match (field.tag, field.wire) {
            (ATTRIBUTE_NAME, _) => modes = field.value == b"nodes_modes",
            (FLOATS, WIRE_FIXED32) => {}
            (INTS, WIRE_VARINT) => ints += 1,
            (FLOATS, WIRE_BYTES) if field.value.len() % 4 == 0 => {}
            (INTS, WIRE_BYTES) => {
                while !run.is_done() {
                    run.varint().ok()?;
                    ints += 1;
                }
            }
            (STRINGS, WIRE_BYTES) => {
                longest_text = longest_text.max(field.value.len());
                texts += 1;
            }
            (FLOATS | INTS | STRINGS, _) => return None,
            _ => {}
        }
    }
    // Modes are read as one byte each.
    let text = if modes { 0 } else { TEXT_BYTES };
    let lists = ints
        .saturating_mul(8)
        .saturating_add(texts.saturating_mul(text));
    Some((longest_text, lists.saturating_sub(attribute.len())))
}

/// Is one field of a message: its key and value as they are written, and the bytes of the value alone.
struct Field<'a> {
    tag: u32,
    wire: u32,
    whole: &'a [u8],
    value: &'a [u8],
}

/// Walks the fields of a message.
struct Fields<'a>(Reader<'a>, &'a [u8]);

/// Starts at a message's first field.
fn fields(message: &[u8]) -> Fields<'_> {
    Fields(Reader::new(message, 0), message)
}

impl<'a> Fields<'a> {
    fn read(&mut self) -> Result<Option<Field<'a>>, DecodeError> {
        let Fields(reader, message) = self;
        let start = reader.at();
        let Some((tag, wire)) = reader.key()? else {
            return Ok(None);
        };
        let from = reader.at();
        let value = match wire {
            WIRE_BYTES => reader.sized()?,
            wire => {
                reader.skip(wire)?;
                message.get(from..reader.at()).unwrap_or_default()
            }
        };
        Ok(Some(Field {
            tag,
            wire,
            whole: message.get(start..reader.at()).unwrap_or_default(),
            value,
        }))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// Writes a message again, with other values in place of those that begin at an address.
fn join(old: &[u8], others: &[(*const u8, Vec<u8>)]) -> Result<Vec<u8>, DecodeError> {
    let mut message = Vec::new();
    let mut others = others.iter().peekable();
    for part in fields(old) {
        let part = part?;
        match others.next_if(|(at, _)| *at == part.value.as_ptr()) {
            None => message.extend_from_slice(part.whole),
            Some((_, value)) => {
                prost::encoding::encode_key(
                    part.tag,
                    prost::encoding::WireType::LengthDelimited,
                    &mut message,
                );
                prost::encoding::encode_varint(value.len() as u64, &mut message);
                message.extend_from_slice(value);
            }
        }
    }
    Ok(message)
}

#[cfg(test)]
mod tests;
