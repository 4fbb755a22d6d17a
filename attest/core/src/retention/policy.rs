//! The document.

use super::{Terms, canonical};
use crate::digest::Sha256Digest;

/// What outlives requests to a service, and this document's place in the chain of those before it.
///
/// ```
/// use attest_core::retention::{RetentionMode, RetentionPolicy};
/// let policy = RetentionPolicy::from_toml(
///     "format = \"sealgate/retention/1\"\nepoch = 1\n\
///      [default]\nmode = \"metadata\"\nttl = \"30d\"\n\
///      [[rule]]\ntenants = [\"clinic\"]\nmode = \"zero\"\n",
/// ).unwrap();
/// assert_eq!(policy.effective("clinic", None).mode(), RetentionMode::Zero);
/// assert_eq!(policy.most(), RetentionMode::Metadata);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionPolicy {
    pub(super) body: Body,
    text: String,
    digest: Sha256Digest,
}

/// What a document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) epoch: u64,
    pub(super) predecessor: Option<Sha256Digest>,
    pub(super) description: Option<String>,
    pub(super) default: Terms,
    pub(super) rules: Vec<Rule>,
}

/// Terms for some requests. Without tenants it is for all of them, without models for all models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whose requests.
    pub tenants: Option<Vec<String>>,
    /// To which configured models.
    pub models: Option<Vec<String>>,
    /// What holds for them.
    pub terms: Terms,
}

impl Rule {
    pub(super) fn is_for_tenant(&self, tenant: &str) -> bool {
        named(self.tenants.as_deref(), Some(tenant))
    }

    /// A request whose model is not configured has none, and no rule that names models is for it.
    pub(super) fn is_for_model(&self, model: Option<&str>) -> bool {
        named(self.models.as_deref(), model)
    }
}

fn named(names: Option<&[String]>, name: Option<&str>) -> bool {
    names.is_none_or(|names| name.is_some_and(|name| names.iter().any(|one| one == name)))
}

impl RetentionPolicy {
    pub(super) fn of(body: Body) -> Self {
        let text = canonical::text(&body);
        let digest = Sha256Digest::of(text.as_bytes());
        Self { body, text, digest }
    }

    /// The canonical form: what reports carry and what is signed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the canonical form: the `retention` of a keyset's subject.
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// Its number in the chain of policies, from 1. Not the number of an epoch of the service, which also grows when
    /// keys are renewed.
    pub fn epoch(&self) -> u64 {
        self.body.epoch
    }

    /// The policy it takes the place of; none for the first.
    pub fn predecessor(&self) -> Option<Sha256Digest> {
        self.body.predecessor
    }

    /// The operator's words about it.
    pub fn description(&self) -> Option<&str> {
        self.body.description.as_deref()
    }

    /// What holds where no rule does.
    pub fn default_terms(&self) -> &Terms {
        &self.body.default
    }

    /// The rules, in the order in which they were written, which means nothing.
    pub fn rules(&self) -> &[Rule] {
        &self.body.rules
    }
}
