//! Heads that somebody kept: a checkpoint by itself, or the report that showed it.

use std::path::Path;

use attest_core::log::{EpochProof, SignedHead};
use attest_core::{Channel, Decision, Freshness, Report, Verdict, VerifyingKey};

use crate::audit::Finding;
use crate::failure::Failure;
use crate::inputs;
use crate::judge::Judge;
use crate::judged::PolicyOrigin;

/// A head, and who vouches for it.
pub struct Head {
    pub signed: SignedHead,
    /// What to call it.
    pub name: String,
    report: Option<Shown>,
}

/// The report that a head came in.
struct Shown {
    key: Option<VerifyingKey>,
    verdict: Verdict,
    policy: PolicyOrigin,
}

impl Head {
    /// Reads a checkpoint, or a report, which is judged: for the nonce that is stated, or that
    /// `endpoint --save-report` wrote beside it.
    pub fn read(path: &Path, judge: &Judge, nonce: Option<&str>) -> Result<Self, Failure> {
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
        let document =
            document.ok_or_else(|| Failure::malformed(&name, "the report shows no audit log"))?;
        let proof = EpochProof::parse(document.as_bytes())
            .map_err(|e| Failure::malformed(format!("{name}: documents.log"), e))?;
        let appraisal = judge
            .appraiser()
            .report(&bytes, freshness, Channel::NotObserved);
        let key = report
            .key_id()
            .and_then(|id| report.keyset().receipt_key(id).ok());
        Ok(Self {
            signed: proof.head().clone(),
            name,
            report: Some(Shown {
                key,
                verdict: appraisal.into_verdict(),
                policy: judge.policy_origin,
            }),
        })
    }

    /// The key that the report vouches for, if there is a report.
    pub fn key(&self) -> Option<&VerifyingKey> {
        self.report.as_ref()?.key.as_ref()
    }

    /// Who signed it, as far as that can be said.
    pub fn vouched(&self, id: &'static str) -> Finding {
        let Some(shown) = &self.report else {
            let why = format!("{}: a bare head is taken as you kept it", self.name);
            return Finding::not_checked(id, why);
        };
        let signed = match shown.key.as_ref().map(|key| self.signed.verify(key)) {
            Some(Ok(_)) => true,
            Some(Err(error)) => return Finding::fail(id, format!("{}: {error}", self.name)),
            None => false,
        };
        if !signed {
            return Finding::fail(id, format!("{}: the report names no key", self.name));
        }
        match (shown.policy, shown.verdict.decision()) {
            (PolicyOrigin::Absent | PolicyOrigin::NoMeasurement, _) => Finding::not_checked(
                id,
                format!(
                    "{}: signed by the report's key; whose that is, nobody judged (--policy)",
                    self.name
                ),
            ),
            (PolicyOrigin::Given, Decision::Accepted) => {
                Finding::pass(id, format!("{}: by an accepted service", self.name))
            }
            (PolicyOrigin::Given, _) => {
                Finding::fail(id, format!("{}: {}", self.name, shown.verdict))
            }
        }
    }
}
