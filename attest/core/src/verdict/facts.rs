//! What was read from the evidence, for people, auditors and comparison.

use crate::aci::Serving;
use crate::digest::Sha256Digest;
use crate::event_log::{EventLog, LogFormat, LoggedEvent, Sha384};
use crate::log::{Checkpoint, Origin, TreeHash};
use crate::nvidia::DeviceFacts;
use crate::retention::Unopened;
use crate::snp::SnpFacts;
use crate::tdx::TdxFacts;
use crate::time::UnixTime;

/// Everything decoded. Facts are not results of checks; the checks say which of them hardware vouched for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Of a TDX quote and its collateral.
    pub tdx: Option<TdxFacts>,
    /// Of an SNP report and its certificates.
    pub snp: Option<SnpFacts>,
    /// Of each device, in the order in which the evidence lists them.
    pub devices: Vec<DeviceFacts>,
    /// Of an event log.
    pub event_log: Option<EventLogFacts>,
    /// Of the report around it.
    pub report: Option<ReportFacts>,
}

/// Facts of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportFacts {
    /// Digest of the keyset, computed.
    pub keyset_digest: Sha256Digest,
    /// When the keyset ends.
    pub not_after: UnixTime,
    /// The keyset's subject, as it stands.
    pub subject: Option<String>,
    /// Serves itself, or forwards to attested upstreams.
    pub serving: Serving,
    /// Claimed source repository.
    pub repo_url: Option<String>,
    /// Claimed commit.
    pub repo_commit: Option<String>,
    /// Claimed image digest.
    pub image_digest: Option<String>,
    /// What the retention document says is retained, where it could be read.
    pub retention_mode: Option<&'static str>,
    /// The same for the tenant that the policy names, if it names one.
    pub retention_tenant: Option<TenantRetention>,
    /// How many devices presented evidence.
    pub devices: usize,
    /// Whether an event log is present.
    pub event_log: bool,
    /// The audit log's head, as it stands.
    pub log: Option<LogFacts>,
}

/// What is retained of one tenant's requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantRetention {
    /// The tenant, as the policy has it.
    pub tenant: String,
    /// The most that is retained.
    pub mode: &'static str,
    /// Why the rules for this tenant are not known, where they are not: then `mode` is the most of any tenant.
    pub unopened: Option<Unopened>,
}

/// Facts of the audit log's head that a report shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogFacts {
    /// Which log.
    pub origin: Origin,
    /// How many entries it has.
    pub size: u64,
    /// The root over them.
    pub root: TreeHash,
}

impl LogFacts {
    pub(crate) fn from_checkpoint(head: &Checkpoint) -> Self {
        Self {
            origin: head.origin,
            size: head.size,
            root: head.root,
        }
    }
}

/// Facts of an event log: what it claims, whether it leads to the quote's registers or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLogFacts {
    /// How it is written.
    pub format: LogFormat,
    /// Where it leads.
    pub replay: [Sha384; 4],
    /// Every event.
    pub events: Vec<LoggedEvent>,
}

impl EventLogFacts {
    pub(crate) fn from_log(log: &EventLog) -> Self {
        Self {
            format: log.format(),
            replay: log.replay(),
            events: log.claimed_events().to_vec(),
        }
    }
}
