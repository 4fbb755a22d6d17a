//! A request body in the proxy: in memory only, hashed once, wiped on drop.
//! It grows by copying and wiping, since a plain reallocation would leave the old copy in memory.

use bytes::{Buf, Bytes};
use http_body::Body;
use http_body_util::BodyExt;
use thiserror::Error;
use zeroize::Zeroizing;

use attest_core::Sha256Digest;

/// The most memory that is reserved for a stated `Content-Length` before any byte has arrived.
const RESERVE_AT_MOST: usize = 1 << 20;

#[derive(Debug, Error, PartialEq, Eq)]
pub enum BodyError {
    #[error("the request body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the request body ended early")]
    Interrupted,
}

/// No Debug, Display, Clone or Serialize: printing one does not compile.
pub struct RequestBody {
    bytes: Bytes,
    hash: Sha256Digest,
}

struct Owner(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl RequestBody {
    pub async fn read<B: Body + Unpin>(mut body: B, limit: usize) -> Result<Self, BodyError> {
        let announced = body.size_hint().lower();
        if announced > u64::try_from(limit).unwrap_or(u64::MAX) {
            return Err(BodyError::TooLarge { limit });
        }
        let reserve = usize::try_from(announced).unwrap_or(0).min(RESERVE_AT_MOST);
        let mut buffer = Zeroizing::new(Vec::with_capacity(reserve));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| BodyError::Interrupted)?;
            let Ok(mut data) = frame.into_data() else {
                continue;
            };
            while data.has_remaining() {
                let chunk = data.chunk();
                let taken = chunk.len();
                if buffer.len().saturating_add(taken) > limit {
                    return Err(BodyError::TooLarge { limit });
                }
                append(&mut buffer, chunk);
                data.advance(taken);
            }
        }
        let hash = Sha256Digest::hash(&buffer);
        Ok(Self {
            bytes: Bytes::from_owner(Owner(buffer)),
            hash,
        })
    }

    /// The same memory, shared: a retry sends the bytes that were hashed, without another copy.
    pub fn share(&self) -> Bytes {
        self.bytes.clone()
    }

    /// For reading only; nothing of it may be stored.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn hash(&self) -> Sha256Digest {
        self.hash
    }
}

fn append(buffer: &mut Zeroizing<Vec<u8>>, chunk: &[u8]) {
    let needed = buffer.len() + chunk.len();
    if needed > buffer.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(buffer.capacity() * 2)));
        larger.extend_from_slice(buffer);
        *buffer = larger;
    }
    buffer.extend_from_slice(chunk);
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{Full, StreamBody};

    fn chunks(
        parts: Vec<&'static [u8]>,
    ) -> impl Body<Data = Bytes, Error = std::io::Error> + Unpin {
        let frames = parts
            .into_iter()
            .map(|p| Ok(http_body::Frame::data(Bytes::from_static(p))));
        StreamBody::new(futures_util::stream::iter(frames))
    }

    #[tokio::test]
    async fn a_body_in_many_chunks_is_hashed_whole() {
        let body = RequestBody::read(chunks(vec![b"ab", b"", b"cde", b"f"]), 6)
            .await
            .ok()
            .unwrap();
        assert_eq!(&body.share()[..], b"abcdef");
        assert_eq!(body.hash(), Sha256Digest::hash(b"abcdef"));
    }

    #[tokio::test]
    async fn refuses_a_body_over_the_limit_with_and_without_content_length() {
        let announced = RequestBody::read(Full::new(Bytes::from_static(b"abcdefg")), 6).await;
        assert_eq!(announced.err(), Some(BodyError::TooLarge { limit: 6 }));
        let growing = RequestBody::read(chunks(vec![b"abc", b"defg"]), 6).await;
        assert_eq!(growing.err(), Some(BodyError::TooLarge { limit: 6 }));
    }

    #[tokio::test]
    async fn an_interrupted_body_is_an_error() {
        let broken = StreamBody::new(futures_util::stream::iter(vec![
            Ok(http_body::Frame::data(Bytes::from_static(b"abc"))),
            Err(std::io::Error::other("gone")),
        ]));
        assert_eq!(
            RequestBody::read(broken, 64).await.err(),
            Some(BodyError::Interrupted)
        );
    }
}
