//! Retention policies: what outlives a request, for whom, and who may change that.
//!
//! A [`RetentionPolicy`] is a document. An operator writes it in TOML, with the names of tenants and recipients. What is
//! digested, signed, bound to the hardware and shown in reports is a [`PublishedPolicy`]: RFC 8785 JSON, so that comments
//! and spacing change nothing and a verifier in any language reads one syntax (`docs/profile.md` §10). In format 2 it has
//! commitments in place of the names; a tenant that knows its own [`NameOpening`] finds the rules for it.
//!
//! A policy states its place in a chain: its number and the digest of the policy before it. An [`ActivePolicy`] is the
//! end of such a chain that was checked: only [`ActivePolicy::first`], [`ActivePolicy::succeeded_by`] and
//! [`ActivePolicy::restore`] make one, and each change takes the signatures of the operator's [`PolicyKeys`].
//!
//! What a digest proves is that this text was fixed when the epoch's keys were created. That the code acts on it, and
//! publishes what it acts on, follows from the measured code.

mod canonical;
mod chain;
mod compare;
mod document;
mod error;
mod mode;
mod policy;
mod published;
mod read;
mod recipient;
mod rules;
mod salt;
mod signature;
mod terms;
mod written;

pub use chain::{ActivePolicy, Authority, ChainError, ChainLink, ChangeRefused};
pub use compare::{Difference, compare};
pub use document::{Format, Rule};
pub use error::{InvalidRetentionPolicy, RetentionError, RetentionProblem, TermsError};
pub use mode::RetentionMode;
pub use policy::RetentionPolicy;
pub use published::{PublishedName, PublishedPolicy, Unopened};
pub use recipient::{Recipient, RecipientError};
pub use salt::{NameKind, NameOpening, PolicySalt, SaltError, TenantOpening};
pub use signature::{KeysError, PolicyKeys, PolicySignatures, SignatureError, SignatureFileError};
pub use terms::{Deletion, Field, KeptMetadata, OnFailure, Terms};
