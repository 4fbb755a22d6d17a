//! The prompt as it is sent: pieces of the one owned request body, shared by reference and never copied.
//!
//! When the last piece is dropped, the owning [`Prompt`] is, and its bytes are wiped. There is no `Debug`, `Clone` or
//! `Display` here on purpose: an [`OutgoingPrompt`] can be sent again to the next candidate, but not printed.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::prompt::Prompt;
use attest_core::{BodyHasher, Sha256Digest};

/// One replacement within the received body.
pub struct Edit {
    pub range: Range<usize>,
    pub replacement: Bytes,
}

/// The body that is forwarded.
pub struct OutgoingPrompt {
    pieces: Arc<[Bytes]>,
    length: u64,
}

/// Edits that overlap or lie outside the body. Admission made the spans, so this is a bug of ours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a rewrite does not fit the request body")]
pub struct EditOutOfPlace;

/// The received body. Outgoing prompts share its bytes.
pub struct ReceivedPrompt(Bytes);

impl ReceivedPrompt {
    pub fn new(prompt: Prompt) -> Self {
        Self(Bytes::from_owner(prompt))
    }

    /// The same bytes again, without a copy, for a sealed record.
    pub fn sealable(&self) -> SealablePrompt {
        SealablePrompt(self.0.clone())
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The body with `edits` (in order, not overlapping) applied. What is not replaced is not copied.
    pub fn with_edits(&self, edits: Vec<Edit>) -> Result<OutgoingPrompt, EditOutOfPlace> {
        if edits.is_empty() {
            return Ok(OutgoingPrompt {
                pieces: Arc::new([self.0.clone()]),
                length: self.0.len() as u64,
            });
        }
        let mut pieces = Vec::with_capacity(2 * edits.len() + 1);
        let mut at = 0;
        for edit in edits {
            let Range { start, end } = edit.range;
            if start < at || end < start || end > self.0.len() {
                return Err(EditOutOfPlace);
            }
            pieces.extend([self.0.slice(at..start), edit.replacement]);
            at = end;
        }
        pieces.push(self.0.slice(at..));
        pieces.retain(|piece| !piece.is_empty());
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        Ok(OutgoingPrompt {
            pieces: pieces.into(),
            length,
        })
    }
}

/// A received prompt for its sealed record: its bytes can be read by the seal, and it cannot be printed or cloned.
///
/// ```compile_fail
/// fn copy(prompt: &gateway_upstream::channel::SealablePrompt) -> gateway_upstream::channel::SealablePrompt { prompt.clone() }
/// ```
/// ```compile_fail
/// fn print(prompt: gateway_upstream::channel::SealablePrompt) { println!("{prompt:?}"); }
/// ```
/// ```
/// fn seal(prompt: gateway_upstream::channel::SealablePrompt) -> usize { prompt.as_ref().len() }
/// ```
pub struct SealablePrompt(Bytes);

impl AsRef<[u8]> for SealablePrompt {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl OutgoingPrompt {
    /// The digest of exactly the bytes that are sent.
    pub fn digest(&self) -> Sha256Digest {
        let mut hasher = BodyHasher::new();
        self.pieces.iter().for_each(|piece| hasher.update(piece));
        hasher.finish()
    }

    /// How many bytes are sent.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The bytes for one attempt, shared. Only `channel` may send them.
    pub(super) fn pieces(&self) -> Arc<[Bytes]> {
        Arc::clone(&self.pieces)
    }
}
