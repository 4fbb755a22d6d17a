//! `log consistency`: checks that the later head continues the earlier one.

use std::path::Path;

use attest_core::json;
use attest_core::log::verify::{self, ProofError};
use attest_core::log::{Checkpoint, TreeHash};

use super::{ConsistencyArgs, head_text};
use crate::conclusion::print;
use crate::failure::Failure;
use crate::findings::{DocumentResult, Finding};
use crate::inputs;
use crate::log::Head;
use crate::qualified_verdict::PolicyOrigin;
use crate::render;
use crate::trust_inputs::TrustInputs;

const MAX_PROOF: usize = 64 * 1024;

pub(super) fn run(args: &ConsistencyArgs) -> Result<u8, Failure> {
    let trust = TrustInputs::from_args(&args.trust)?;
    let old = Head::read(&args.old, &trust, args.old_nonce.as_deref())?;
    let new = Head::read(&args.new, &trust, args.new_nonce.as_deref())?;
    let (before, after) = (old.signed.claimed(), new.signed.claimed());
    let proof = args.proof.as_deref().map(|path| read(path, before, after));
    let findings = vec![
        old.verified_signer("log.head.old"),
        new.verified_signer("log.head.new"),
        origin(before, after),
        consistent(before, after, proof.transpose()?.as_deref()),
    ];
    let result = DocumentResult {
        title: "two heads of an result log".to_owned(),
        facts: vec![
            ("log", after.origin.to_string()),
            ("earlier", head_text(before)),
            ("later", head_text(after)),
        ],
        findings,
        verdict: None,
        policy: PolicyOrigin::Absent,
    };
    print(&render::document_output(&result, args.output.form()));
    Ok(result.exit_code())
}

fn origin(old: &Checkpoint, new: &Checkpoint) -> Finding {
    const ID: &str = "log.origin";
    if old.origin == new.origin {
        return Finding::pass(ID, "");
    }
    Finding::fail(
        ID,
        format!("another log: the earlier head is of {}", old.origin),
    )
}

fn consistent(old: &Checkpoint, new: &Checkpoint, proof: Option<&[TreeHash]>) -> Finding {
    const ID: &str = "log.consistency";
    let outcome = verify::consistency(
        (old.size, &old.root),
        (new.size, &new.root),
        proof.unwrap_or_default(),
    );
    match (outcome, proof) {
        // Other errors would remain with any proof, so they are reported without one.
        (Err(ProofError::Length { .. }), None) => {
            Finding::missing(ID, "heads of different sizes need a proof (--proof)")
        }
        (outcome, _) => Finding::from_result(ID, outcome),
    }
}

/// `{"old":…,"new":…,"proof":["<64 hex>",…]}`, about these heads.
fn read(path: &Path, old: &Checkpoint, new: &Checkpoint) -> Result<Vec<TreeHash>, Failure> {
    let wrong = |cause: &str| Failure::malformed(path.display().to_string(), cause);
    let value = json::parse(&inputs::read(path, MAX_PROOF)?, MAX_PROOF)
        .map_err(|e| wrong(&e.to_string()))?;
    let sizes = (value["old"].as_u64(), value["new"].as_u64());
    if sizes != (Some(old.size), Some(new.size)) {
        return Err(wrong("not a proof about the sizes of these heads"));
    }
    let hashes = value["proof"].as_array().map(|hashes| {
        let hash = |hash: &serde_json::Value| TreeHash::parse(hash.as_str()?).ok();
        hashes.iter().map(hash).collect::<Option<Vec<_>>>()
    });
    hashes
        .flatten()
        .ok_or_else(|| wrong("not a list of hashes"))
}
