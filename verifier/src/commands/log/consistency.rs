//! `log consistency`: the earlier head is the beginning of the later one.

use std::path::Path;

use attest_core::json;
use attest_core::log::verify::{self, ProofError};
use attest_core::log::{Checkpoint, TreeHash};

use super::{ConsistencyArgs, in_words};
use crate::audit::{Audit, Finding};
use crate::conclusion::print;
use crate::failure::Failure;
use crate::inputs;
use crate::judge::Judge;
use crate::judged::PolicyOrigin;
use crate::log::Head;
use crate::render;

const MAX_PROOF: usize = 64 * 1024;

pub(super) fn run(args: &ConsistencyArgs) -> Result<u8, Failure> {
    let judge = Judge::from_args(&args.judge)?;
    let old = Head::read(&args.old, &judge, args.old_nonce.as_deref())?;
    let new = Head::read(&args.new, &judge, args.new_nonce.as_deref())?;
    let (before, after) = (old.signed.claimed(), new.signed.claimed());
    let proof = args.proof.as_deref().map(|path| read(path, before, after));
    let findings = vec![
        old.vouched("log.head.old"),
        new.vouched("log.head.new"),
        origin(before, after),
        consistent(before, after, proof.transpose()?.as_deref()),
    ];
    let audit = Audit {
        title: "two heads of an audit log".to_owned(),
        facts: vec![
            ("log", after.origin.to_string()),
            ("earlier", in_words(before)),
            ("later", in_words(after)),
        ],
        findings,
        verdict: None,
        policy: PolicyOrigin::Absent,
    };
    print(&render::audit_output(&audit, args.output.form()));
    Ok(audit.exit_code())
}

fn origin(old: &Checkpoint, new: &Checkpoint) -> Finding {
    const ID: &str = "log.origin";
    if old.origin == new.origin {
        return Finding::pass(ID, "");
    }
    Finding::fail(ID, format!("another log: {} was there before", old.origin))
}

fn consistent(old: &Checkpoint, new: &Checkpoint, proof: Option<&[TreeHash]>) -> Finding {
    const ID: &str = "log.consistency";
    let outcome = verify::consistency(
        (old.size, &old.root),
        (new.size, &new.root),
        proof.unwrap_or_default(),
    );
    match (outcome, proof) {
        // What no proof could mend is said without one.
        (Err(ProofError::Length { .. }), None) => {
            Finding::missing(ID, "heads of different sizes need a proof (--proof)")
        }
        (outcome, _) => Finding::of(ID, outcome),
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
