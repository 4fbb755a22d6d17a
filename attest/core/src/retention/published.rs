//! The form of a policy that every reader of a report sees.

use std::fmt;

use super::document::Document;
use super::salt::{NameKind, NameOpening};
use super::{Format, RetentionMode, Rule, Terms, canonical, rules};
use crate::digest::Sha256Digest;
use crate::log::{Commitment, Salt};

/// A policy as reports show it: what is digested and signed. In format 2 it contains no name of a tenant or recipient.
///
/// ```
/// use attest_core::retention::{PublishedPolicy, RetentionMode, RetentionPolicy};
/// let policy = RetentionPolicy::from_toml(
///     "format = \"sealgate/retention/2\"\nepoch = 1\n\
///      salt = \"9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a0\"\n\
///      [default]\nmode = \"metadata\"\nttl = \"30d\"\n\
///      [[rule]]\ntenants = [\"clinic\"]\nmode = \"zero\"\n",
/// ).unwrap();
/// let published = PublishedPolicy::parse(policy.published().text()).unwrap();
/// assert!(!published.text().contains("clinic"));
/// // Without an opening a reader cannot tell whether a rule is for this tenant: the most lenient terms count.
/// assert!(published.tenant("clinic", None).is_err());
/// let opening = policy.tenant_opening("clinic").unwrap().tenant;
/// let clinic = published.tenant("clinic", Some(&opening.salt)).unwrap();
/// assert_eq!(published.most_for(&clinic, None), RetentionMode::Zero);
/// assert_eq!(published.most(), RetentionMode::Metadata);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedPolicy {
    document: Document<PublishedName, PublishedName>,
    text: String,
    digest: Sha256Digest,
}

/// A tenant or a recipient in a published policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PublishedName {
    /// The name itself, in format 1.
    Plain(String),
    /// In format 2.
    Commitment(Commitment),
}

/// Why it is not known which rules of a published policy name a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unopened {
    /// The reader has no salt for the tenant's name.
    #[error("it names tenants by commitments, and there is no opening for this tenant")]
    NoOpening,
    /// The salt opens none of the commitments: it may be of another policy, or no rule names the tenant.
    #[error("it names tenants by commitments, and this tenant's opening matches none of them")]
    NoMatch,
}

impl PublishedPolicy {
    pub(super) fn from_document(document: Document<PublishedName, PublishedName>) -> Self {
        let document = match document.format {
            Format::One => document,
            Format::Two => canonical::sorted(document),
        };
        let text = canonical::text(&document, None);
        let digest = Sha256Digest::hash(text.as_bytes());
        Self {
            document,
            text,
            digest,
        }
    }

    /// The canonical form: what reports carry and what is signed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the canonical form: the `retention` of a keyset's subject.
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// The shape of the document.
    pub fn format(&self) -> Format {
        self.document.format
    }

    /// Its number in the chain of policies, from 1.
    pub fn epoch(&self) -> u64 {
        self.document.epoch
    }

    /// The policy before it in the chain; none for the first.
    pub fn predecessor(&self) -> Option<Sha256Digest> {
        self.document.predecessor
    }

    /// The operator's words about it.
    pub fn description(&self) -> Option<&str> {
        self.document.description.as_deref()
    }

    /// What holds where no rule does.
    pub fn default_terms(&self) -> &Terms<PublishedName> {
        &self.document.rules.default
    }

    /// The rules. Their order means nothing.
    pub fn rules(&self) -> &[Rule<PublishedName, PublishedName>] {
        &self.document.rules.rules
    }

    /// How the rules refer to a tenant, as far as it is known. Where no rule names any tenant, nothing has to be opened.
    pub fn tenant(&self, name: &str, salt: Option<&Salt>) -> Result<PublishedName, Unopened> {
        let named = self.document.rules.named_tenants();
        if self.document.format == Format::One || named.is_empty() {
            return Ok(PublishedName::Plain(name.to_owned()));
        }
        let salt = *salt.ok_or(Unopened::NoOpening)?;
        let opening = NameOpening {
            kind: NameKind::Tenant,
            name: name.to_owned(),
            salt,
        };
        let reference = PublishedName::Commitment(opening.commitment());
        if named.contains(&reference) {
            Ok(reference)
        } else {
            Err(Unopened::NoMatch)
        }
    }

    /// The most that is kept of any request.
    pub fn most(&self) -> RetentionMode {
        rules::most(&self.possible(None, None))
    }

    /// The most that is kept of a tenant's requests, to one model or to any.
    pub fn most_for(&self, tenant: &PublishedName, model: Option<&str>) -> RetentionMode {
        rules::most(&self.possible(Some(tenant), model))
    }

    /// All terms that hold for some request: of this tenant or of any, to this model or to any.
    pub fn possible(
        &self,
        tenant: Option<&PublishedName>,
        model: Option<&str>,
    ) -> Vec<Terms<PublishedName>> {
        self.document.rules.possible(tenant, model)
    }
}

impl fmt::Display for PublishedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(name) => f.write_str(name),
            Self::Commitment(commitment) => write!(f, "commitment {}", commitment.digest()),
        }
    }
}
