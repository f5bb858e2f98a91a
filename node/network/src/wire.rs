//! The messages peers exchange, byte by byte: docs/spec/network.md. Nothing here trusts a length.

use alloy_primitives::B256;
use bytes::Bytes;
use libp2p::{Multiaddr, PeerId};

use crate::config::{AGENT_BYTES_MAX, CHUNK_BYTES_MAX, PEERS_TOLD_MAX};

/// Most bytes of a peer's id.
const PEER_BYTES_MAX: usize = 64;
/// Most bytes of a peer's address.
const ADDRESS_BYTES_MAX: usize = 128;

/// Says why a message was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    /// The message ends too early.
    #[error("message ends early: {wanted} more bytes wanted, {found} left")]
    Short {
        /// Bytes wanted.
        wanted: usize,
        /// Bytes left.
        found: usize,
    },
    /// The message goes on after its end.
    #[error("message has {0} bytes too many")]
    Long(usize),
    /// A number is out of its range.
    #[error("{field} is {found}, the limit is {limit}")]
    Range {
        /// Which number.
        field: &'static str,
        /// The number.
        found: u64,
        /// Its limit.
        limit: u64,
    },
    /// A field holds what it may not.
    #[error("{0} cannot be read")]
    Field(&'static str),
}

/// A message of bounded size.
pub(crate) trait Message: Sized + Send + 'static {
    /// Most bytes of it.
    const BYTES_MAX: usize;

    /// Writes it: what comes first, and a body that need not be copied.
    fn encode(self) -> (Vec<u8>, Bytes);

    /// Reads it.
    fn decode(bytes: Bytes) -> Result<Self, WireError>;
}

/// What a node says of itself first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) chain_id: u64,
    pub(crate) genesis: B256,
    /// Port it listens on; 0 when it does not.
    pub(crate) port: u16,
    pub(crate) agent: String,
}

/// Asks for other peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PeersRequest;

/// Tells of other peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peers(pub(crate) Vec<(PeerId, Multiaddr)>);

/// Asks for a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ModelRequest {
    /// Whether it is there.
    Has(B256),
    /// Its manifest and the chaining values of its chunks.
    Outline(B256),
    /// Bytes of its files.
    Chunk {
        model: B256,
        offset: u64,
        length: u32,
    },
}

/// Answers a request for a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ModelResponse {
    /// The model is not here.
    Absent,
    /// Too much is asked at the moment: ask later.
    Busy,
    /// What was asked for.
    Data(Bytes),
}

impl Message for Hello {
    const BYTES_MAX: usize = 8 + 32 + 2 + 1 + AGENT_BYTES_MAX;

    fn encode(self) -> (Vec<u8>, Bytes) {
        let mut out = Vec::with_capacity(Self::BYTES_MAX);
        out.extend(self.chain_id.to_le_bytes());
        out.extend(self.genesis);
        out.extend(self.port.to_le_bytes());
        let agent: String = bounded(&self.agent, AGENT_BYTES_MAX);
        put_short(&mut out, agent.as_bytes());
        (out, Bytes::new())
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let mut rest = Reader(&bytes);
        let hello = Self {
            chain_id: rest.u64()?,
            genesis: rest.word()?,
            port: rest.u16()?,
            agent: printable(rest.short("agent", AGENT_BYTES_MAX)?)?,
        };
        rest.end()?;
        Ok(hello)
    }
}

impl Message for PeersRequest {
    const BYTES_MAX: usize = 0;

    fn encode(self) -> (Vec<u8>, Bytes) {
        (Vec::new(), Bytes::new())
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        Reader(&bytes).end().map(|()| Self)
    }
}

impl Message for Peers {
    const BYTES_MAX: usize = 1 + PEERS_TOLD_MAX * (2 + PEER_BYTES_MAX + ADDRESS_BYTES_MAX);

