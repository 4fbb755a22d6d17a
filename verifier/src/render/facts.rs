//! The facts of a verdict that a person looks for first. All of them, in full, are in the JSON form.

use attest_core::tdx::TdxFacts;
use attest_core::{Facts, ReportFacts, to_hex};

use super::paint::shorten;
use super::verdict::short_digest;

type Pairs = Vec<(&'static str, String)>;

pub fn pairs(facts: &Facts) -> Pairs {
    let mut out = Pairs::new();
    if let Some(tdx) = &facts.tdx {
        of_tdx(&mut out, tdx);
    }
    if let Some(report) = &facts.report {
        of_report(&mut out, report);
    }
    out
}

fn of_tdx(out: &mut Pairs, facts: &TdxFacts) {
    out.push((
        "evidence",
        format!("Intel TDX quote, version {}", facts.version),
    ));
    if let Some(tcb) = &facts.tcb {
        let advisories = match tcb.advisories.as_slice() {
            [] => String::new(),
            some => format!(" ({})", some.join(", ")),
        };
        out.push(("tcb status", format!("{}{advisories}", tcb.status.as_str())));
    }
    if let Some(platform) = &facts.platform {
        out.push((
            "platform",
            format!(
                "fmspc {}, ppid {}",
                to_hex(&platform.fmspc),
                shorten(&to_hex(&platform.ppid))
            ),
        ));
    }
    if let Some(collateral) = &facts.collateral {
        out.push((
            "collateral",
            format!("{} to {}", collateral.not_before, collateral.not_after),
        ));
    }
    let body = &facts.body;
    out.push(("mrtd", shorten(&to_hex(&body.mrtd))));
    for (name, rtmr) in ["rtmr0", "rtmr1", "rtmr2", "rtmr3"]
        .into_iter()
        .zip(&body.rtmr)
    {
        out.push((name, shorten(&to_hex(rtmr))));
    }
    out.push(("mrseam", shorten(&to_hex(&body.mrseam))));
}

fn of_report(out: &mut Pairs, facts: &ReportFacts) {
    out.push(("keyset", short_digest(&facts.keyset_digest.to_string())));
    out.push(("keyset until", facts.not_after.to_string()));
    out.push(("serving", facts.serving.name().to_owned()));
    if let Some(mode) = facts.retention_mode {
        out.push(("retention", mode.to_owned()));
    }
    if let Some(log) = &facts.log {
        out.push(("audit log", format!("{}, {} entries", log.origin, log.size)));
    }
    let claims = [
        ("claimed repo", &facts.repo_url),
        ("claimed commit", &facts.repo_commit),
        ("claimed image", &facts.image_digest),
    ];
    for (name, value) in claims {
        if let Some(value) = value {
            out.push((name, value.clone()));
        }
    }
}
