//! SNP reports: each recording at the recorded time, one second outside its endorsement key's
//! validity on both sides, and without its certificates.

use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use crate::expect::Differences;
use crate::index::{Index, OtherCase, Vector};
use crate::row::{Row, failures, summary};
use attest_core::snp::{Component, SnpFacts};
use attest_core::{
    Appraiser, AttestationPolicy, CheckId, Collateral, Decision, Outcome, Roots, SnpCollateral,
    UnixTime, Verdict, to_hex,
};

/// Any image, any key, any level: what is left to refuse is what the recording is about.
fn lenient() -> AttestationPolicy {
    AttestationPolicy::parse(
        "name = \"recorded vectors\"\n[snp]\nmeasurements = \"any\"\n\
         keys = [\"VCEK\", \"VLEK\"]\nmax_vmpl = 3\nallow_migration_agent = true\n",
    )
    .expect("this policy is well formed")
}

pub fn run(vectors: &Path) -> anyhow::Result<Vec<Row>> {
    let index = Index::read(vectors)?;
    let mut rows = Vec::new();
    for vector in index
        .vectors
        .iter()
        .filter(|it| it.kind.starts_with("snp-report"))
    {
        for case in vector.other_cases()? {
            rows.push(judge(vectors, vector, &case)?);
        }
    }
    Ok(rows)
}

/// A certificate table would hold the same; what is recorded are the certificates.
fn collateral(vectors: &Path, vector: &Vector) -> anyhow::Result<Option<Collateral>> {
    let (vek, ask) = (vector.file(vectors, "vek")?, vector.file(vectors, "ask")?);
    let both = vek.zip(ask);
    Ok(both.map(|(vek, ask)| {
        SnpCollateral {
            vek,
            ask,
            crl: None,
        }
        .into()
    }))
}

fn appraise(report: &[u8], collateral: Option<&Collateral>, now: UnixTime) -> Verdict {
    Appraiser {
        roots: &Roots::vendor(),
        policy: &lenient(),
        collateral,
        now,
    }
    .snp_report(report, &[])
}

fn judge(vectors: &Path, vector: &Vector, case: &OtherCase) -> anyhow::Result<Row> {
    let report = vector.evidence(vectors)?;
    let collateral = collateral(vectors, vector)?;
    let stated = case.at.as_deref().unwrap_or("2026-01-01T00:00:00Z");
    let at = UnixTime::parse_rfc3339(stated).context("at")?;
    let verdict = appraise(&report, collateral.as_ref(), at);
    let mut differences = Differences::default();
    match (
        case.expected.verdict.as_str(),
        case.expected.reason.as_str(),
    ) {
        ("valid-signature", _) => {
            differences.equal("failed checks", failures(&verdict), vec![]);
            differences.equal("decision", verdict.decision(), Decision::Accepted);
            differences.equal("signature", signed(&verdict), true);
        }
        ("reject", reason) if reason.contains("debug") => {
            differences.equal(
                "failed checks",
                failures(&verdict),
                vec!["snp.policy.debug"],
            );
            differences.equal("signature", signed(&verdict), true);
        }
        ("reject", reason) if reason.contains("fabricated VCEK") => {
            differences.equal("failed checks", failures(&verdict), vec!["snp.chain"]);
            differences.equal("signature", signed(&verdict), false);
        }
        ("parse-only", _) => {
            differences.equal("failed checks", failures(&verdict), vec![]);
            differences.equal("decision", verdict.decision(), Decision::Rejected);
        }
        other => differences.add(format!("unknown recorded verdict: {other:?}")),
    }
    match &verdict.facts().snp {
        Some(facts) => decoded(facts, &vector.facts, &mut differences),
        None => differences.add("no facts".into()),
    }
    without_certificates(&report, at, &mut differences);
    if let Some(window) = &case.window
        && !failures(&verdict).contains(&"snp.chain")
    {
        outside(&report, collateral.as_ref(), window, &mut differences)?;
    }
    if let Some(wrapped) = vector.file(vectors, "hcl-report.bin")? {
        // The claims are followed by whatever the vTPM's buffer held.
        let verdict = appraise(&wrapped, collateral.as_ref(), at);
        differences.equal("wrapped: failed checks", failures(&verdict), vec![]);
        differences.equal("wrapped: decision", verdict.decision(), Decision::Accepted);
    }
    Ok(Row {
        id: vector.id.clone(),
        at: case.at.clone().unwrap_or_else(|| "-".into()),
        collateral: if collateral.is_some() {
            "certificates"
        } else {
            "none"
        }
        .into(),
        recorded: case.expected.verdict.clone(),
        ours: summary(&verdict),
        differences: differences.into_vec(),
    })
}

fn signed(verdict: &Verdict) -> bool {
    verdict
        .check(CheckId::SnpReportSignature)
        .is_some_and(|check| check.outcome == Outcome::Pass)
}

fn without_certificates(report: &[u8], at: UnixTime, differences: &mut Differences) {
    let verdict = appraise(report, None, at);
    differences.equal(
        "decision without certificates",
        (verdict.decision(), failures(&verdict)),
        (Decision::Rejected, vec![]),
    );
}

fn outside(
    report: &[u8],
    collateral: Option<&Collateral>,
    [from, until]: &[String; 2],
    differences: &mut Differences,
) -> anyhow::Result<()> {
    let [from, until] = [
        UnixTime::parse_rfc3339(from)?,
        UnixTime::parse_rfc3339(until)?,
    ];
    for outside in [from.secs() - 1, until.secs() + 1] {
        let at = UnixTime::from_secs(outside);
        let verdict = appraise(report, collateral, at);
        differences.equal(
            &format!("failed checks at {at}"),
            failures(&verdict),
            vec!["snp.chain"],
        );
    }
    Ok(())
}

/// What the recorder read with other tools.
fn decoded(facts: &SnpFacts, recorded: &Value, differences: &mut Differences) {
    let report = &facts.report;
    let text = |name: &str| recorded[name].as_str().map(str::to_owned);
    for (name, ours) in [
        ("report_data", to_hex(&report.report_data)),
        ("measurement", to_hex(&report.measurement)),
        ("host_data", to_hex(&report.host_data)),
        ("id_key_digest", to_hex(&report.id_key_digest)),
        ("author_key_digest", to_hex(&report.author_key_digest)),
        ("report_id", to_hex(&report.report_id)),
        ("chip_id", to_hex(&report.chip_id)),
        ("family_id", to_hex(&report.family_id)),
        ("image_id", to_hex(&report.image_id)),
    ] {
        differences.equal(name, Some(ours), text(name));
    }
    for (name, ours) in [
        ("version", u64::from(report.version)),
        ("guest_svn", u64::from(report.guest_svn)),
        ("vmpl", u64::from(report.vmpl)),
    ] {
        differences.equal(name, Some(ours), recorded[name].as_u64());
    }
    for (name, ours) in [
        ("debug_allowed", report.policy.debug_allowed()),
        ("smt_allowed", report.policy.smt_allowed()),
        ("migrate_ma", report.policy.migration_agent_allowed()),
    ] {
        differences.equal(name, Some(ours), recorded[name].as_bool());
    }
    if let Some(tcb) = &facts.tcb {
        for (component, name) in [
            (Component::BootLoader, "bootloader"),
            (Component::Tee, "tee"),
            (Component::Snp, "snp"),
            (Component::Microcode, "microcode"),
        ] {
            let stated = recorded["reported_tcb_fields"][name].as_u64();
            differences.equal(name, tcb.get(component).map(u64::from), stated);
        }
    }
}
