//! The chain of retention policies: which policy may follow another, and by which signatures.

use super::{
    InvalidRetentionPolicy, PolicyKeys, PolicySignatures, RetentionMode, RetentionPolicy,
    SignatureError, SignatureFileError,
};
use crate::aci::VerifyingKey;
use crate::digest::Sha256Digest;

/// Whose signatures change the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// No policy keys are configured: the first policy cannot be changed, and it keeps no content.
    NoKeys,
    /// The holders of these keys.
    Keys(PolicyKeys),
}

/// The policy that a service acts on: the verified end of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivePolicy {
    policy: RetentionPolicy,
    signatures: PolicySignatures,
    signers: Vec<VerifyingKey>,
}

/// One policy of a chain as it was stored.
#[derive(Clone, Copy, Debug)]
pub struct ChainLink<'a> {
    /// [`RetentionPolicy::stored_text`].
    pub policy: &'a str,
    /// Signatures, one a line.
    pub signatures: &'a str,
}

/// Why a policy cannot follow the one before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefused {
    /// It is not signed as it has to be.
    #[error("the policy {0}")]
    Signature(#[from] SignatureError),
    /// No keys are configured, so the policy cannot be changed.
    #[error("no policy keys are configured, so the active retention policy cannot be changed")]
    NoPolicyKeys,
    /// Content is kept under a signed policy only.
    #[error("the policy keeps content, which takes policy keys and their signatures")]
    UnsignedContent,
    /// A policy that is older than the active one, or another of the same epoch.
    #[error("the policy is of epoch {proposed}, the active one of epoch {current}; the next is {}", current + 1)]
    NotNewer {
        /// Of the active policy.
        current: u64,
        /// Of the other.
        proposed: u64,
    },
    /// Policies in between are missing.
    #[error("the policy is of epoch {proposed}, but the active one is of epoch {current} and {} comes next", current + 1)]
    Skips {
        /// Of the active policy.
        current: u64,
        /// Of the other.
        proposed: u64,
    },
    /// It was written to follow another policy.
    #[error("the policy names {stated} as its predecessor, but {current} is the active one")]
    Predecessor {
        /// Digest of the active policy.
        current: Sha256Digest,
        /// What the other names.
        stated: Sha256Digest,
    },
    /// A chain begins with 1.
    #[error("the policy is of epoch {0}; where there is none before it, epoch 1 is the first")]
    NotFirst(u64),
}

/// Why a stored chain cannot be restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// There is no policy in it.
    #[error("there is no policy in the history")]
    Empty,
    /// One of its policies does not read.
    #[error("policy {0} of the history {1}")]
    Policy(usize, InvalidRetentionPolicy),
    /// The signatures of one of its policies do not read.
    #[error("signatures of policy {0} of the history: {1}")]
    Signatures(usize, SignatureFileError),
    /// One does not follow from the one before.
    #[error("policy {0} of the history does not follow from the one before: {1}")]
    Broken(usize, ChangeRefused),
    /// The last one is not signed as the configured authority demands.
    #[error("{0}")]
    Head(ChangeRefused),
}

impl ActivePolicy {
    /// Begins a chain.
    pub fn first(
        policy: RetentionPolicy,
        signatures: PolicySignatures,
        authority: &Authority,
    ) -> Result<Self, ChangeRefused> {
        if policy.epoch() != 1 {
            return Err(ChangeRefused::NotFirst(policy.epoch()));
        }
        Self::unverified(policy, signatures).verified_under(authority)
    }

    /// Replaces this policy with `policy`.
    pub fn succeeded_by(
        &self,
        policy: RetentionPolicy,
        signatures: PolicySignatures,
        authority: &Authority,
    ) -> Result<Self, ChangeRefused> {
        let Authority::Keys(keys) = authority else {
            return Err(ChangeRefused::NoPolicyKeys);
        };
        self.precedes(&policy)?;
        let signers = keys.verify(policy.digest(), &signatures)?;
        Ok(Self {
            policy,
            signatures,
            signers,
        })
    }

    /// The same policy with further signatures, as after a change of the keys.
    pub fn signed_again(
        &self,
        signatures: &PolicySignatures,
        authority: &Authority,
    ) -> Result<Self, ChangeRefused> {
        let mut all = signatures.clone();
        all.merge(&self.signatures);
        Self::unverified(self.policy.clone(), all).verified_under(authority)
    }

    /// Restores a stored chain, the first policy first. Every link is checked; signatures are those of the last one,
    /// since earlier keys may have been replaced.
    pub fn restore(links: &[ChainLink<'_>], authority: &Authority) -> Result<Self, ChainError> {
        let head = Self::restore_unverified(links)?;
        if links.len() > 1 && *authority == Authority::NoKeys {
            return Err(ChainError::Head(ChangeRefused::NoPolicyKeys));
        }
        head.verified_under(authority).map_err(ChainError::Head)
    }

    /// As [`restore`](Self::restore), but without verifying the signatures of the last one. The result is for display and
    /// for further signatures.
    pub fn restore_unverified(links: &[ChainLink<'_>]) -> Result<Self, ChainError> {
        let mut head: Option<Self> = None;
        for (index, link) in links.iter().enumerate() {
            let number = index + 1;
            let policy = RetentionPolicy::from_stored(link.policy)
                .map_err(|error| ChainError::Policy(number, error))?;
            let signatures = PolicySignatures::parse(link.signatures)
                .map_err(|error| ChainError::Signatures(number, error))?;
            match &head {
                Some(head) => head.precedes(&policy),
                None if policy.epoch() == 1 => Ok(()),
                None => Err(ChangeRefused::NotFirst(policy.epoch())),
            }
            .map_err(|error| ChainError::Broken(number, error))?;
            head = Some(Self::unverified(policy, signatures));
        }
        head.ok_or(ChainError::Empty)
    }

    /// The policy.
    pub fn policy(&self) -> &RetentionPolicy {
        &self.policy
    }

    /// Its signatures, one a line; empty for an unsigned one.
    pub fn signatures(&self) -> &PolicySignatures {
        &self.signatures
    }

    /// The policy keys whose signatures were verified; none without policy keys, and none where they were not verified.
    pub fn signers(&self) -> &[VerifyingKey] {
        &self.signers
    }

    fn precedes(&self, next: &RetentionPolicy) -> Result<(), ChangeRefused> {
        let (current, proposed) = (self.policy.epoch(), next.epoch());
        if proposed <= current {
            return Err(ChangeRefused::NotNewer { current, proposed });
        }
        if proposed != current + 1 {
            return Err(ChangeRefused::Skips { current, proposed });
        }
        match next.predecessor() {
            Some(stated) if stated != self.policy.digest() => Err(ChangeRefused::Predecessor {
                current: self.policy.digest(),
                stated,
            }),
            _ => Ok(()),
        }
    }

    fn unverified(policy: RetentionPolicy, signatures: PolicySignatures) -> Self {
        Self {
            policy,
            signatures,
            signers: Vec::new(),
        }
    }

    fn verified_under(mut self, authority: &Authority) -> Result<Self, ChangeRefused> {
        match authority {
            Authority::Keys(keys) => {
                self.signers = keys.verify(self.policy.digest(), &self.signatures)?;
                Ok(self)
            }
            Authority::NoKeys if self.policy.most() > RetentionMode::Metadata => {
                Err(ChangeRefused::UnsignedContent)
            }
            Authority::NoKeys => Ok(self),
        }
    }
}
