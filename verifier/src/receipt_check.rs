//! Whether a receipt holds, and is about an exchange that was observed (ACI/1 §9.3): the one
//! function behind `receipt` and the proxy. The checks themselves are the core's; this names their
//! outcomes, in a fixed order.

use attest_core::{
    Keyset, Receipt, ReceiptError, Serving, SessionId, Sha256Digest, Upstream, VerifiedReceipt,
};

use crate::audit::{Finding, Standing};

/// What a receipt is compared with. What is absent was not observed, and is not compared.
#[derive(Clone, Copy)]
pub struct Observed<'a> {
    /// The keys of the attested service.
    pub keyset: &'a Keyset,
    /// Whether the service serves itself or forwards, as its report says.
    pub serving: Option<Serving>,
    /// SHA-256 of the request body as sent.
    pub request: Option<Sha256Digest>,
    /// SHA-256 of the response body as received.
    pub response: Option<Sha256Digest>,
    /// Which request it was.
    pub exchange: Option<ObservedExchange<'a>>,
}

/// What identifies one request beside its bytes.
#[derive(Clone, Copy)]
pub struct ObservedExchange<'a> {
    /// The id under which the response named the receipt.
    pub receipt_id: &'a str,
    pub method: &'a str,
    pub path: &'a str,
}

/// What became of the upstream behind the service, as a verified receipt says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// The service served by itself, or did not forward.
    NoUpstream,
    Verified(SessionId),
    NotVerified,
}

/// Every finding about a receipt.
pub struct CheckedReceipt {
    pub findings: Vec<Finding>,
    /// Absent where the receipt is not one of the service's.
    pub behind: Option<Behind>,
}

/// The id of the finding about the upstream behind the service.
pub const UPSTREAM_VERIFIED: &str = "upstream.verified";

impl CheckedReceipt {
    /// The first finding that keeps the receipt from being accepted.
    pub fn refused_for(&self) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.refuses())
    }

    /// The same, where upstreams need not be verified.
    pub fn refused_for_ignoring_upstream(&self) -> Option<&Finding> {
        let counts = |finding: &&Finding| finding.id != UPSTREAM_VERIFIED;
        self.findings
            .iter()
            .filter(counts)
            .find(|finding| finding.refuses())
    }
}

impl Finding {
    /// Whether nothing with this finding is accepted.
    pub fn refuses(&self) -> bool {
        matches!(self.standing, Standing::Fail(_) | Standing::Missing(_))
    }
}

/// Checks `receipt` against everything that was observed.
pub fn check(receipt: &Receipt, observed: &Observed<'_>) -> CheckedReceipt {
    match receipt.verify(observed.keyset) {
        Ok(verified) => of_verified(receipt, &verified, observed),
        Err(error) => CheckedReceipt {
            findings: unverified(&error),
            behind: None,
        },
    }
}

fn of_verified(
    receipt: &Receipt,
    verified: &VerifiedReceipt,
    observed: &Observed<'_>,
) -> CheckedReceipt {
    let compare =
        |id, flag: &str, digest: Option<Sha256Digest>, compared: fn(&VerifiedReceipt, _) -> _| {
            match digest {
                None => Finding::not_checked(id, format!("not compared ({flag})")),
                Some(digest) => Finding::of::<ReceiptError>(id, compared(verified, digest)),
            }
        };
    let mut findings = vec![
        Finding::pass("receipt.keyset", ""),
        Finding::pass("receipt.signature", format!("key {}", receipt.key_id())),
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
    let (behind, finding) = upstream(verified, observed.serving);
    findings.push(finding);
    CheckedReceipt {
        findings,
        behind: Some(behind),
    }
}

fn unverified(error: &ReceiptError) -> Vec<Finding> {
    match error {
        ReceiptError::KeysetDigestMismatch { .. } => vec![Finding::fail("receipt.keyset", error)],
        ReceiptError::SigningKey(_) | ReceiptError::Signature => {
            vec![
                Finding::pass("receipt.keyset", ""),
                Finding::fail("receipt.signature", error),
            ]
        }
        other => vec![Finding::fail("receipt.events", other)],
    }
}

fn served_at(verified: &VerifiedReceipt, keyset: &Keyset) -> Finding {
    const ID: &str = "receipt.served_at";
    match verified.body().served_at < keyset.not_after {
        true => Finding::pass(ID, "by the service's own clock"),
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

/// A rewrite is for the reader to judge: it is reported, and neither passes nor fails.
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

fn upstream(verified: &VerifiedReceipt, serving: Option<Serving>) -> (Behind, Finding) {
    const ID: &str = UPSTREAM_VERIFIED;
    let was_forwarded = verified.forwarded().is_some();
    match verified.upstream() {
        Upstream::NotMentioned if was_forwarded && serving == Some(Serving::Aggregator) => (
            Behind::NotVerified,
            Finding::fail(
                ID,
                "the service forwards to upstreams, and the receipt mentions none",
            ),
        ),
        Upstream::NotMentioned => (
            Behind::NoUpstream,
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
            (Behind::Verified(session_id), Finding::pass(ID, note))
        }
        Upstream::Failed {
            required: true,
            reason,
            ..
        } if !was_forwarded => {
            let why = format!("refused, and the prompt was not forwarded: {reason}");
            (Behind::NoUpstream, Finding::not_checked(ID, why))
        }
        Upstream::Failed { reason, .. } => {
            let cause = format!("served by an upstream that was not verified: {reason}");
            (Behind::NotVerified, Finding::fail(ID, cause))
        }
    }
}
