//! What the log can say: a closed set, and metadata only.
//!
//! An entry is the canonical JSON (RFC 8785) of an object with `at` (Unix seconds, by the service's
//! clock), `type`, and the members of its type; nothing else is accepted, and no other spelling of
//! it. `docs/audit-log.md` lists the types. Tenants and keys appear as commitments: what is committed
//! to can be shown to an auditor, and forgotten, without touching the log.

mod commitment;
mod encode;
mod parse;
mod word;

use std::collections::BTreeMap;

use super::{Origin, TreeHash};
use crate::aci::{DocumentError, VerifyingKey};
use crate::digest::{SessionId, Sha256Digest};
use crate::time::UnixTime;

pub use commitment::{Commitment, Salt};
pub use word::{Word, WordError};

/// An entry's length has two bytes in a bundle.
pub const MAX_ENTRY_BYTES: usize = 65_535;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, by the service's clock.
    pub at: UnixTime,
    /// What.
    pub fact: Fact,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The log began; its first entry and no other.
    Began {
        /// The new log's name.
        origin: Origin,
    },
    /// An epoch began.
    EpochBegan(EpochStart),
    /// An epoch ended: no request is admitted under it any more.
    EpochEnded {
        /// Its number.
        epoch: u64,
        /// Its keyset.
        keyset: Sha256Digest,
        /// How.
        end: EpochEnd,
    },
    /// Another retention policy was accepted.
    RetentionChanged(RetentionChange),
    /// A key or tenant was administered.
    Admin {
        /// What was done.
        action: AdminAction,
        /// To whom.
        subject: Commitment,
    },
    /// An upstream's evidence was accepted.
    UpstreamAccepted {
        /// Its configured name.
        upstream: Word,
        /// What was verified.
        session: SessionId,
    },
    /// An upstream's evidence was appraised and not accepted.
    UpstreamRejected {
        /// Its configured name.
        upstream: Word,
        /// The first check that failed.
        check: Option<Word>,
    },
    /// Requests were refused by policy since the entry before of this type, counted by error code.
    Refused {
        /// How many of each; none is zero.
        counts: BTreeMap<Word, u64>,
    },
    /// Records were deleted.
    Purged(Purged),
    /// Receipts were written: the root of a Merkle tree over their digests.
    Receipts {
        /// The root (see [`receipts_root`](super::receipts_root)).
        root: TreeHash,
    },
    /// Receipts were abandoned before they could be entered.
    ReceiptsLost {
        /// How many.
        count: u64,
    },
    /// Rows were dropped before they could be stored, or notes before they could be entered here.
    RowsLost {
        /// Of which kind, in the words of the service: `usage`, `receipts`, `sessions`, `notes`.
        kind: Word,
        /// How many.
        count: u64,
    },
}

/// The contract of an epoch, and the key that signs heads while it lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// Its number.
    pub epoch: u64,
    /// Digest of its keyset.
    pub keyset: Sha256Digest,
    /// Its receipt signing key.
    pub key: VerifyingKey,
    /// Digest of the configuration.
    pub config: Sha256Digest,
    /// Digest of the retention policy.
    pub retention: Sha256Digest,
    /// The most that this policy keeps of anyone: its mode.
    pub mode: Word,
    /// When the keyset ends.
    pub not_after: UnixTime,
    /// Why it began.
    pub reason: EpochReason,
}

/// An accepted change of the retention policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionChange {
    /// The new policy's number.
    pub number: u64,
    /// Its digest.
    pub digest: Sha256Digest,
    /// Digest of the policy before it; none for the first.
    pub predecessor: Option<Sha256Digest>,
    /// The most that it keeps of anyone.
    pub mode: Word,
    /// The operator's keys whose signatures were verified.
    pub signers: Vec<VerifyingKey>,
}

