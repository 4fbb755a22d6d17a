//! Decompresses bodies that an upstream compressed although the request said not to (`Accept-Encoding: identity`).
//!
//! Metering, errors inside a 200 and comments then work as for every other answer, and the client, whose
//! `Accept-Encoding` is not forwarded, gets what it can certainly read. Input is decoded in small pieces, so that the
//! output of each is bounded even if it grows a thousandfold. Codings other than gzip and deflate are passed on unchanged.

use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use http_body::Body;

use super::head::text;
use gateway_upstream::channel::{IncompleteBody, UpstreamBody};

/// Compressed bytes decoded at a time. Deflate expands them at most about a thousandfold.
const PIECE: usize = 1024;

/// The coding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Deflate,
    /// One that is not decoded here, or several.
    Other,
}

impl Coding {
    pub(super) fn from_headers(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        let (first, second) = (values.next(), values.next());
        if first.is_none() {
            return Coding::Identity;
        }
        let named = text(headers, &CONTENT_ENCODING).unwrap_or_default();
        match named.trim().to_ascii_lowercase().as_str() {
            _ if second.is_some() => Coding::Other,
            "" | "identity" => Coding::Identity,
            "gzip" | "x-gzip" => Coding::Gzip,
            "deflate" => Coding::Deflate,
            _ => Coding::Other,
        }
    }
}

enum Decoder {
    Gzip(MultiGzDecoder<Vec<u8>>),
    Deflate(ZlibDecoder<Vec<u8>>),
}

impl Decoder {
    fn new(coding: Coding) -> Option<Self> {
        match coding {
            Coding::Gzip => Some(Self::Gzip(MultiGzDecoder::new(Vec::new()))),
            Coding::Deflate => Some(Self::Deflate(ZlibDecoder::new(Vec::new()))),
            Coding::Identity | Coding::Other => None,
        }
    }

    fn decode(&mut self, piece: &[u8]) -> std::io::Result<Bytes> {
        let decoded = match self {
            Decoder::Gzip(gzip) => {
                gzip.write_all(piece)?;
                gzip.flush()?;
                std::mem::take(gzip.get_mut())
            }
            Decoder::Deflate(deflate) => {
                deflate.write_all(piece)?;
                deflate.flush()?;
                std::mem::take(deflate.get_mut())
            }
        };
        Ok(decoded.into())
    }

    /// Whether the compressed data is complete.
    fn finish(&mut self) -> bool {
        match self {
            Decoder::Gzip(gzip) => gzip.try_finish().is_ok(),
            Decoder::Deflate(deflate) => deflate.try_finish().is_ok(),
        }
    }
}

/// An upstream's body without its compression.
pub(super) struct Decoded {
    body: UpstreamBody,
    decoder: Option<Decoder>,
    /// Bytes that were received and not decoded yet.
    received: Bytes,
}

impl Decoded {
    pub(super) fn new(body: UpstreamBody, coding: Coding) -> Self {
        Self {
            body,
            decoder: Decoder::new(coding),
            received: Bytes::new(),
        }
    }

    /// Whether its bytes differ from the upstream's.
    pub(super) fn decodes(&self) -> bool {
        self.decoder.is_some()
    }

    /// The next bytes, which are never empty: an empty piece would count as data for the idle timeout. Trailers are not
    /// passed on.
    pub(super) fn poll_bytes(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, IncompleteBody>>> {
        loop {
            if self.received.is_empty() {
                match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                    Some(Ok(frame)) => self.received = frame.into_data().unwrap_or_default(),
                    Some(Err(broke)) => return Poll::Ready(Some(Err(broke))),
                    // The message is complete; if the compressed data is not, the client must not take it for a whole
                    // answer.
                    None => {
                        let whole = self.decoder.as_mut().is_none_or(Decoder::finish);
                        return Poll::Ready((!whole).then_some(Err(IncompleteBody)));
                    }
                }
                continue;
            }
            let Some(decoder) = &mut self.decoder else {
                return Poll::Ready(Some(Ok(std::mem::take(&mut self.received))));
            };
            let piece = self.received.get(..PIECE).unwrap_or(&self.received);
            let taken = piece.len();
            let Ok(bytes) = decoder.decode(piece) else {
                return Poll::Ready(Some(Err(IncompleteBody)));
            };
            // A piece can decode to nothing, such as a header or half a block.
            self.received.advance(taken);
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(bytes)));
            }
        }
    }
}
