//! Checks a receipt, and compares it with an observed exchange (ACI/1 §9.3). `receipt` and the proxy both use this
//! function. The core makes the checks; this module names their results, in a fixed order.

use attest_core::{
    Keyset, LoggedReceipt, LoggedReceiptError, ReceiptDocument, ReceiptError, Serving, SessionId,
    Sha256Digest, Upstream, VerifiedReceipt,
};

use crate::findings::Finding;

/// What a receipt is compared with. `None`: not observed, and not compared.
#[derive(Clone, Copy)]
pub struct Observed<'a> {
    /// The keys of the attested service.
    pub keyset: &'a Keyset,
    /// Whether the service runs the model itself or forwards, from its report.
    pub serving: Option<Serving>,
    /// Whether its attested configuration says that receipts are signed when they are fetched. A receipt that its audit
    /// log proves is accepted of such a service only.
    pub signs_on_fetch: bool,
    /// SHA-256 of the request body as sent.
    pub request: Option<Sha256Digest>,
    /// SHA-256 of the response body as received.
    pub response: Option<Sha256Digest>,
    /// The request that the receipt is for.
    pub exchange: Option<ObservedExchange<'a>>,
}

/// Identifies a request beside its bytes.
#[derive(Clone, Copy)]
pub struct ObservedExchange<'a> {
    /// The id under which the response named the receipt.
    pub receipt_id: &'a str,
    pub method: &'a str,
    pub path: &'a str,
}

/// Which upstream served the request, from a verified receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamOutcome {
    /// None: the service ran the model itself, or did not forward.
    NoUpstream,
    Verified(SessionId),
    NotVerified,
}

/// Every finding about a receipt.
pub struct CheckedReceipt {
    pub findings: Vec<Finding>,
    /// `None` if the receipt is not the service's.
    pub upstream: Option<UpstreamOutcome>,
}

const KEYSET: &str = "receipt.keyset";
const SIGNATURE: &str = "receipt.signature";
/// In place of the signature.
const LOG: &str = "receipt.log";

/// The id of the finding about the upstream behind the service.
pub const UPSTREAM_VERIFIED: &str = "upstream.verified";

impl CheckedReceipt {
    /// The first finding that prevents acceptance.
    pub fn obstacle(&self) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.is_obstacle())
    }

    /// The same, if upstreams need not be verified.
    pub fn obstacle_ignoring_upstream(&self) -> Option<&Finding> {
        let counts = |finding: &&Finding| finding.id != UPSTREAM_VERIFIED;
        self.findings
            .iter()
            .filter(counts)
            .find(|finding| finding.is_obstacle())
    }
}

/// Checks `receipt` against everything that was observed.
pub fn check(receipt: &ReceiptDocument, observed: &Observed<'_>) -> CheckedReceipt {
    let (verified, evidence) = match receipt {
        ReceiptDocument::Signed(signed) => (
            signed.verify(observed.keyset).map_err(|e| unverified(&e)),
            Finding::pass(SIGNATURE, format!("key {}", signed.key_id())),
        ),
        ReceiptDocument::Logged(logged) => (
            logged.verify(observed.keyset).map_err(|e| not_proven(&e)),
            in_log(logged, observed),
        ),
    };
    match verified {
        Ok(verified) if !evidence.is_obstacle() => {
            findings_of_verified(evidence, &verified, observed)
        }
        Ok(_) => CheckedReceipt {
            findings: vec![Finding::pass(KEYSET, ""), evidence],
            upstream: None,
        },
        Err(findings) => CheckedReceipt {
            findings,
            upstream: None,
        },
    }
}

/// The finding about a receipt that the core verified by its log proof.
fn in_log(logged: &LoggedReceipt, observed: &Observed<'_>) -> Finding {
    if observed.signs_on_fetch {
        let head = logged.proof().head().claimed();
        let note = format!(
            "no signature; entry {} of {}, under a head that key {} signed",
            logged.proof().index(),
            head.origin,
            logged.key_id()
        );
        Finding::pass(LOG, note)
    } else {
        Finding::missing(
            LOG,
            "no signature, and no report whose configuration says that receipts are signed when fetched",
        )
    }
}

fn findings_of_verified(
    evidence: Finding,
    verified: &VerifiedReceipt,
    observed: &Observed<'_>,
) -> CheckedReceipt {
    let compare = |id,
                   flag: &str,
                   digest: Option<Sha256Digest>,
                   compared: fn(&VerifiedReceipt, _) -> _| {
        match digest {
            None => Finding::not_checked(id, format!("not compared ({flag})")),
            Some(digest) => Finding::from_result::<ReceiptError>(id, compared(verified, digest)),
        }
    };
    let mut findings = vec![
        Finding::pass(KEYSET, ""),
        evidence,
        served_at(verified, observed.keyset),
    ];
    findings.extend(observed.exchange.map(|it| exchange(verified, &it)));
    findings.extend([
        compare(
            "receipt.request",
            "--request",
            observed.request,
            VerifiedReceipt::matches_request,
        ),
        compare(
            "receipt.response",
            "--response",
            observed.response,
            VerifiedReceipt::matches_response,
        ),
        forwarded(verified),
    ]);
    let (outcome, finding) = upstream(verified, observed.serving);
    findings.push(finding);
    CheckedReceipt {
        findings,
        upstream: Some(outcome),
    }
}

fn not_proven(error: &LoggedReceiptError) -> Vec<Finding> {
    match error {
        LoggedReceiptError::Receipt(error) => unverified(error),
        LoggedReceiptError::Log(error) => {
            vec![Finding::pass(KEYSET, ""), Finding::fail(LOG, error)]
        }
    }
}

