//! `log receipt`: checks that a batch contains the receipt's digest, that the log contains the batch, and that the
//! service signed the log's head.

use attest_core::log::{LogProofError, ReceiptProof};
use attest_core::{ReceiptDocument, Sha256Digest};

use super::{ReceiptArgs, head_text};
use crate::conclusion::print;
use crate::failure::Failure;
use crate::findings::{DocumentResult, Finding};
use crate::inputs;
use crate::log::Head;
use crate::qualified_verdict::PolicyOrigin;
use crate::render;
use crate::trust_inputs::TrustInputs;

pub(super) fn run(args: &ReceiptArgs) -> Result<u8, Failure> {
    let malformed = |path: &std::path::Path, e: &dyn std::fmt::Display| {
        Failure::malformed(path.display().to_string(), e)
    };
    let receipt = ReceiptDocument::parse(&inputs::read(&args.file, inputs::MAX_EVIDENCE)?)
        .map_err(|e| malformed(&args.file, &e))?;
    let proof = ReceiptProof::parse(&inputs::read(&args.proof, inputs::MAX_EVIDENCE)?)
        .map_err(|e| malformed(&args.proof, &e))?;
    let trust = TrustInputs::from_args(&args.trust)?;
    let head = Head::read(&args.head, &trust, args.nonce.as_deref())?;
    // The log names it by either digest: with its signature, or without if that was made later.
    let (digest, inclusion) = inclusion(&receipt, &proof);
    let claimed = proof.head().claimed();
    let findings = vec![
        Finding::from_result("log.inclusion", inclusion),
        head.verified_signer("log.head"),
        signed(&proof, &head),
    ];
    let result = DocumentResult {
        title: format!("receipt {} in the result log", receipt.body().receipt_id),
        facts: vec![
            ("log", claimed.origin.to_string()),
            ("head", head_text(claimed)),
            ("entry", proof.index().to_string()),
            ("entered at", proof.entered_at().to_string()),
            ("digest", digest.to_string()),
        ],
        findings,
        verdict: None,
        policy: PolicyOrigin::Absent,
    };
    print(&render::document_output(&result, args.output.form()));
    Ok(result.exit_code())
}

/// The digest that the proof is about, or the first one with the reason why none is.
fn inclusion(
    receipt: &ReceiptDocument,
    proof: &ReceiptProof,
) -> (Sha256Digest, Result<(), LogProofError>) {
    let (first, second) = receipt.logged_digests();
    let without_signature = second.filter(|digest| proof.verify_inclusion(digest).is_ok());
    let digest = without_signature.unwrap_or(first);
    (digest, proof.verify_inclusion(&digest))
}

/// The head of the proof is signed by the report's key, or is the saved head itself.
fn signed(proof: &ReceiptProof, head: &Head) -> Finding {
    const ID: &str = "log.signer";
    let saved = head.signed.claimed();
    let head_of_proof = proof.head().claimed();
    if saved.origin != head_of_proof.origin {
        return Finding::fail(ID, format!("the proof is about {}", head_of_proof.origin));
    }
    let verified: Result<_, LogProofError> = match head.key() {
        Some(key) => proof.verify_head(key).map(|_| ()),
        None if saved == head_of_proof => Ok(()),
        None => {
            return Finding::missing(
                ID,
                "the proof is for another head than the saved one; give a report of the epoch \
                 that signed it",
            );
        }
    };
    Finding::from_result(ID, verified)
}
