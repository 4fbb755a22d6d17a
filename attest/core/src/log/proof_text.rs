//! Proofs that stand on their own (C2SP `tlog-proof`).
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <base64>             what one needs to form the leaf
//! index <n>
//! <base64 of a hash>         from the leaf's sibling up, one a line
//!
//! <checkpoint>
//! ```

use super::note::MAX_NOTE_BYTES;
use super::verify::{self, ProofError};
use super::{CheckpointError, MAX_ENTRY_BYTES, SignedHead, TreeHash, tree};
use crate::encoding::{parse_base64, to_base64};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// A tree of 2⁶⁴ leaves has no longer path.
const MAX_HASHES: usize = 64;

/// The longest text that is read as a proof.
pub(crate) const MAX_PROOF_BYTES: usize = 2 * MAX_ENTRY_BYTES + 2 * MAX_NOTE_BYTES;

/// That a leaf is at a place in the log of a head. Nothing in it has been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogProof {
    /// What the leaf is formed from; not authenticated by itself.
    pub extra: Vec<u8>,
    /// The leaf's place.
    pub index: u64,
    /// From the leaf's sibling up.
    pub hashes: Vec<TreeHash>,
    /// The head.
    pub head: SignedHead,
}

/// Why a proof of inclusion does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogProofError {
    /// Not a proof's text.
    #[error("not a log proof: {0}")]
    Text(&'static str),
    /// The head it is against.
    #[error("{0}")]
    Head(#[from] CheckpointError),
    /// The path.
    #[error("{0}")]
    Path(#[from] ProofError),
    /// The leaf is not what it is claimed to be.
    #[error("the proof is about another entry: {0}")]
    OtherEntry(&'static str),
}

impl LogProof {
    /// Reads a proof in its one spelling.
    pub fn parse(text: &[u8]) -> Result<Self, LogProofError> {
        let wrong = LogProofError::Text;
        if text.len() > MAX_PROOF_BYTES {
            return Err(wrong("it is too long"));
        }
        let text = std::str::from_utf8(text).map_err(|_| wrong("it is not UTF-8"))?;
        let (proof, head) = text.split_once("\n\n").ok_or(wrong("it has no head"))?;
        let mut lines = proof.split('\n');
        if lines.next() != Some(FIRST_LINE) {
            return Err(wrong("the first line is another"));
        }
        let extra = lines.next().and_then(|line| line.strip_prefix("extra "));
        let extra = extra
            .and_then(|text| parse_base64(text, MAX_PROOF_BYTES).ok())
            .ok_or(wrong("the extra data"))?;
        let digits = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = digits
            .and_then(|digits| Some((digits, digits.parse::<u64>().ok()?)))
            .filter(|(digits, index)| index.to_string() == *digits)
            .map(|(_, index)| index)
            .ok_or(wrong("the index"))?;
        let hashes: Vec<_> = lines
            .map(hash)
            .collect::<Option<_>>()
            .ok_or(wrong("a hash"))?;
        if hashes.len() > MAX_HASHES {
            return Err(wrong("it has too many hashes"));
        }
        Ok(Self {
            extra,
            index,
            hashes,
            head: SignedHead::parse(head.as_bytes())?,
        })
    }

    /// The text.
    pub fn to_text(&self) -> String {
        let extra = to_base64(&self.extra);
        let mut text = format!("{FIRST_LINE}\nextra {extra}\nindex {}\n", self.index);
        for hash in &self.hashes {
            text.push_str(&to_base64(hash.as_bytes()));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(self.head.note());
        text
    }

    /// That `leaf` is in the log with the head that the proof carries. The head's signature is not verified.
    pub(super) fn included(&self, leaf: &[u8]) -> Result<(), ProofError> {
        let head = self.head.claimed();
        let leaf = tree::leaf(leaf);
        verify::inclusion(&leaf, self.index, head.size, &self.hashes, &head.root)
    }
}

fn hash(line: &str) -> Option<TreeHash> {
    let bytes = parse_base64(line, 32).ok()?;
    Some(TreeHash::from_bytes(bytes.try_into().ok()?))
}
