//! The peer one may send a prompt to. The type lives here alone with the step that earns it.

use std::collections::BTreeMap;

use super::Freshness;
use crate::aci::{Keyset, Report, Serving};
use crate::digest::{Nonce, Sha256Digest, SpkiDigest};
use crate::evidence::VerifiedEvidence;
use crate::profile::Subject;
use crate::time::UnixTime;
use crate::verdict::{Decision, Facts, Verdict};

/// A service whose evidence was verified, is inside the policy, was made for our nonce, and whose
/// TLS key is one of the keys the evidence binds.
///
/// It holds until [`TrustedPeer::expires_at`] and for connections to that key alone. It cannot be
/// copied, read from bytes or put together by hand:
///
/// ```compile_fail
/// fn forge(verdict: attest_core::Verdict) -> attest_core::TrustedPeer {
///     attest_core::TrustedPeer { verdict }
/// }
/// ```
///
/// ```compile_fail
/// fn copy(peer: &attest_core::TrustedPeer) -> attest_core::TrustedPeer {
///     Clone::clone(peer)
/// }
/// ```
///
/// ```compile_fail
/// fn read(json: &str) -> attest_core::TrustedPeer {
///     serde_json::from_str(json).unwrap()
/// }
/// ```
#[derive(Debug)]
pub struct TrustedPeer {
    report: Report,
    report_bytes: Vec<u8>,
    subject: Option<Subject>,
    evidence: VerifiedEvidence,
    nonce: Nonce,
    spki: SpkiDigest,
    verdict: Verdict,
}

/// What a report brought, before anyone decided to rely on it.
#[derive(Debug)]
pub(super) struct TrustInputs {
    pub(super) report: Report,
    pub(super) report_bytes: Vec<u8>,
    pub(super) subject: Option<Subject>,
    pub(super) verified: Option<VerifiedEvidence>,
    pub(super) freshness: Freshness,
    pub(super) spki: Option<SpkiDigest>,
}

impl TrustedPeer {
    /// The one way to a trusted peer. All four must hold: accepted, genuine, challenged, observed.
    pub(super) fn from_accepted(
        verdict: Verdict,
        inputs: TrustInputs,
    ) -> Result<Self, Box<Verdict>> {
        match (
            verdict.decision(),
            inputs.verified,
            inputs.freshness,
            inputs.spki,
        ) {
            (Decision::Accepted, Some(evidence), Freshness::Challenged(nonce), Some(spki)) => {
                Ok(Self {
                    report: inputs.report,
                    report_bytes: inputs.report_bytes,
                    subject: inputs.subject,
                    evidence,
                    nonce,
                    spki,
                    verdict,
                })
            }
            _ => Err(Box::new(verdict)),
        }
    }

    /// The attested keyset.
    pub fn keyset(&self) -> &Keyset {
        self.report.keyset()
    }

    /// Its digest.
    pub fn keyset_digest(&self) -> Sha256Digest {
        self.report.keyset_digest()
    }

    /// The TLS key that was observed on the channel and is listed in the keyset.
    pub fn spki(&self) -> SpkiDigest {
        self.spki
    }

    /// The nonce of ours that the evidence was made for. Who keeps the report keeps this beside it:
    /// without it, no later check of what the evidence binds is possible.
    pub fn nonce(&self) -> &Nonce {
        &self.nonce
    }

    /// The contract the keyset binds, if it binds one of our profile.
    pub fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    /// The exact texts of the contract; those named in the subject hash to its digests.
    pub fn documents(&self) -> &BTreeMap<String, String> {
        &self.report.evidence().documents
    }

    /// Whether the peer serves itself or forwards.
    pub fn serving(&self) -> Serving {
        self.report.serving()
    }

    /// When this trust ends: with the keyset, the collateral or the platform's certificate,
    /// whichever is first. At that second it has ended.
    pub fn expires_at(&self) -> UnixTime {
        self.keyset().not_after.min(self.evidence.valid_until())
    }

    /// The verdict that led here.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The report as it was received.
    pub fn report_bytes(&self) -> &[u8] {
        &self.report_bytes
    }

    /// What hardware vouched for.
    pub fn evidence(&self) -> &VerifiedEvidence {
        &self.evidence
    }

    /// Everything read from report and evidence.
    pub fn facts(&self) -> &Facts {
        self.verdict.facts()
    }
}
