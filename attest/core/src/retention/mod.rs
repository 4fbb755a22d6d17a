//! Retention policies: what outlives a request, for whom, and who may change that.
//!
//! A [`RetentionPolicy`] is a document. An operator writes it in TOML; what is digested, signed, bound to the
//! hardware and shown in reports is its canonical form (RFC 8785 JSON), so that comments and spacing change nothing
//! and a verifier in any language reads one syntax (`docs/profile.md` §10).
//!
//! A policy names its place in a chain: its number and the digest of the policy before it. A [`ActivePolicy`] is the
//! end of such a chain that was checked: only [`ActivePolicy::first`], [`ActivePolicy::succeeded_by`] and
//! [`ActivePolicy::restore`] make one, and each change takes the signatures of the operator's [`PolicyKeys`].
//!
//! What a digest proves is that this text was fixed when the epoch's keys were born. That the code acts on it is for
//! the reader of the measured code.

mod canonical;
mod chain;
mod compare;
mod rules;
mod terms;
mod mode;
mod policy;
mod read;
mod recipient;
mod signature;

pub use chain::{Authority, ChainError, ChainLink, ChangeRefused, ActivePolicy};
pub use compare::{Difference, compare};
pub use terms::{Deletion, Field, KeptMetadata, OnFailure, Terms};
pub use mode::RetentionMode;
pub use policy::{RetentionPolicy, Rule};
pub use read::{RetentionError, TermsError};
pub use recipient::{Recipient, RecipientError};
pub use signature::{KeysError, PolicyKeys, PolicySignatures, SignatureError, SignatureFileError};