    fn encode(self) -> (Vec<u8>, Bytes) {
        let told: Vec<(Vec<u8>, Vec<u8>)> = self
            .0
            .into_iter()
            .map(|(peer, address)| (peer.to_bytes(), address.to_vec()))
            .filter(|(peer, at)| peer.len() <= PEER_BYTES_MAX && at.len() <= ADDRESS_BYTES_MAX)
            .take(PEERS_TOLD_MAX)
            .collect();
        let mut out = vec![u8::try_from(told.len()).unwrap_or(u8::MAX)];
        for (peer, address) in told {
            put_short(&mut out, &peer);
            put_short(&mut out, &address);
        }
        (out, Bytes::new())
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let mut rest = Reader(&bytes);
        let count = usize::from(rest.u8()?);
        in_range("count", count, PEERS_TOLD_MAX)?;
        let mut peers = Vec::with_capacity(count);
        for _ in 0..count {
            let peer = PeerId::from_bytes(rest.short("peer", PEER_BYTES_MAX)?);
            let address = rest.short("address", ADDRESS_BYTES_MAX)?;
            let address = Multiaddr::try_from(address.to_vec());
            peers.push((
                peer.map_err(|_| WireError::Field("peer"))?,
                address.map_err(|_| WireError::Field("address"))?,
            ));
        }
        rest.end()?;
        Ok(Self(peers))
    }
}

impl ModelRequest {
    const HAS: u8 = 0;
    const OUTLINE: u8 = 1;
    const CHUNK: u8 = 2;
}

impl Message for ModelRequest {
    const BYTES_MAX: usize = 1 + 32 + 8 + 4;

    fn encode(self) -> (Vec<u8>, Bytes) {
        let mut out = Vec::with_capacity(Self::BYTES_MAX);
        match self {
            Self::Has(model) => {
                out.push(Self::HAS);
                out.extend(model);
            }
            Self::Outline(model) => {
                out.push(Self::OUTLINE);
                out.extend(model);
            }
            Self::Chunk {
                model,
                offset,
                length,
            } => {
                out.push(Self::CHUNK);
                out.extend(model);
                out.extend(offset.to_le_bytes());
                out.extend(length.to_le_bytes());
            }
        }
        (out, Bytes::new())
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let mut rest = Reader(&bytes);
        let (kind, model) = (rest.u8()?, rest.word()?);
        let request = match kind {
            Self::HAS => Self::Has(model),
            Self::OUTLINE => Self::Outline(model),
            Self::CHUNK => {
                let (offset, length) = (rest.u64()?, rest.u32()?);
                in_range("length", length as usize, CHUNK_BYTES_MAX as usize)?;
                Self::Chunk {
                    model,
                    offset,
                    length,
                }
            }
            _ => return Err(WireError::Field("kind")),
        };
        rest.end()?;
        Ok(request)
    }
}

impl ModelResponse {
    const ABSENT: u8 = 0;
    const BUSY: u8 = 1;
    const DATA: u8 = 2;
}

impl Message for ModelResponse {
    const BYTES_MAX: usize = 1 + CHUNK_BYTES_MAX as usize;

    fn encode(self) -> (Vec<u8>, Bytes) {
        match self {
            Self::Absent => (vec![Self::ABSENT], Bytes::new()),
            Self::Busy => (vec![Self::BUSY], Bytes::new()),
            Self::Data(bytes) => (vec![Self::DATA], bytes),
        }
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let mut rest = Reader(&bytes);
        let kind = rest.u8()?;
        match kind {
            Self::DATA => Ok(Self::Data(bytes.slice(1..))),
            Self::ABSENT => rest.end().map(|()| Self::Absent),
            Self::BUSY => rest.end().map(|()| Self::Busy),
            _ => Err(WireError::Field("kind")),
        }
    }
}

/// What is left of a message.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let short = WireError::Short {
            wanted: count,
            found: self.0.len(),
        };
        let (taken, rest) = self.0.split_at_checked(count).ok_or(short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u8(&mut self) -> Result<u8, WireError> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_le_bytes)
    }

    fn word(&mut self) -> Result<B256, WireError> {
        self.array().map(B256::from)
    }

    /// Takes bytes that follow their length of one byte.
    fn short(&mut self, field: &'static str, limit: usize) -> Result<&'a [u8], WireError> {
        let length = usize::from(self.u8()?);
        in_range(field, length, limit)?;
        self.take(length)
    }

    const fn end(&self) -> Result<(), WireError> {
        match self.0.len() {
            0 => Ok(()),
            more => Err(WireError::Long(more)),
        }
    }
}

fn in_range(field: &'static str, found: usize, limit: usize) -> Result<(), WireError> {
    match found <= limit {
        true => Ok(()),
        false => Err(WireError::Range {
            field,
            found: found as u64,
            limit: limit as u64,
        }),
    }
}

/// Writes bytes after their length of one byte; callers bound them.
fn put_short(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
    out.extend(bytes.iter().take(usize::from(u8::MAX)));
}

