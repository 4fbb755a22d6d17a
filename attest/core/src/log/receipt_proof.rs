//! That a receipt is in the log.
//!
//! Receipts are entered in batches: an entry carries the root of a small tree over their digests. The
//! extra data of a receipt's proof is the canonical JSON of
//!
//! ```text
//! {"entry":"<the batch's entry>","index":<place in the batch>,"path":["<64 hex>",…],"size":<receipts in it>}
//! ```
//!
//! The digest of a receipt is SHA-256 of its canonical JSON, signature included.

use serde_json::json;

use super::proof_text::{LogProof, LogProofError};
use super::verify::{self, ProofError};
use super::{Checkpoint, Entry, Fact, SignedHead, TreeHash, tree};
use crate::aci::{DocumentError, Members, VerifyingKey};
use crate::digest::Sha256Digest;
use crate::json;
use crate::time::UnixTime;

/// The root of a batch: the tree over these digests, each a leaf of 32 bytes.
pub fn receipts_root(digests: &[Sha256Digest]) -> TreeHash {
    let leaves: Vec<_> = digests.iter().map(receipt_leaf).collect();
    tree::root(&leaves)
}

fn receipt_leaf(digest: &Sha256Digest) -> TreeHash {
    tree::leaf(digest.as_bytes())
}

/// A parsed proof about a receipt. Nothing in it has been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptProof {
    proof: LogProof,
    batch: Batch,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Batch {
    entry: Vec<u8>,
    at: UnixTime,
    root: TreeHash,
    index: u64,
    size: u64,
    path: Vec<TreeHash>,
}

impl ReceiptProof {
    /// The proof about receipt `place` of a batch, whose entry is at `index` of the log with this head.
    ///
    /// `hashes` are those of [`prove::inclusion`](super::prove::inclusion). Nothing is checked.
    pub fn new(
        entry: &Entry,
        digests: &[Sha256Digest],
        place: u64,
        index: u64,
        hashes: Vec<TreeHash>,
        head: SignedHead,
    ) -> Option<Self> {
        let Fact::Receipts { root } = &entry.fact else {
            return None;
        };
        let size = digests.len() as u64;
        let ranges = super::prove::inclusion(place, size)?;
        let path = ranges.into_iter().map(|range| {
            let range = usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?;
            digests.get(range).map(receipts_root)
        });
        let batch = Batch {
            entry: entry.to_bytes(),
            at: entry.at,
            root: *root,
            index: place,
            size,
            path: path.collect::<Option<_>>()?,
        };
        let proof = LogProof {
            extra: batch.to_extra(),
            index,
            hashes,
            head,
        };
        Some(Self { proof, batch })
    }

    /// Reads the text.
    pub fn parse(text: &[u8]) -> Result<Self, LogProofError> {
        let proof = LogProof::parse(text)?;
        let batch = Batch::parse(&proof.extra)?;
        Ok(Self { proof, batch })
    }

    /// The text.
    pub fn to_text(&self) -> String {
        self.proof.to_text()
    }

    /// The head it is against. Its signature is not verified.
    pub fn head(&self) -> &SignedHead {
        &self.proof.head
    }

    /// When the batch was entered, by the service's clock.
    pub fn entered_at(&self) -> UnixTime {
        self.batch.at
    }

    /// Place of the batch in the log.
    pub fn index(&self) -> u64 {
        self.proof.index
    }

    /// The head, if this key signed it.
    pub fn verify_head(&self, key: &VerifyingKey) -> Result<Checkpoint, LogProofError> {
        Ok(self.proof.head.verify(key)?)
    }

    /// That the receipt with this digest is in the batch, and the batch in the log with the head that
    /// the proof carries.
    pub fn verify_inclusion(&self, receipt: &Sha256Digest) -> Result<(), LogProofError> {
        let batch = &self.batch;
        let leaf = receipt_leaf(receipt);
        verify::inclusion(&leaf, batch.index, batch.size, &batch.path, &batch.root).map_err(
            |error| match error {
                ProofError::Root => LogProofError::OtherEntry("the receipt is not in its batch"),
                other => LogProofError::Path(other),
            },
        )?;
        self.proof.included(&batch.entry)?;
        Ok(())
    }
}

impl Batch {
    fn to_extra(&self) -> Vec<u8> {
        let path: Vec<_> = self.path.iter().map(TreeHash::to_string).collect();
        json::canonical_bytes(&json!({
            "entry": String::from_utf8_lossy(&self.entry),
            "index": self.index,
            "path": path,
            "size": self.size,
        }))
    }

    fn parse(extra: &[u8]) -> Result<Self, LogProofError> {
        let wrong = LogProofError::Text("the extra data");
        let read = || -> Result<_, DocumentError> {
            let value = json::parse(extra, extra.len())?;
            let members = Members::new(&value, "")?;
            members.only(&["entry", "index", "path", "size"])?;
            let path = members.array("path")?.iter();
            let path: Option<Vec<_>> = path
                .map(|hash| TreeHash::parse(hash.as_str()?).ok())
                .collect();
            let entry = members.string("entry")?.as_bytes().to_vec();
            Ok((
                entry,
                members.unsigned("index")?,
                members.unsigned("size")?,
                path,
            ))
        };
        let (entry, index, size, path) = read().map_err(|_| wrong.clone())?;
        let parsed = Entry::parse(&entry).map_err(|_| wrong.clone())?;
        let Fact::Receipts { root } = parsed.fact else {
            return Err(LogProofError::OtherEntry("not a batch of receipts"));
        };
        Ok(Self {
            entry,
            at: parsed.at,
            root,
            index,
            size,
            path: path.ok_or(wrong)?,
        })
    }
}