fn unverified(error: &ReceiptError) -> Vec<Finding> {
    match error {
        ReceiptError::KeysetDigestMismatch { .. } => vec![Finding::fail(KEYSET, error)],
        ReceiptError::SigningKey(_) | ReceiptError::Signature => {
            vec![Finding::pass(KEYSET, ""), Finding::fail(SIGNATURE, error)]
        }
        other => vec![Finding::fail("receipt.events", other)],
    }
}

fn served_at(verified: &VerifiedReceipt, keyset: &Keyset) -> Finding {
    const ID: &str = "receipt.served_at";
    match verified.body().served_at < keyset.not_after {
        true => Finding::pass(ID, "by the service's clock"),
        false => Finding::fail(ID, format!("the keyset ended at {}", keyset.not_after)),
    }
}

fn exchange(verified: &VerifiedReceipt, observed: &ObservedExchange<'_>) -> Finding {
    const ID: &str = "receipt.exchange";
    let body = verified.body();
    if body.receipt_id != observed.receipt_id {
        return Finding::fail(ID, "it has another id");
    }
    if body.endpoint != observed.path || body.method != observed.method {
        return Finding::fail(ID, "it is about another endpoint");
    }
    Finding::pass(ID, "")
}

/// A rewrite is reported and neither passes nor fails: the reader decides about it.
fn forwarded(verified: &VerifiedReceipt) -> Finding {
    const ID: &str = "receipt.forwarded";
    match verified.forwarded() {
        None => Finding::not_checked(ID, "nothing was forwarded"),
        Some(digest) if digest == verified.received() => Finding::pass(ID, "as received"),
        Some(digest) => {
            Finding::not_checked(ID, format!("the service rewrote the request to {digest}"))
        }
    }
}

fn upstream(verified: &VerifiedReceipt, serving: Option<Serving>) -> (UpstreamOutcome, Finding) {
    const ID: &str = UPSTREAM_VERIFIED;
    let was_forwarded = verified.forwarded().is_some();
    match verified.upstream() {
        Upstream::NotMentioned if was_forwarded && serving == Some(Serving::Aggregator) => (
            UpstreamOutcome::NotVerified,
            Finding::fail(
                ID,
                "the service forwards to upstreams, and the receipt mentions none",
            ),
        ),
        Upstream::NotMentioned => (
            UpstreamOutcome::NoUpstream,
            Finding::not_checked(ID, "no upstream is mentioned: a direct service has none"),
        ),
        Upstream::Verified {
            model_id,
            session_id,
            required,
        } => {
            let demanded = match required {
                true => "",
                false => ", though not demanded",
            };
            let note = format!("{model_id} in session {session_id}{demanded}");
            (
                UpstreamOutcome::Verified(session_id),
                Finding::pass(ID, note),
            )
        }
        Upstream::Failed {
            required: true,
            reason,
            ..
        } if !was_forwarded => {
            let why = format!("refused, and the prompt was not forwarded: {reason}");
            (UpstreamOutcome::NoUpstream, Finding::not_checked(ID, why))
        }
        Upstream::Failed { reason, .. } => {
            let cause = format!("served by an upstream that was not verified: {reason}");
            (UpstreamOutcome::NotVerified, Finding::fail(ID, cause))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;
    use crate::findings::FindingOutcome;
    use attest_core::{parse_base64, signs_receipts_on_fetch};

    const KIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/conformance/cases");

    fn part(case: &Value, role: &str) -> Vec<u8> {
        let evidence = case["evidence"].as_array().expect("a list");
        let found = evidence.iter().find(|it| it["role"] == role);
        let text = found.expect(role)["base64"].as_str().expect("text");
        parse_base64(text, 1 << 20).expect("base64")
    }

    /// The ids of failing checks, and of missing ones.
    fn found(case: &Value) -> [Vec<&'static str>; 2] {
        let keyset = Keyset::parse(&part(case, "keyset")).expect("a keyset");
        let config = String::from_utf8(part(case, "config")).expect("text");
        let documents = BTreeMap::from([("config".to_owned(), config)]);
        let receipt = ReceiptDocument::parse(&part(case, "receipt")).expect("a receipt");
        let observed = Observed {
            keyset: &keyset,
            serving: None,
            signs_on_fetch: signs_receipts_on_fetch(&keyset, &documents),
            request: None,
            response: None,
            exchange: None,
        };
        let checked = check(&receipt, &observed);
        let ids = |is: fn(&FindingOutcome) -> bool| {
            let findings = checked.findings.iter();
            findings
                .filter(|it| is(&it.outcome))
                .map(|it| it.id)
                .collect()
        };
        [
            ids(|outcome| matches!(outcome, FindingOutcome::Fail(_))),
            ids(|outcome| matches!(outcome, FindingOutcome::Missing(_))),
        ]
    }

    #[test]
    fn finds_what_the_conformance_kit_states_of_every_receipt() {
        let mut judged = 0;
        for file in std::fs::read_dir(KIT).expect("the kit") {
            let path = file.expect("a file").path();
            let name = path.file_name().and_then(|name| name.to_str());
            if !name.is_some_and(|name| name.starts_with("receipt-")) {
                continue;
            }
            let text = std::fs::read(&path).expect("readable");
            let case: Value = serde_json::from_slice(&text).expect("JSON");
            let stated = ["failing", "missing"].map(|list| {
                let ids = case["expected"][list].as_array().into_iter().flatten();
                ids.filter_map(Value::as_str).collect::<Vec<_>>()
            });
            assert_eq!(found(&case), stated, "{}", path.display());
            judged += 1;
        }
        assert!(judged >= 20, "{judged} receipts");
    }
}
