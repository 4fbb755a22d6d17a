//! `[[identity.issuers]]`: the identity providers whose tokens (JWTs) authenticate callers or administrators.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use crate::request::{Name, Role};
use attest_core::Sha256Digest;
use jwt::Algorithm;
use tls_client::RootCertStore;

/// `[identity]`
#[derive(Clone, Debug, Default)]
pub struct Identity {
    pub issuers: Vec<Issuer>,
}

impl Identity {
    /// The issuers of one kind of tokens.
    pub fn issuers_for(&self, purpose: Purpose) -> impl Iterator<Item = &Issuer> {
        self.issuers
            .iter()
            .filter(move |issuer| issuer.purpose == purpose)
    }
}

/// One identity provider.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// Its name in logs and metrics.
    pub name: Name,
    /// The `iss` of its tokens, compared byte by byte.
    pub issuer: String,
    pub purpose: Purpose,
    /// A token is for this service if its `aud` is or contains one of these.
    pub audiences: Vec<String>,
    pub keys: KeySource,
    pub algorithms: Vec<Algorithm>,
    /// By how much the issuer's clock may differ from ours.
    pub clock_skew: Duration,
    /// How long the last key set is used while no other can be fetched.
    pub max_stale: Duration,
    /// The only certificate authorities for connections to it, if not those of the machine.
    pub authorities: Option<PinnedAuthorities>,
    /// In order; the first that matches decides.
    pub rules: Vec<Rule>,
}

/// Whom an issuer's tokens authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Callers,
    Administrators,
}

impl Purpose {
    pub(crate) const CHOICES: [(&str, Self); 2] = [
        ("callers", Self::Callers),
        ("administrators", Self::Administrators),
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Callers => "callers",
            Self::Administrators => "administrators",
        }
    }
}

/// Where an issuer publishes its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// This document names the address of the key set.
    Discovery(Url),
    KeySet(Url),
}

/// Certificate authorities from a file.
#[derive(Clone, Debug)]
pub struct PinnedAuthorities {
    pub file: PathBuf,
    /// Of the file's content.
    pub digest: Sha256Digest,
    pub roots: RootCertStore,
}

/// `[[identity.issuers.rules]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub condition: Condition,
    pub grant: Grant,
    /// For callers: what authorization rules can be about.
    pub roles: Arc<[Name]>,
}

/// Which tokens a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// All of the issuer's.
    Always,
    /// The claim at this path is one of the values, or a list that contains one.
    Claim {
        path: Vec<String>,
        values: Vec<String>,
    },
}

/// What a rule grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    Tenant(Name),
    /// The tenant is the one of these names that the claim contains.
    TenantOf(Vec<Name>),
    Role(Role),
}