/// Deleted records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purged {
    /// Of which kind, in the words of the service: `receipts`, `sessions`, `content`, …
    pub kind: Word,
    /// How many.
    pub count: u64,
    /// Why.
    pub reason: PurgeReason,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$item:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$item])* $variant,)* }

        impl $name {
            /// The word in an entry.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            pub(super) fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

words! {
    /// Why an epoch began.
    EpochReason {
        /// The service started.
        Start = "start",
        /// The operator had the configuration reloaded.
        Reload = "reload",
        /// The keys came near their end.
        Expiry = "expiry",
        /// The retention policy changed.
        Retention = "retention",
    }
}

words! {
    /// How an epoch ended. One that is followed by a start without having ended was cut off.
    EpochEnd {
        /// Another took its place.
        Replaced = "replaced",
        /// The service stopped.
        Stopped = "stopped",
    }
}

words! {
    /// What an administrator did. The entry precedes the deed.
    AdminAction {
        /// A key is created.
        KeyCreated = "key.created",
        /// A key is revoked.
        KeyRevoked = "key.revoked",
        /// A key's limits or rights change.
        KeyChanged = "key.changed",
        /// A tenant is created.
        TenantCreated = "tenant.created",
        /// A tenant's limits, rights or recipients change.
        TenantChanged = "tenant.changed",
        /// A tenant is removed.
        TenantRemoved = "tenant.removed",
        /// An organisation is created.
        OrganisationCreated = "organisation.created",
        /// What is registered about an organisation changes, or whether it is disabled.
        OrganisationChanged = "organisation.changed",
        /// An organisation is removed.
        OrganisationRemoved = "organisation.removed",
        /// A user or a service account is created.
        UserCreated = "user.created",
        /// What is registered about a user changes, or whether it is disabled.
        UserChanged = "user.changed",
        /// A user or a service account is removed.
        UserRemoved = "user.removed",
        /// A budget is created.
        BudgetCreated = "budget.created",
        /// A budget's limit, or what happens at it, changes.
        BudgetChanged = "budget.changed",
        /// A budget is removed.
        BudgetRemoved = "budget.removed",
        /// A tenant or an organisation gets credit.
        CreditGranted = "credit.granted",
        /// A rate limit is set, or set to something else.
        LimitSet = "limit.set",
        /// A rate limit is removed.
        LimitRemoved = "limit.removed",
        /// An administrator's credential is created.
        AdministratorCreated = "administrator.created",
        /// An administrator's credential is revoked.
        AdministratorRevoked = "administrator.revoked",
    }
}

words! {
    /// Why records were deleted.
    PurgeReason {
        /// Their time was over.
        Expired = "expired",
        /// An entitled caller requested it.
        Requested = "requested",
    }
}

/// Why bytes are not an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Not the document of any type of entry.
    #[error("entry: {0}")]
    Document(#[from] DocumentError),
    /// An entry, but not in its canonical form.
    #[error("entry: not in canonical form")]
    NotCanonical,
}

impl Entry {
    /// Its canonical form: what a leaf of the log is the hash of.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode::entry(self)
    }

    /// Reads the canonical form of an entry and nothing else.
    ///
    /// ```
    /// use attest_core::log::{Entry, EntryError, Fact};
    /// let bytes = br#"{"at":1767323045,"count":3,"type":"receipts.lost"}"#;
    /// let entry = Entry::parse(bytes).unwrap();
    /// assert_eq!(entry.fact, Fact::ReceiptsLost { count: 3 });
    /// assert_eq!(entry.to_bytes(), bytes);
    /// let spaced = br#"{"at": 1767323045,"count":3,"type":"receipts.lost"}"#;
    /// assert_eq!(Entry::parse(spaced), Err(EntryError::NotCanonical));
    /// ```
    pub fn parse(bytes: &[u8]) -> Result<Self, EntryError> {
        let entry = parse::entry(bytes)?;
        if entry.to_bytes() == bytes {
            Ok(entry)
        } else {
            Err(EntryError::NotCanonical)
        }
    }
}
