//! Messages on a stream: four bytes of length, then the message. The length is checked against the
//! message's own limit before a byte of it is read, and memory grows with what arrives.

use std::{io, marker::PhantomData};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use libp2p::{StreamProtocol, request_response};

use crate::wire::Message;

/// Reads and writes the messages of one protocol.
pub(crate) struct Codec<Q, A>(PhantomData<fn() -> (Q, A)>);

impl<Q, A> Clone for Codec<Q, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q, A> Copy for Codec<Q, A> {}

impl<Q, A> Default for Codec<Q, A> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

#[async_trait]
impl<Q: Message, A: Message> request_response::Codec for Codec<Q, A> {
    type Protocol = StreamProtocol;
    type Request = Q;
    type Response = A;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Q>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<A>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        request: Q,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, request).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        response: A,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, response).await
    }
}

async fn read<M: Message>(io: &mut (impl AsyncRead + Unpin + Send)) -> io::Result<M> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let length = u32::from_le_bytes(length);
    if length as usize > M::BYTES_MAX {
        let limit = M::BYTES_MAX;
        return Err(invalid(format!("message of {length} bytes, limit {limit}")));
    }
    let mut bytes = Vec::new();
    io.take(u64::from(length)).read_to_end(&mut bytes).await?;
    if bytes.len() < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    M::decode(Bytes::from(bytes)).map_err(invalid)
}

async fn write<M: Message>(
    io: &mut (impl AsyncWrite + Unpin + Send),
    message: M,
) -> io::Result<()> {
    let (head, body) = message.encode();
    let length = head.len().saturating_add(body.len());
    if length > M::BYTES_MAX {
        let limit = M::BYTES_MAX;
        return Err(invalid(format!("message of {length} bytes, limit {limit}")));
    }
    let length = u32::try_from(length).map_err(invalid)?;
    let first = [length.to_le_bytes().as_slice(), &head].concat();
    io.write_all(&first).await?;
    io.write_all(&body).await?;
    io.close().await
}

/// Marks a failure that is the message's fault, not the line's.
fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, io::Cursor};

    use super::*;
    use crate::wire::{ModelRequest, ModelResponse};

    fn refused<M: Message + std::fmt::Debug>(bytes: &[u8]) -> io::Error {
        block_on(read::<M>(&mut Cursor::new(bytes))).unwrap_err()
    }

    #[test]
    fn a_message_survives_the_stream() {
        let response = ModelResponse::Data(vec![5; 1 << 20].into());
        let mut stream = Cursor::new(Vec::new());
        block_on(write(&mut stream, response.clone())).unwrap();
        stream.set_position(0);
        let read: ModelResponse = block_on(read(&mut stream)).unwrap();
        assert_eq!(read, response);
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_the_message_is_read() {
        let error = refused::<ModelRequest>(&u32::MAX.to_le_bytes());
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(error.to_string(), "message of 4294967295 bytes, limit 45");
    }

    #[test]
    fn a_message_that_breaks_off_is_refused() {
        assert_eq!(
            refused::<ModelRequest>(&[33, 0, 0, 0, 1]).kind(),
            io::ErrorKind::UnexpectedEof
        );
        assert_eq!(
            refused::<ModelRequest>(&[1]).kind(),
            io::ErrorKind::UnexpectedEof
        );
    }

    #[test]
    fn a_message_over_the_limit_is_not_sent() {
        let response = ModelResponse::Data(vec![5; (1 << 20) + 1].into());
        let sent = block_on(write(&mut Cursor::new(Vec::new()), response));
        assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
