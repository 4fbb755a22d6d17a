//! Attestation policies: what is wanted of evidence that is genuine.
//!
//! A policy is a TOML text, read strictly: an unknown key, an empty list or a value of the wrong
//! shape is an error, since each would otherwise be a check silently not made. All of a text's errors
//! are reported, each with its line. Everything the policy does not name falls to the stricter side, with
//! one exception that must be written out: `measurements = "any"` accepts whatever image runs.
//! `policies/attestation/README.md` documents every field.

mod contract;
mod error;
mod event_log;
mod floors;
mod log;
mod nvidia;
mod problem;
mod retention;
mod section;
mod snp;
mod stated;
mod tdx;
mod values;

use serde_json::{Map, Value};

use crate::digest::Sha256Digest;
use crate::section::FieldError;
use problem::{Problems, into_result};
use section::Section;
use strict_toml::Table;

pub(crate) use contract::{ContractPolicy, KeysetLifetime, ProvenancePolicy};
pub use error::PolicyError;
pub(crate) use event_log::EventLogPolicy;
pub(crate) use log::LogPolicy;
pub(crate) use nvidia::{Count, NvidiaPolicy, OcspPolicy, SignerDates};
pub use problem::{InvalidPolicy, PolicyProblem};
pub(crate) use retention::RetentionLimits;
pub(crate) use snp::{SnpImage, SnpPolicy};
pub(crate) use tdx::{Accepted, Grace, TdxImage, TdxPolicy, Xfam};
pub(crate) use values::TrailingBytes;

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
///
/// let wrong = AttestationPolicy::parse("name = \"wrong\"\n[tdx]\nmrtd = [\"00\"]\nrtmr = 1\n");
/// let lines: Vec<_> = wrong.unwrap_err().problems().iter().map(|it| it.line).collect();
/// assert_eq!(lines, [3, 4]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestationPolicy {
    name: String,
    digest: Sha256Digest,
    pub(crate) tdx: Option<TdxPolicy>,
    pub(crate) snp: Option<SnpPolicy>,
    pub(crate) contract: ContractPolicy,
    pub(crate) max_keyset_lifetime: KeysetLifetime,
    pub(crate) provenance: ProvenancePolicy,
    pub(crate) nvidia: Option<NvidiaPolicy>,
    pub(crate) event_log: Option<EventLogPolicy>,
    pub(crate) retention: Option<RetentionLimits>,
    pub(crate) log: Option<LogPolicy>,
}

impl AttestationPolicy {
    /// The same without the limits on what is kept of one tenant's requests. For fetching what opens that tenant's
    /// name; not for sending prompts.
    pub fn without_tenant_limits(mut self) -> Self {
        if let Some(limits) = self
            .retention
            .as_mut()
            .filter(|limits| limits.tenant.is_some())
        {
            limits.tenant = None;
            limits.model = None;
            limits.max = None;
            limits.max_ttl = None;
        }
        self
    }

    /// Reads a policy, or returns everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidPolicy> {
        Self::parse_stated(text).map(|(policy, _)| policy)
    }

    /// The same, with the sections and keys that the text states, for rendering them.
    pub fn parse_stated(text: &str) -> Result<(Self, Map<String, Value>), InvalidPolicy> {
        if text.len() > MAX_POLICY_LEN {
            return Err(InvalidPolicy::one(1, PolicyError::TooLarge));
        }
        let problems = Problems::new(text);
        let policy = match Table::parse(text) {
            Ok(table) => {
                let stated = stated::stated(&table);
                Some((
                    Self::from_table(Section::new(table, &problems), text),
                    stated,
                ))
            }
            // What could be made of the rest is a guess.
            Err(errors) => {
                for error in errors {
                    let at = error.span.unwrap_or_default();
                    problems.add(&at, PolicyError::Syntax(error.message));
                }
                None
            }
        };
        into_result(problems)?;
        policy.ok_or_else(|| InvalidPolicy::one(1, PolicyError::TooLarge))
    }

    fn from_table(mut whole: Section<'_, '_>, text: &str) -> Self {
        let policy = Self {
            name: name(&mut whole),
            digest: Sha256Digest::hash(text.as_bytes()),
            tdx: whole.table("tdx").map(TdxPolicy::from_section),
            snp: whole.table("snp").map(SnpPolicy::from_section),
            nvidia: whole.table("nvidia").map(NvidiaPolicy::from_section),
            event_log: whole.table("event_log").map(EventLogPolicy::from_section),
            retention: whole.table("retention").map(RetentionLimits::from_section),
            log: whole.table("log").and_then(LogPolicy::from_section),
            contract: whole
                .table("contract")
                .map(ContractPolicy::from_section)
                .unwrap_or_default(),
            max_keyset_lifetime: whole
                .table("keyset")
                .map(KeysetLifetime::from_section)
                .unwrap_or_default(),
            provenance: whole
                .table("provenance")
                .map(ProvenancePolicy::from_section)
                .unwrap_or_default(),
        };
        if !["tdx", "snp", "nvidia"].iter().any(|tee| whole.has(tee)) {
            whole.problem(PolicyError::AcceptsNothing);
        }
        whole.finish();
        policy
    }

    /// The name the policy gives itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether evidence of some kind of TEE is accepted whatever image it is of (`measurements = "any"`).
    pub fn accepts_any_measurement(&self) -> bool {
        let tdx = self.tdx.as_ref().is_some_and(TdxPolicy::accepts_any_image);
        let snp = self.snp.as_ref().is_some_and(SnpPolicy::accepts_any_image);
        tdx || snp
    }

    /// SHA-256 of the policy's text, as verdicts state it.
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }
}

/// What verdicts call the policy; a description is for the reader of the file.
fn name(whole: &mut Section<'_, '_>) -> String {
    whole.text("description");
    let is_one = |name: &str| {
        (1..=MAX_NAME_LEN).contains(&name.chars().count()) && !name.chars().any(char::is_control)
    };
    let had_one = whole.has("name");
    let name = whole.read("name", |_, name| match is_one(&name) {
        true => Ok(name),
        false => Err(PolicyError::Name),
    });
    if !had_one {
        whole.problem(FieldError::Missing("name".to_owned()).into());
    }
    name.unwrap_or_default()
}
