//! Heads of the log (C2SP `tlog-checkpoint`).
//!
//! ```text
//! sealgate.log/<32 hex>      the origin: which log
//! 1234                       how many entries
//! CsUYapGG…=                 base64 of the root
//!
//! — sealgate.log/<32 hex> …  signature of the epoch's receipt key
//! ```
//!
//! The same Ed25519 key signs receipts, which begin with `{`, and reports, which begin with
//! `sealgate/report/v1` and a zero byte. A head begins with `sealgate.log/` and contains no control
//! character but newlines, so that none of them can stand for another. Extension lines are refused:
//! nothing could be audited about them.

use std::fmt;

use super::note::{self, Note, NoteError};
use super::tree::TreeHash;
use crate::aci::{SigningKey, VerifyingKey};
use crate::encoding::{parse_base64, parse_hex, to_base64, to_hex};

/// Every origin of ours begins with this.
pub(crate) const ORIGIN_PREFIX: &str = "sealgate.log/";

/// Which log this is: 16 random bytes, generated when the log began. A log that was started again has another.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin([u8; 16]);

/// Why a text is not an origin of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an origin is written {ORIGIN_PREFIX} and 32 hex characters")]
pub struct OriginError;

impl Origin {
    /// The origin with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Reads `sealgate.log/<32 hex>`.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let hex = text.strip_prefix(ORIGIN_PREFIX).ok_or(OriginError)?;
        parse_hex(hex).map(Self).map_err(|_| OriginError)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ORIGIN_PREFIX}{}", to_hex(&self.0))
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self})")
    }
}

/// What a head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: Origin,
    /// How many entries it has.
    pub size: u64,
    /// The root over them.
    pub root: TreeHash,
}

/// Why a head cannot be relied on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note around it.
    #[error("{0}")]
    Note(#[from] NoteError),
    /// Not the three lines of a head.
    #[error("not a checkpoint: {0}")]
    Text(&'static str),
}

/// A signed head, parsed. Its signature is not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead {
    note: String,
    claimed: Checkpoint,
}

impl Checkpoint {
    /// The signed text.
    pub fn text(&self) -> String {
        let root = to_base64(self.root.as_bytes());
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    /// Signs it.
    pub fn sign(&self, key: &SigningKey) -> SignedHead {
        SignedHead {
            note: note::sign(&self.text(), &self.origin.to_string(), key),
            claimed: *self,
        }
    }

    fn parse(text: &str) -> Result<Self, CheckpointError> {
        let wrong = CheckpointError::Text;
        let mut lines = text.strip_suffix('\n').unwrap_or(text).split('\n');
        let mut line = || lines.next().ok_or(wrong("it has three lines"));
        let origin = Origin::parse(line()?).map_err(|_| wrong("the origin is not one of ours"))?;
        let digits = line()?;
        let size: u64 = digits.parse().map_err(|_| wrong("the size"))?;
        if size.to_string() != digits {
            return Err(wrong("the size"));
        }
        let root = parse_base64(line()?, 32).map_err(|_| wrong("the root"))?;
        let root = root.as_slice().try_into().map_err(|_| wrong("the root"))?;
        if lines.next().is_some() {
            return Err(wrong("it has lines beyond the third"));
        }
        Ok(Self {
            origin,
            size,
            root: TreeHash::from_bytes(root),
        })
    }
}

impl SignedHead {
    /// Parses a signed head.
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let note = Note::parse(bytes)?;
        Ok(Self {
            claimed: Checkpoint::parse(note.text())?,
            note: String::from_utf8_lossy(bytes).into_owned(),
        })
    }

    /// What it says, if this key signed it.
    pub fn verify(&self, key: &VerifyingKey) -> Result<Checkpoint, CheckpointError> {
        let name = self.claimed.origin.to_string();
        Note::parse(self.note.as_bytes())?.verify(&name, key)?;
        Ok(self.claimed)
    }

    /// What it says. Its signature is not verified.
    pub fn claimed(&self) -> &Checkpoint {
        &self.claimed
    }

    /// The signed note.
    pub fn note(&self) -> &str {
        &self.note
    }
}
