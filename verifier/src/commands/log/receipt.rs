//! `log receipt`: the receipt's digest is in its batch, the batch in the log, the head is the service's.

use attest_core::log::{LogProofError, ReceiptProof};
use attest_core::{Receipt, Sha256Digest};

use super::{ReceiptArgs, in_words};
use crate::audit::{Audit, Finding};
use crate::conclusion::print;
use crate::failure::Failure;
use crate::inputs;
use crate::judge::Judge;
use crate::judged::PolicyOrigin;
use crate::log::Head;
use crate::render;

pub(super) fn run(args: &ReceiptArgs) -> Result<u8, Failure> {
    let malformed = |path: &std::path::Path, e: &dyn std::fmt::Display| {
        Failure::malformed(path.display().to_string(), e)
    };
    let receipt = Receipt::parse(&inputs::read(&args.file, inputs::MAX_EVIDENCE)?)
        .map_err(|e| malformed(&args.file, &e))?;
    let proof = ReceiptProof::parse(&inputs::read(&args.proof, inputs::MAX_EVIDENCE)?)
        .map_err(|e| malformed(&args.proof, &e))?;
    let judge = Judge::from_args(&args.judge)?;
    let head = Head::read(&args.head, &judge, args.nonce.as_deref())?;
    let digest: Sha256Digest = receipt.digest();
    let claimed = proof.head().claimed();
    let findings = vec![
        Finding::of("log.inclusion", proof.verify_inclusion(&digest)),
        head.vouched("log.head"),
        signed(&proof, &head),
    ];
    let audit = Audit {
        title: format!("receipt {} in the audit log", receipt.body().receipt_id),
        facts: vec![
            ("log", claimed.origin.to_string()),
            ("head", in_words(claimed)),
            ("entry", proof.index().to_string()),
            ("entered at", proof.entered_at().to_string()),
            ("digest", digest.to_string()),
        ],
        findings,
        verdict: None,
        policy: PolicyOrigin::Absent,
    };
    print(&render::audit_output(&audit, args.output.form()));
    Ok(audit.exit_code())
}

/// The head that the proof is against is signed by the report's key, or is the very head that was kept.
fn signed(proof: &ReceiptProof, head: &Head) -> Finding {
    const ID: &str = "log.signer";
    let kept = head.signed.claimed();
    let of = proof.head().claimed();
    if kept.origin != of.origin {
        return Finding::fail(ID, format!("the proof is about {}", of.origin));
    }
    let result: Result<_, LogProofError> = match head.key() {
        Some(key) => proof.verify_head(key).map(|_| ()),
        None if kept == of => Ok(()),
        None => {
            return Finding::missing(
                ID,
                "the proof is against another head than the one kept; give a report of the epoch \
                 that signed it",
            );
        }
    };
    Finding::of(ID, result)
}