/// Cuts a text to so many bytes.
fn bounded(text: &str, limit: usize) -> String {
    let mut kept = String::new();
    for c in text.chars().filter(|c| is_plain(*c)) {
        if kept.len() + c.len_utf8() > limit {
            break;
        }
        kept.push(c);
    }
    kept
}

/// Reads a text that is safe to print.
fn printable(bytes: &[u8]) -> Result<String, WireError> {
    let text = std::str::from_utf8(bytes).map_err(|_| WireError::Field("agent"))?;
    match text.chars().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err(WireError::Field("agent")),
    }
}

/// Printable ASCII: what a peer calls itself ends in an operator's terminal.
const fn is_plain(c: char) -> bool {
    matches!(c, ' '..='~')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole<M: Message>(message: M) -> Bytes {
        let (head, body) = message.encode();
        [head.as_slice(), &body].concat().into()
    }

    fn hello() -> Hello {
        Hello {
            chain_id: 7,
            genesis: B256::repeat_byte(9),
            port: 26_700,
            agent: "assay/1".into(),
        }
    }

    #[test]
    fn messages_come_back_as_they_were() {
        assert_eq!(Hello::decode(whole(hello())), Ok(hello()));
        assert_eq!(PeersRequest::decode(whole(PeersRequest)), Ok(PeersRequest));
        let at: Multiaddr = "/ip4/10.0.0.1/tcp/26700".parse().unwrap();
        let peers = Peers(vec![(PeerId::random(), at); 3]);
        assert_eq!(Peers::decode(whole(peers.clone())), Ok(peers));
        let model = B256::repeat_byte(1);
        let chunk = ModelRequest::Chunk {
            model,
            offset: 1 << 40,
            length: CHUNK_BYTES_MAX,
        };
        for request in [
            ModelRequest::Has(model),
            ModelRequest::Outline(model),
            chunk,
        ] {
            assert_eq!(ModelRequest::decode(whole(request)), Ok(request));
        }
        let data = ModelResponse::Data(Bytes::from_static(b"abc"));
        for response in [ModelResponse::Absent, ModelResponse::Busy, data] {
            assert_eq!(ModelResponse::decode(whole(response.clone())), Ok(response));
        }
    }

    #[test]
    fn layout_of_a_hello_is_the_specification_s() {
        let mut expected = vec![7, 0, 0, 0, 0, 0, 0, 0];
        expected.extend([9; 32]);
        expected.extend([0x4c, 0x68, 7]);
        expected.extend(b"assay/1");
        assert_eq!(whole(hello()), expected);
    }

    #[test]
    fn more_than_a_limit_is_refused_with_the_limit() {
        let long = ModelRequest::Chunk {
            model: B256::ZERO,
            offset: 0,
            length: CHUNK_BYTES_MAX + 1,
        };
        let refused = ModelRequest::decode(whole(long)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "length is 1048577, the limit is 1048576"
        );
        let mut many = vec![33];
        many.resize(Peers::BYTES_MAX, 0);
        assert!(matches!(
            Peers::decode(many.into()),
            Err(WireError::Range { field: "count", .. })
        ));
        let mut more = whole(ModelRequest::Has(B256::ZERO)).to_vec();
        more.push(0);
        assert_eq!(ModelRequest::decode(more.into()), Err(WireError::Long(1)));
    }

    #[test]
    fn what_a_peer_calls_itself_is_plain_text_of_bounded_length() {
        let agent = "\u{1b}[2J".to_owned() + &"x".repeat(300);
        let sent = whole(Hello { agent, ..hello() });
        assert_eq!(Hello::decode(sent).unwrap().agent.len(), AGENT_BYTES_MAX);
        let mut evil = whole(hello()).to_vec();
        if let Some(last) = evil.last_mut() {
            *last = 0x1b;
        }
        assert_eq!(Hello::decode(evil.into()), Err(WireError::Field("agent")));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let bytes = Bytes::from(bytes);
            if let Ok(hello) = Hello::decode(bytes.clone()) {
                prop_assert_eq!(whole(hello), bytes.clone());
            }
            if let Ok(request) = ModelRequest::decode(bytes.clone()) {
                prop_assert_eq!(whole(request), bytes.clone());
            }
            if let Ok(response) = ModelResponse::decode(bytes.clone()) {
                prop_assert_eq!(whole(response), bytes.clone());
            }
            if let Ok(peers) = Peers::decode(bytes) {
                prop_assert!(peers.0.len() <= PEERS_TOLD_MAX);
            }
        }
    }
}
