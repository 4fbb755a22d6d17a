//! Saved heads: a checkpoint, or a report that contains one.

use std::path::Path;

use attest_core::log::{EpochProof, SignedHead};
use attest_core::{Channel, Decision, Freshness, Report, Verdict, VerifyingKey};

use crate::failure::Failure;
use crate::findings::Finding;
use crate::inputs;
use crate::qualified_verdict::PolicyOrigin;
use crate::trust_inputs::TrustInputs;

/// A head, and the report that it is from, if any.
pub struct Head {
    pub signed: SignedHead,
    /// Its name in messages.
    pub name: String,
    report: Option<HeadReport>,
}

/// The report that contained a head.
struct HeadReport {
    key: Option<VerifyingKey>,
    verdict: Verdict,
    policy: PolicyOrigin,
}

impl Head {
    /// Reads a checkpoint, or a report, which is appraised for the stated nonce or for the one that
    /// `endpoint --save-report` wrote beside it.
    pub fn read(path: &Path, trust: &TrustInputs, nonce: Option<&str>) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let bytes = inputs::read(path, inputs::MAX_EVIDENCE)?;
        if bytes.first() != Some(&b'{') {
            let signed = SignedHead::parse(&bytes).map_err(|e| Failure::malformed(&name, e))?;
            return Ok(Self {
                signed,
                name,
                report: None,
            });
        }
        let report = Report::parse(&bytes).map_err(|e| Failure::malformed(&name, e))?;
        let freshness = match nonce {
            Some(text) => Freshness::Challenged(inputs::nonce(text)?),
            None => {
                inputs::nonce_beside(path)?.map_or(Freshness::Unchallenged, Freshness::Challenged)
            }
        };
        let document = report.evidence().documents.get("log");
        let document = document
            .ok_or_else(|| Failure::malformed(&name, "the report contains no audit log"))?;
        let proof = EpochProof::parse(document.as_bytes())
            .map_err(|e| Failure::malformed(format!("{name}: documents.log"), e))?;
        let appraisal = trust
            .appraiser()
            .report(&bytes, freshness, Channel::NotObserved);
        let key = report
            .key_id()
            .and_then(|id| report.keyset().receipt_key(id).ok());
        Ok(Self {
            signed: proof.head().clone(),
            name,
            report: Some(HeadReport {
                key,
                verdict: appraisal.into_verdict(),
                policy: trust.policy_origin,
            }),
        })
    }

    /// The report's receipt key, if there is a report.
    pub fn key(&self) -> Option<&VerifyingKey> {
        self.report.as_ref()?.key.as_ref()
    }

    /// Whether an accepted service signed it, as far as is known.
    pub fn verified_signer(&self, id: &'static str) -> Finding {
        let Some(report) = &self.report else {
            let why = format!("{}: a head without a report is trusted as saved", self.name);
            return Finding::not_checked(id, why);
        };
        let signed = match report.key.as_ref().map(|key| self.signed.verify(key)) {
            Some(Ok(_)) => true,
            Some(Err(error)) => return Finding::fail(id, format!("{}: {error}", self.name)),
            None => false,
        };
        if !signed {
            return Finding::fail(id, format!("{}: the report names no key", self.name));
        }
        match (report.policy, report.verdict.decision()) {
            (PolicyOrigin::Absent | PolicyOrigin::NoMeasurement, _) => Finding::not_checked(
                id,
                format!(
                    "{}: signed by the report's key, which was not appraised (--policy)",
                    self.name
                ),
            ),
            (PolicyOrigin::Given, Decision::Accepted) => {
                Finding::pass(id, format!("{}: by an accepted service", self.name))
            }
            (PolicyOrigin::Given, _) => {
                Finding::fail(id, format!("{}: {}", self.name, report.verdict))
            }
        }
    }
}
