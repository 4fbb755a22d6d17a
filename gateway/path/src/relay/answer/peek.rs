//! Reads the beginning of a successful response before its head is passed on.

use std::future::poll_fn;
use std::pin::Pin;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Body;
use tokio::time::timeout;

use super::members::Members;
use super::stream::EventStream;
use super::{AnswerBody, AnswerTimeouts, Content};
use crate::relay::UpstreamRefusal;
use crate::relay::decode::{Coding, Decoded};
use crate::relay::head::{self, Framing, MediaType};
use gateway_upstream::channel::UpstreamBody;

/// An error inside a 200 is recognised within this many bytes.
const BEGINNING: usize = 16 * 1024;

/// A body without a usable media type is recognised by this many bytes.
const LONGEST_FIELD: usize = "event:".len();

/// A successful response: the client's head and body.
pub(in crate::relay) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: AnswerBody,
}

/// Why a successful status has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) enum NoAnswer {
    /// The body is an error.
    Refused(UpstreamRefusal),
    /// No byte of the body arrived in time.
    TimedOut,
    /// The connection closed before the first byte of the body.
    Closed,
}

/// How the request differs from the client's.
#[derive(Clone, Copy)]
pub(in crate::relay) struct AnswerOptions {
    /// Only we requested usage: it is removed from the answer.
    pub strip_usage: bool,
}

impl Answer {
    /// Makes an answer from a successful response, or returns why there is none.
    pub(in crate::relay) async fn begin(
        response: Response<UpstreamBody>,
        options: AnswerOptions,
        timeouts: AnswerTimeouts,
    ) -> Result<Self, NoAnswer> {
        let (head, body) = response.into_parts();
        let mut framing = match head.status {
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT => Framing::Length(0),
            _ => Framing::from_headers(&head.headers),
        };
        let mut headers = head::passed_on(&head.headers);
        let coding = Coding::from_headers(&head.headers);
        let mut body = Decoded::new(body, coding);
        if body.decodes() {
            headers.remove(CONTENT_ENCODING);
            framing = framing.without_length();
        }
        let mut media = match coding {
            Coding::Other => MediaType::Encoded,
            _ => MediaType::from_headers(&head.headers),
        };
        let mut read = Vec::new();
        if matches!(media, MediaType::Json | MediaType::Unknown) && framing != Framing::Length(0) {
            let beginning = Beginning::read(&mut body, media, framing, timeouts).await?;
            media = beginning.media;
            read = beginning.pieces;
        }
        let content = match media {
            MediaType::Events => Content::Events(EventStream::new(options.strip_usage)),
            MediaType::Json => Content::Json(Members::default()),
            MediaType::Unknown | MediaType::Encoded => Content::Opaque,
        };
        if media != MediaType::from_headers(&head.headers)
            && let Some(recognised) = media.value()
        {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(recognised));
        }
        Ok(Self {
            status: head.status,
            headers,
            body: AnswerBody::new(body, framing, content, timeouts, read),
        })
    }
}

struct Beginning {
    pieces: Vec<Bytes>,
    media: MediaType,
}

impl Beginning {
    /// Reads until the kind of the body is known, and that it is not an error.
    async fn read(
        body: &mut Decoded,
        declared: MediaType,
        framing: Framing,
        timeouts: AnswerTimeouts,
    ) -> Result<Self, NoAnswer> {
        let (mut pieces, mut text) = (Vec::new(), Vec::new());
        let mut members = Members::default();
        let mut media = declared;
        loop {
            let limit = match pieces.is_empty() {
                true => timeouts.first_byte,
                false => timeouts.idle,
            };
            let next = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
            let bytes = match timeout(limit, next).await {
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) if !bytes.is_empty() => bytes,
                    _ => continue,
                },
                Err(_elapsed) if pieces.is_empty() => return Err(NoAnswer::TimedOut),
                Ok(Some(Err(_))) if pieces.is_empty() => return Err(NoAnswer::Closed),
                // The body reports it again when it is passed on.
                Err(_elapsed) => break,
                Ok(None | Some(Err(_))) => break,
            };
            text.extend_from_slice(&bytes);
            members.feed(&bytes);
            pieces.push(bytes);
            if matches!(media, MediaType::Unknown | MediaType::Json) {
                match MediaType::recognise(&text) {
                    MediaType::Unknown => {}
                    recognised => media = recognised,
                }
            }
            let decided = match media {
                MediaType::Json => {
                    members.is_complete() || members.reports_failure() || text.len() >= BEGINNING
                }
                MediaType::Unknown => text.trim_ascii_start().len() >= LONGEST_FIELD,
                MediaType::Events | MediaType::Encoded => true,
            };
            if decided || framing.is_all(text.len()) {
                break;
            }
        }
        if media == MediaType::Json && members.reports_failure() {
            return Err(NoAnswer::Refused(UpstreamRefusal::inside_success(&text)));
        }
        Ok(Self { pieces, media })
    }
}
