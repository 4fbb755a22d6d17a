//! Reads the beginning of a successful response before its head is passed on.

use std::borrow::Cow;
use std::future::poll_fn;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::AnswerBody;
use super::members::Members;
use super::messages::{Content, Messages};
use super::source::{AnswerTimeouts, Read, Source, SourceEnd};
use super::stream::EventStream;
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
        let body = Decoded::new(body, coding);
        if body.decodes() {
            headers.remove(CONTENT_ENCODING);
            framing = framing.without_length();
        }
        let declared = match coding {
            Coding::Other => MediaType::Encoded,
            _ => MediaType::from_headers(&head.headers),
        };
        let mut source = Source::new(body, timeouts);
        let beginning = Beginning::read(&mut source, declared, framing).await?;
        if beginning.media != MediaType::from_headers(&head.headers)
            && let Some(recognised) = beginning.media.value()
        {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(recognised));
        }
        Ok(Self {
            status: head.status,
            headers,
            body: AnswerBody {
                source,
                messages: beginning.messages(framing, options.strip_usage),
            },
        })
    }
}

/// What is read of a body before its head is passed on.
struct Beginning {
    media: MediaType,
    pieces: Vec<Bytes>,
    length: usize,
    /// Has read the pieces, unless they are events.
    members: Members,
}

impl Beginning {
    /// Reads until the kind of the body is known, and that it is not an error.
    async fn read(
        source: &mut Source,
        declared: MediaType,
        framing: Framing,
    ) -> Result<Self, NoAnswer> {
        let mut beginning = Self {
            media: declared,
            pieces: Vec::new(),
            length: 0,
            members: Members::default(),
        };
        while !beginning.is_decided() && !framing.is_all(beginning.length) {
            match poll_fn(|cx| source.poll_read(false, cx)).await {
                Read::Bytes(bytes) => beginning.add(bytes),
                Read::End(SourceEnd::TimedOut) if beginning.pieces.is_empty() => {
                    return Err(NoAnswer::TimedOut);
                }
                Read::End(SourceEnd::Failed) if beginning.pieces.is_empty() => {
                    return Err(NoAnswer::Closed);
                }
                // Reported again when the body is passed on.
                Read::End(_) | Read::Silence => break,
            }
        }
        match beginning.media == MediaType::Json && beginning.members.reports_failure() {
            true => Err(NoAnswer::Refused(UpstreamRefusal::inside_success(
                &beginning.text(),
            ))),
            false => Ok(beginning),
        }
    }

    fn add(&mut self, bytes: Bytes) {
        self.length += bytes.len();
        self.members.feed(&bytes);
        self.pieces.push(bytes);
        match MediaType::recognise(&self.text()) {
            MediaType::Unknown => {}
            recognised => self.media = recognised,
        }
    }

    fn is_decided(&self) -> bool {
        match self.media {
            MediaType::Json => {
                self.members.is_complete()
                    || self.members.reports_failure()
                    || self.length >= BEGINNING
            }
            MediaType::Unknown => self.text().trim_ascii_start().len() >= LONGEST_FIELD,
            MediaType::Events | MediaType::Encoded => true,
        }
    }

    fn text(&self) -> Cow<'_, [u8]> {
        match &self.pieces[..] {
            [only] => Cow::Borrowed(only),
            pieces => Cow::Owned(pieces.concat()),
        }
    }

    /// The message, with what was read of it.
    fn messages(self, framing: Framing, strip_usage: bool) -> Messages {
        let content = match self.media {
            MediaType::Json => return Messages::begun(framing, self.members, self.pieces),
            MediaType::Events => Content::Events(EventStream::new(strip_usage)),
            MediaType::Unknown | MediaType::Encoded => Content::Opaque,
        };
        let mut messages = Messages::new(framing, content);
        self.pieces
            .into_iter()
            .for_each(|bytes| messages.feed(bytes));
        messages
    }
}
