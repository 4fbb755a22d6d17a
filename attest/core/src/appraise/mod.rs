//! From bytes to a verdict, and from an acceptable verdict to a peer one may rely on.
//!
//! [`Appraiser`] holds everything the appraisal depends on besides the evidence: roots, policy,
//! collateral, and the time. The same evidence under the same appraiser gets the same verdict,
//! today and in ten years.

mod binding;
mod contract;
mod cpu;
mod event_log;
mod log;
mod machine;
mod nvidia;
mod pins;
mod report;
mod snp;
mod status;
mod tdx;
mod trusted;

use crate::collateral::Collateral;
use crate::digest::{Nonce, SpkiDigest};
use crate::evidence::{EndorsementCache, UnverifiedEvidence};
use crate::nvidia::UnverifiedDevice;
use crate::policy::AttestationPolicy;
use crate::roots::Roots;
use crate::time::UnixTime;
use crate::verdict::{Checks, Facts, Grounds, Verdict};

pub use machine::MachineEvidence;
use trusted::TrustInputs;
pub use trusted::TrustedPeer;

/// Whether the evidence must answer a nonce of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It must have been made for this nonce.
    Challenged(Nonce),
    /// It was made without a nonce. It shows what runs, not that it runs now.
    Unchallenged,
}

/// The channel the report came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel<'a> {
    /// TLS, whose peer proved to hold this key.
    Tls {
        /// The key.
        spki: SpkiDigest,
        /// The host name the connection was made to.
        host: &'a str,
    },
    /// None: the report is from a file, or from someone else's hands.
    NotObserved,
}

impl Channel<'_> {
    const fn spki(&self) -> Option<SpkiDigest> {
        match self {
            Self::Tls { spki, .. } => Some(*spki),
            Self::NotObserved => None,
        }
    }
}

/// Everything an appraisal depends on besides the evidence.
///
/// ```
/// use attest_core::{Appraiser, AttestationPolicy, Decision, Roots, UnixTime};
/// let policy =
///     AttestationPolicy::parse("name = \"any\"\n[tdx]\nmeasurements = \"any\"\n").unwrap();
/// let appraiser = Appraiser {
///     roots: &Roots::vendor(),
///     policy: &policy,
///     collateral: None,
///     now: UnixTime::parse_rfc3339("2026-03-05T10:50:03Z").unwrap(),
/// };
/// let verdict = appraiser.quote(b"not a quote");
/// assert_eq!(verdict.decision(), Decision::Malformed);
/// assert_eq!(verdict.exit_code(), 30);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Appraiser<'a> {
    /// What evidence must lead to.
    pub roots: &'a Roots,
    /// What is wanted.
    pub policy: &'a AttestationPolicy,
    /// Used where the report carries none.
    pub collateral: Option<&'a Collateral>,
    /// The time of the appraisal.
    pub now: UnixTime,
}

impl Appraiser<'_> {
    /// Appraises a report (ACI/1 with our profile's evidence).
    pub fn report(&self, report: &[u8], freshness: Freshness, channel: Channel<'_>) -> Appraisal {
        self.report_with_cache(report, freshness, channel, &mut EndorsementCache::default())
    }

    /// The same, with what earlier appraisals found authentic, which this one adds to.
    pub fn report_with_cache(
        &self,
        report: &[u8],
        freshness: Freshness,
        channel: Channel<'_>,
        cache: &mut EndorsementCache,
    ) -> Appraisal {
        report::appraise(self, report, freshness, channel, cache)
    }

    /// Appraises what one machine presents without a report around it.
    pub fn machine(&self, evidence: &MachineEvidence<'_>) -> Verdict {
        machine::appraise(self, evidence, &mut EndorsementCache::default())
    }

    /// Appraises a bare quote. What its report data stands for is not asked, nor what else the policy
    /// wants of the machine.
    pub fn quote(&self, quote: &[u8]) -> Verdict {
        self.quote_with_cache(quote, &mut EndorsementCache::default())
    }

    /// The same, with what earlier appraisals found authentic, which this one adds to.
    pub fn quote_with_cache(&self, quote: &[u8], cache: &mut EndorsementCache) -> Verdict {
        self.cpu(UnverifiedEvidence::Tdx { quote }, cache)
    }

    /// Appraises a bare SNP report, or one in Azure's wrapping, with the certificate table that came
    /// with it, which may be empty. What its report data stands for is not asked, nor what else the
    /// policy wants of the machine.
    pub fn snp_report(&self, report: &[u8], certs: &[u8]) -> Verdict {
        self.snp_report_with_cache(report, certs, &mut EndorsementCache::default())
    }

    /// The same, with what earlier appraisals found authentic, which this one adds to.
    pub fn snp_report_with_cache(
        &self,
        report: &[u8],
        certs: &[u8],
        cache: &mut EndorsementCache,
    ) -> Verdict {
        self.cpu(UnverifiedEvidence::SevSnp { report, certs }, cache)
    }

    /// Appraises the devices of one machine by themselves. Without a nonce to hold them against they
    /// must at least agree on one.
    pub fn devices(&self, devices: &[UnverifiedDevice], nonce: Option<&[u8; 32]>) -> Verdict {
        self.devices_with_cache(devices, nonce, &mut EndorsementCache::default())
    }

    /// The same, with what earlier appraisals found authentic, which this one adds to.
    pub fn devices_with_cache(
        &self,
        devices: &[UnverifiedDevice],
        nonce: Option<&[u8; 32]>,
        cache: &mut EndorsementCache,
    ) -> Verdict {
        let evidence = MachineEvidence {
            devices,
            device_nonce: nonce.copied(),
            ..MachineEvidence::default()
        };
        machine::appraise(self, &evidence, cache)
    }

    fn cpu(&self, evidence: UnverifiedEvidence<'_>, cache: &mut EndorsementCache) -> Verdict {
        let mut checks = Checks::default();
        let outcome = cpu::appraise(self, evidence, self.collateral, cache, &mut checks);
        let facts = Facts {
            tdx: outcome.tdx,
            snp: outcome.snp,
            ..Facts::default()
        };
        Verdict::new(checks, facts, self.grounds())
    }

    fn grounds(&self) -> Grounds {
        Grounds {
            at: self.now,
            roots: self.roots.origin(),
            policy_name: self.policy.name().to_owned(),
            policy_digest: self.policy.digest(),
        }
    }
}

/// The appraisal on a report, and what may be made of it.
#[derive(Debug)]
pub struct Appraisal {
    verdict: Verdict,
    inputs: Option<Box<TrustInputs>>,
}

impl Appraisal {
    fn refused(verdict: Verdict) -> Self {
        Self {
            verdict,
            inputs: None,
        }
    }

    fn new(verdict: Verdict, inputs: TrustInputs) -> Self {
        Self {
            verdict,
            inputs: Some(Box::new(inputs)),
        }
    }

    /// The verdict.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The verdict alone.
    pub fn into_verdict(self) -> Verdict {
        self.verdict
    }

    /// A peer to rely on: only if the report was accepted, answers our nonce, and came over a
    /// channel whose key it lists. The verdict comes back otherwise; an accepted one among them
    /// means that nonce or channel were not part of the question.
    pub fn trusted(self) -> Result<TrustedPeer, Box<Verdict>> {
        match self.inputs {
            Some(inputs) => TrustedPeer::from_accepted(self.verdict, *inputs),
            None => Err(Box::new(self.verdict)),
        }
    }
}
