//! The audit log: an append-only Merkle log of what an operator and an epoch did (`docs/audit-log.md`).
//!
//! Bytes in, verdict out. Hashing is RFC 6962 §2.1 with SHA-256, published files are those of C2SP
//! `tlog-tiles`, heads are C2SP `tlog-checkpoint` signed notes, proofs C2SP `tlog-proof`. What is in
//! a leaf is ours: one [`Entry`] of a closed set, as canonical JSON.
//!
//! - [`tree`], [`prove`], [`verify`]: hashes, which of them make a proof, and whether a proof holds;
//! - [`tile`]: the published files;
//! - [`note`], [`Checkpoint`]: signed heads;
//! - [`Entry`]: what can be said;
//! - [`ReceiptProof`]: that a receipt is in the log; [`EpochProof`]: that a report's epoch is;
//! - [`Replay`]: a whole log, from its first entry to a head.
//!
//! A head is signed with the receipt key of the active epoch, which hardware evidence binds; the
//! log itself says of every epoch which key that is. What none of this shows: that an entry is true,
//! that nothing happened that was never entered, or that there is only one log. The last is found by
//! comparing heads: two that are not consistent are proof that history was rewritten.

mod checkpoint;
mod entry;
mod epoch_proof;
pub mod note;
mod proof_text;
pub mod prove;
mod receipt_proof;
mod replay;
pub mod tile;
pub mod tree;
pub mod verify;

pub use checkpoint::{Checkpoint, CheckpointError, Origin, OriginError, SignedHead};
pub use entry::{
    AdminAction, Commitment, Entry, EntryError, EpochEnd, EpochReason, EpochStart, Fact,
    MAX_ENTRY_BYTES, PurgeReason, Purged, RetentionChange, Salt, Word, WordError,
};
pub use epoch_proof::EpochProof;
pub use proof_text::{LogProof, LogProofError};
pub use receipt_proof::{ReceiptProof, receipts_root};
pub use replay::{EpochSpan, Replay, ReplayError};
pub use tree::{Frontier, Node, TreeHash};
