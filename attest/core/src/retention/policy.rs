//! The policy that a service acts on.

use std::collections::BTreeSet;

use super::canonical::WrittenName;
use super::document::Document;
use super::salt::{NameKind, PolicySalt, TenantOpening};
use super::{
    Format, PublishedName, PublishedPolicy, Recipient, RetentionMode, Rule, Terms, canonical, rules,
};
use crate::digest::Sha256Digest;

/// What outlives requests to a service, and this document's place in the chain of those before it: with the names of
/// tenants and recipients. What others may see of it is [`published`](Self::published).
///
/// ```
/// use attest_core::retention::{RetentionMode, RetentionPolicy};
/// let policy = RetentionPolicy::from_toml(
///     "format = \"sealgate/retention/2\"\nepoch = 1\n\
///      salt = \"9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a0\"\n\
///      [default]\nmode = \"metadata\"\nttl = \"30d\"\n\
///      [[rule]]\ntenants = [\"clinic\"]\nmode = \"zero\"\n",
/// ).unwrap();
/// assert_eq!(policy.effective("clinic", None).mode(), RetentionMode::Zero);
/// assert_eq!(policy.most(), RetentionMode::Metadata);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionPolicy {
    document: Document<String, Recipient>,
    /// Only in format 2, and always where that has names.
    salt: Option<PolicySalt>,
    published: PublishedPolicy,
}

impl RetentionPolicy {
    pub(super) fn from_document(
        document: Document<String, Recipient>,
        salt: Option<PolicySalt>,
    ) -> Self {
        let name = |kind: NameKind, name: &str| match &salt {
            Some(salt) => PublishedName::Commitment(salt.opening(kind, name).commitment()),
            None => PublishedName::Plain(name.to_owned()),
        };
        let published = document.map(
            |tenant| name(NameKind::Tenant, tenant),
            |recipient| name(NameKind::Recipient, recipient.as_str()),
        );
        Self {
            published: PublishedPolicy::from_document(published),
            document,
            salt,
        }
    }

    /// The form that reports show, and that is digested and signed.
    pub fn published(&self) -> &PublishedPolicy {
        &self.published
    }

    /// The form that a service keeps: canonical JSON with the names and the salt. In format 1, and where there are no
    /// names, it is the published form.
    pub fn stored_text(&self) -> String {
        canonical::text(&self.document, self.salt.as_ref())
    }

    /// SHA-256 of the published form: the `retention` of a keyset's subject.
    pub fn digest(&self) -> Sha256Digest {
        self.published.digest()
    }

    /// The shape of the document.
    pub fn format(&self) -> Format {
        self.document.format
    }

    /// Whether the published form contains names of tenants or recipients.
    pub fn publishes_names(&self) -> bool {
        self.document.format == Format::One && self.document.rules.have_names()
    }

    /// The secret of its commitments.
    pub fn salt(&self) -> Option<&PolicySalt> {
        self.salt.as_ref()
    }

    /// Its number in the chain of policies, from 1. Not the number of an epoch of the service, which also grows when
    /// keys are renewed.
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
    pub fn default_terms(&self) -> &Terms<Recipient> {
        &self.document.rules.default
    }

    /// The rules, in the order in which they were written, which means nothing.
    pub fn rules(&self) -> &[Rule<String, Recipient>] {
        &self.document.rules.rules
    }

    /// What holds for a tenant's request to a configured model. `model` is none where the request names no model that
    /// is configured.
    pub fn effective(&self, tenant: &str, model: Option<&str>) -> Terms {
        self.document.rules.effective(Some(tenant), model)
    }

    /// What holds for requests of a tenant that no rule names.
    pub(super) fn effective_unnamed(&self, model: Option<&str>) -> Terms {
        self.document.rules.effective::<str>(None, model)
    }

    /// The most that is kept of a tenant's requests, whatever model they name.
    pub fn most_for(&self, tenant: &str) -> RetentionMode {
        rules::most(&self.document.rules.possible(Some(tenant), None))
    }

    /// The most that is kept of any request.
    pub fn most(&self) -> RetentionMode {
        rules::most(&self.document.rules.possible::<str>(None, None))
    }

    /// Every tenant that a rule names.
    pub fn named_tenants(&self) -> BTreeSet<&str> {
        let named = self.document.rules.named_tenants().into_iter();
        named.map(String::as_str).collect()
    }

    /// Every model that a rule names.
    pub(super) fn named_models(&self) -> BTreeSet<&str> {
        self.document.rules.named_models()
    }

    /// What a tenant needs to find the rules for it in the published form; none where that has no commitments to open.
    pub fn tenant_opening(&self, tenant: &str) -> Option<TenantOpening> {
        let salt = self.salt.as_ref()?;
        let names_tenant = |rule: &&Rule<String, Recipient>| {
            let tenants = rule.tenants.as_deref().unwrap_or_default();
            tenants.iter().any(|name| name == tenant)
        };
        let rules = self.rules().iter().filter(names_tenant);
        let recipients: BTreeSet<&str> = rules
            .flat_map(|rule| rule.terms.recipients())
            .map(Recipient::as_str)
            .collect();
        Some(TenantOpening {
            tenant: salt.opening(NameKind::Tenant, tenant),
            named: self.named_tenants().contains(tenant),
            recipients: recipients
                .into_iter()
                .map(|name| salt.opening(NameKind::Recipient, name))
                .collect(),
        })
    }
}

impl WrittenName for String {
    fn written(&self) -> String {
        self.clone()
    }
}

impl WrittenName for Recipient {
    fn written(&self) -> String {
        self.as_str().to_owned()
    }
}

impl WrittenName for PublishedName {
    fn written(&self) -> String {
        match self {
            Self::Plain(name) => name.clone(),
            Self::Commitment(commitment) => commitment.digest().to_string(),
        }
    }
}
