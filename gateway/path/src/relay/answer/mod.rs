//! An upstream's successful response, read and metered.
//!
//! [`Answer::begin`] reads the beginning of a response before anything of it is passed on: an error inside a 200 becomes an
//! error, and a body without a usable media type is recognised by its first bytes. [`AnswerBody`] is the rest, piece by
//! piece: [`source`] reads the upstream and notices when it stops, [`messages`] finds where the message ends and reads id,
//! usage and whether the content is complete.

mod begin;
mod boundary;
mod event;
mod members;
mod messages;
mod piece;
mod source;
mod stream;
mod usage;

use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::receipt::Interruption;
use source::{Read, Source};

pub(super) use begin::{Answer, AnswerOptions, NoAnswer};
pub(super) use messages::{Completeness, Messages};
pub(super) use piece::{Piece, Place};

/// Sent to clients while an engine is idle: a comment, which readers of event streams skip.
const COMMENT: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// The next of an answer.
pub(super) enum Next {
    Piece(Piece),
    /// Complete, or interrupted.
    End(Result<(), Interruption>),
}

/// The body of an answer.
pub(super) struct AnswerBody {
    source: Source,
    messages: Messages,
}

impl AnswerBody {
    pub(super) fn messages(&self) -> &Messages {
        &self.messages
    }

    /// The upstream is read only when every piece has been taken, so a slow client slows it down.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            // Pieces before the end: what arrived before a break is passed on before it.
            if let Some(piece) = self.messages.next() {
                return Poll::Ready(Next::Piece(piece));
            }
            if let Some(ended) = self.messages.ended() {
                return Poll::Ready(Next::End(ended));
            }
            let comments = self.messages.takes_comment();
            match ready!(self.source.poll_read(comments, cx)) {
                Read::Bytes(bytes) => self.messages.feed(bytes),
                Read::End(how) => self.messages.end(how),
                Read::Silence => {
                    return Poll::Ready(Next::Piece(Piece {
                        bytes: COMMENT,
                        place: Place::Middle,
                    }));
                }
            }
        }
    }
}
