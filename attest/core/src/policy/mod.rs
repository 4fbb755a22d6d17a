//! Attestation policies: what is wanted of evidence that is genuine.
//!
//! A policy is a TOML text, read strictly: an unknown key, an empty list or a value of the wrong
//! shape is an error, since each would otherwise be a check silently not made. Everything the
//! policy does not name falls to the stricter side, with one exception that must be written out:
//! `measurements = "any"` accepts whatever image runs. `policies/attestation/README.md` documents
//! every field.

mod error;
mod event_log;
mod log;
mod nvidia;
mod retention;
mod snp;
mod tdx;
mod values;
mod wire;

use std::time::Duration;

use crate::digest::Sha256Digest;
use crate::retention::RetentionMode;

pub use error::PolicyError;
pub(crate) use event_log::EventLogPolicy;
pub(crate) use log::LogPolicy;
pub(crate) use nvidia::{Count, NvidiaPolicy, OcspPolicy};
pub(crate) use retention::RetentionLimits;
pub(crate) use snp::{SnpImage, SnpPolicy};
pub(crate) use tdx::{Accepted, TdxImage, TdxPolicy};
pub(crate) use wire::TrailingBytes;

/// The most a policy may weigh.
const MAX_POLICY_LEN: usize = 1 << 20;
const MAX_NAME_LEN: usize = 100;

/// What is wanted of evidence.
///
/// ```
/// use attest_core::AttestationPolicy;
/// let policy = AttestationPolicy::parse(
///     "name = \"inspection\"\n[tdx]\nmeasurements = \"any\"\n",
/// ).unwrap();
/// assert_eq!(policy.name(), "inspection");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestationPolicy {
    name: String,
    digest: Sha256Digest,
    pub(crate) tdx: Option<TdxPolicy>,
    pub(crate) snp: Option<SnpPolicy>,
    pub(crate) contract: ContractPolicy,
    pub(crate) max_keyset_lifetime: Option<Duration>,
    pub(crate) provenance: ProvenancePolicy,
    pub(crate) nvidia: Option<NvidiaPolicy>,
    pub(crate) event_log: Option<EventLogPolicy>,
    pub(crate) retention: Option<RetentionLimits>,
    pub(crate) log: Option<LogPolicy>,
}

/// The `[contract]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContractPolicy {
    pub(crate) config: Option<Vec<Sha256Digest>>,
    pub(crate) retention: Option<Vec<Sha256Digest>>,
    pub(crate) max_retention: Option<RetentionMode>,
}

/// The `[provenance]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProvenancePolicy {
    pub(crate) repo_url: Option<Vec<String>>,
    pub(crate) repo_commit: Option<Vec<String>>,
    pub(crate) image_digest: Option<Vec<String>>,
}

impl AttestationPolicy {
    /// Reads a policy.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_POLICY_LEN {
            return Err(PolicyError::TooLarge);
        }
        let wire: wire::Policy = toml::from_str(text).map_err(|error| toml_error(text, &error))?;
        let named = !wire.name.is_empty()
            && wire.name.chars().count() <= MAX_NAME_LEN
            && !wire.name.chars().any(char::is_control);
        if !named {
            return Err(PolicyError::Name);
        }
        if wire.tdx.is_none() && wire.snp.is_none() && wire.nvidia.is_none() {
            return Err(PolicyError::AcceptsNothing);
        }
        let max_lifetime = wire.keyset.max_lifetime;
        Ok(Self {
            name: wire.name,
            digest: Sha256Digest::of(text.as_bytes()),
            tdx: wire.tdx.map(TdxPolicy::from_wire).transpose()?,
            snp: wire.snp.map(SnpPolicy::from_wire).transpose()?,
            contract: ContractPolicy {
                config: values::digests("config", wire.contract.config)?,
                retention: values::digests("retention", wire.contract.retention)?,
                max_retention: wire.contract.max_retention,
            },
            max_keyset_lifetime: max_lifetime
                .map(|value| values::duration("max_lifetime", value))
                .transpose()?,
            provenance: ProvenancePolicy {
                repo_url: values::list("repo_url", wire.provenance.repo_url, Ok)?,
                repo_commit: values::list("repo_commit", wire.provenance.repo_commit, Ok)?,
                image_digest: values::list("image_digest", wire.provenance.image_digest, Ok)?,
            },
            nvidia: wire.nvidia.map(NvidiaPolicy::from_wire).transpose()?,
            event_log: wire.event_log.map(EventLogPolicy::from_wire).transpose()?,
            retention: wire.retention.map(RetentionLimits::from_wire).transpose()?,
            log: wire.log.map(LogPolicy::from_wire).transpose()?.flatten(),
        })
    }

    /// The name the policy gives itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the policy's text, as verdicts state it.
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }
}

fn toml_error(text: &str, error: &toml::de::Error) -> PolicyError {
    let line = error
        .span()
        .and_then(|span| text.get(..span.start))
        .map_or(0, |before| before.matches('\n').count() + 1);
    PolicyError::Toml {
        line,
        message: error.message().to_owned(),
    }
}
