//! Intel quotes: each recording, each of its collateral bundles, at the recorded time and on both
//! sides of the bundle's window.

use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use crate::expect::Differences;
use crate::index::{Expected, Index, TdxCase, Vector};
use crate::row::{Row, failures};
use attest_core::tdx::{TcbStatus, TdxFacts};
use attest_core::{
    Appraiser, AttestationPolicy, CheckId, Collateral, Decision, Outcome, Roots, TdxCollateral,
    UnixTime, Verdict, to_hex,
};

/// What we would accept of any image on a platform in any state, so that what is left to refuse is
/// what the recording is about.
pub fn lenient_policy(statuses: &[TcbStatus], allow: bool) -> AttestationPolicy {
    let statuses: Vec<_> = statuses
        .iter()
        .map(|status| format!("\"{status}\""))
        .collect();
    let text = format!(
        "name = \"recorded vectors\"\n[tdx]\nmeasurements = \"any\"\ntcb_statuses = [{}]\n\
         allow_debug = {allow}\nallow_service_td = {allow}\n",
        statuses.join(", ")
    );
    AttestationPolicy::parse(&text).expect("this policy is well formed")
}

/// Judges every recording by every bundle it has.
pub fn run(vectors: &Path) -> anyhow::Result<Vec<Row>> {
    let index = Index::read(vectors)?;
    let mut rows = Vec::new();
    for vector in &index.vectors {
        if vector.kind.starts_with("tdx-quote") || vector.kind.starts_with("sgx-quote") {
            let quote = vector.evidence(vectors)?;
            for case in vector.tdx_cases()? {
                rows.push(judge(vectors, vector, &quote, &case)?);
            }
        }
    }
    Ok(rows)
}

fn judge(vectors: &Path, vector: &Vector, quote: &[u8], case: &TdxCase) -> anyhow::Result<Row> {
    let collateral = collateral(vectors, case)?;
    let at = UnixTime::parse_rfc3339(&case.at).context("at")?;
    let [from, until] = window(case)?;
    let mut differences = Differences::default();

    let verdict = appraise(quote, &collateral, at, &any_status(), false);
    if vector.kind.starts_with("sgx") {
        differences.equal("decision", verdict.decision(), Decision::Unsupported);
        differences.equal("failed checks", failures(&verdict), vec!["tdx.tee_type"]);
    } else {
        recorded_verdict(&verdict, &case.expected, &mut differences);
        facts(
            &verdict,
            &vector.facts,
            case,
            [from, until],
            &mut differences,
        )?;
        if_allowed(quote, &collateral, at, &case.expected, &mut differences);
        strict(quote, &collateral, at, &case.expected, &mut differences);
        for outside in [from.secs() - 1, until.secs() + 1] {
            let at = UnixTime::from_secs(outside);
            let verdict = appraise(quote, &collateral, at, &any_status(), true);
            differences.equal(
                &format!("failed checks at {at}"),
                failures(&verdict),
                vec!["tdx.collateral.dates"],
            );
        }
    }
    Ok(Row {
        id: vector.id.clone(),
        at: case.at.clone(),
        collateral: case
            .collateral
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned(),
        recorded: recorded(&case.expected),
        ours: ours(&verdict),
        differences: differences.into_vec(),
    })
}

/// The recorded bundle of a case.
pub fn collateral(vectors: &Path, case: &TdxCase) -> anyhow::Result<Collateral> {
    let text = std::fs::read(vectors.join(&case.collateral)).context("reading collateral")?;
    Ok(TdxCollateral::parse(&text).context("collateral")?.into())
}

fn window(case: &TdxCase) -> anyhow::Result<[UnixTime; 2]> {
    let [from, until] = &case.collateral_window;
    Ok([
        UnixTime::parse_rfc3339(from)?,
        UnixTime::parse_rfc3339(until)?,
    ])
}

fn any_status() -> Vec<TcbStatus> {
    TcbStatus::ALL
        .into_iter()
        .filter(|status| *status != TcbStatus::Revoked)
        .collect()
}

/// One verdict, rooted in Intel's own root.
pub fn appraise(
    quote: &[u8],
    collateral: &Collateral,
    now: UnixTime,
    statuses: &[TcbStatus],
    allow_debug_and_service_td: bool,
) -> Verdict {
    Appraiser {
        roots: &Roots::vendor(),
        policy: &lenient_policy(statuses, allow_debug_and_service_td),
        collateral: Some(collateral),
        now,
    }
    .quote(quote)
}

/// The check that must fail for a recorded reason.
fn failing_check(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "No matching TCB level found" => "tdx.tcb.level",
        "Invalid MR service TD" => "tdx.td.service_td",
        "Debug mode is enabled" => "tdx.td.debug",
        "SEPT_VE_DISABLE is not enabled" => "tdx.td.sept_ve_disable",
        _ => return None,
    })
}

fn recorded_verdict(verdict: &Verdict, expected: &Expected, differences: &mut Differences) {
    match expected.verdict.as_str() {
        "valid-signature" => {
            differences.equal("failed checks", failures(verdict), vec![]);
            differences.equal("decision", verdict.decision(), Decision::Accepted);
            statuses(verdict, expected, differences);
        }
        "reject" => {
            differences.equal("decision", verdict.decision(), Decision::Rejected);
            match failing_check(&expected.reason) {
                Some(check) if failures(verdict).contains(&check) => {
                    signature_holds(verdict, differences)
                }
                Some(check) => differences.add(format!("{check} did not fail")),
                None => differences.add(format!("unknown recorded reason: {}", expected.reason)),
            }
        }
        other => differences.add(format!("unknown recorded verdict: {other}")),
    }
}

/// None of the recorded refusals is about a signature.
fn signature_holds(verdict: &Verdict, differences: &mut Differences) {
    let passed = verdict
        .check(CheckId::TdxQuoteSignature)
        .is_some_and(|check| check.outcome == Outcome::Pass);
    differences.equal("quote signature", passed, true);
}

fn statuses(verdict: &Verdict, expected: &Expected, differences: &mut Differences) {
    let Some(tcb) = verdict
        .facts()
        .tdx
        .as_ref()
        .and_then(|facts| facts.tcb.as_ref())
    else {
        return differences.add("no TCB facts".into());
    };
    let text = |status: TcbStatus| Some(status.as_str().to_owned());
    differences.equal("status", text(tcb.status), expected.tcb_status.clone());
    let platform = text(tcb.platform_status);
    differences.equal(
        "platform status",
        platform,
        expected.platform_status.clone(),
    );
    differences.equal("QE status", text(tcb.qe_status), expected.qe_status.clone());
    differences.equal(
        "advisories",
        tcb.advisories.clone(),
        expected.advisories.clone(),
    );
}

/// What was recorded for the case that debug and service TDs are allowed.
fn if_allowed(
    quote: &[u8],
    collateral: &Collateral,
    at: UnixTime,
    expected: &Expected,
    differences: &mut Differences,
) {
    let verdict = appraise(quote, collateral, at, &any_status(), true);
    match &expected.if_debug_and_service_td_allowed {
        Value::Null => {}
        Value::String(reason) => match failing_check(reason) {
            // The other tool stops at its first failure; we go on where that makes sense.
            Some(check) => {
                let first = failures(&verdict).first().copied();
                differences.equal("first failed check if allowed", first, Some(check));
            }
            None => differences.add(format!("unknown recorded reason: {reason}")),
        },
        allowed => {
            differences.equal(
                "decision if allowed",
                verdict.decision(),
                Decision::Accepted,
            );
            let tcb = verdict
                .facts()
                .tdx
                .as_ref()
                .and_then(|facts| facts.tcb.as_ref());
            let status = tcb.map(|tcb| tcb.status.as_str());
            differences.equal("status if allowed", status, allowed["status"].as_str());
            let ours = tcb.map(|tcb| Value::from(tcb.advisories.clone()));
            differences.equal(
                "advisories if allowed",
                ours,
                Some(allowed["advisories"].clone()),
            );
        }
    }
}

/// Under a policy that accepts only UpToDate, everything else fails by its status and nothing else.
fn strict(
    quote: &[u8],
    collateral: &Collateral,
    at: UnixTime,
    expected: &Expected,
    differences: &mut Differences,
) {
    if expected.verdict != "valid-signature" {
        return;
    }
    let verdict = appraise(quote, collateral, at, &[TcbStatus::UpToDate], false);
    let wanted = match expected.tcb_status.as_deref() {
        Some("UpToDate") => vec![],
        _ => vec!["tdx.tcb.status"],
    };
    differences.equal(
        "failed checks under UpToDate only",
        failures(&verdict),
        wanted,
    );
}

fn facts(
    verdict: &Verdict,
    recorded: &Value,
    case: &TdxCase,
    [from, until]: [UnixTime; 2],
    differences: &mut Differences,
) -> anyhow::Result<()> {
    let Some(facts) = verdict.facts().tdx.as_ref() else {
        differences.add("no facts".into());
        return Ok(());
    };
    let ours = decoded(facts);
    let members = recorded.as_object().context("facts are not an object")?;
    for (name, recorded) in members {
        // What the recorder checked with other tools, and what a quote does not hold itself.
        if ["sig_checks", "tee", "body_type", "body_size"].contains(&name.as_str()) {
            continue;
        }
        match ours.get(name) {
            Some(ours) => differences.equal(name, ours, recorded),
            None => differences.add(format!("no fact of ours for {name}")),
        }
    }
    let Some(collateral) = &facts.collateral else {
        differences.add("no collateral facts".into());
        return Ok(());
    };
    differences.equal("FMSPC", collateral.fmspc.as_str(), case.fmspc.as_str());
    let number = collateral.tcb_evaluation_data_number;
    differences.equal(
        "evaluation data number",
        number,
        case.tcb_evaluation_data_number,
    );
    differences.equal("window begins", collateral.not_before, from);
    // A revocation list is not valid any more in the second of its nextUpdate, which the recorded
    // window counts in.
    let ends = collateral.not_after.secs();
    if ends != until.secs() && ends + 1 != until.secs() {
        differences.equal("window ends", collateral.not_after, until);
    }
    Ok(())
}

/// Our facts under the recorder's names.
fn decoded(facts: &TdxFacts) -> serde_json::Map<String, Value> {
    let body = &facts.body;
    let [rtmr0, rtmr1, rtmr2, rtmr3] = &body.rtmr;
    let mut ours = serde_json::json!({
        "version": facts.version,
        "tee_tcb_svn": to_hex(&body.tee_tcb_svn),
        "mr_seam": to_hex(&body.mrseam),
        "mrtd": to_hex(&body.mrtd),
        "rtmr0": to_hex(rtmr0),
        "rtmr1": to_hex(rtmr1),
        "rtmr2": to_hex(rtmr2),
        "rtmr3": to_hex(rtmr3),
        "report_data": to_hex(&body.report_data),
        "mr_config_id": to_hex(&body.mrconfigid),
        "mr_owner": to_hex(&body.mrowner),
        "mr_owner_config": to_hex(&body.mrownerconfig),
        "td_attributes": to_hex(&body.td_attributes),
        "xfam": to_hex(&body.xfam),
        "debug": body.debug_flags() != 0,
        "sept_ve_disable": body.sept_ve_disable(),
        "header_user_data": to_hex(&facts.header_user_data),
        "qe_isvsvn": facts.quoting_enclave.isvsvn,
        "trailing_bytes_after_signature": facts.trailing.count,
    });
    if let Some(td15) = &body.td15 {
        ours["tee_tcb_svn2"] = to_hex(&td15.tee_tcb_svn2).into();
        ours["mr_servicetd"] = to_hex(&td15.mrservicetd).into();
    }
    if let Some(platform) = &facts.platform {
        let serial = to_hex(&platform.serial);
        let digits = serial.trim_start_matches('0');
        ours["fmspc"] = to_hex(&platform.fmspc).into();
        ours["ppid"] = to_hex(&platform.ppid).into();
        ours["pce_id"] = to_hex(&platform.pce_id).into();
        ours["pck_cpusvn"] = platform.cpusvn.to_vec().into();
        ours["pck_pcesvn"] = platform.pcesvn.into();
        ours["pck_ca"] = if platform.issuer.contains("Platform") {
            "platform"
        } else {
            "processor"
        }
        .into();
        ours["pck_serial"] = format!("0x{digits}").into();
        ours["pck_validity"] = vec![
            platform.not_before.to_string(),
            platform.not_after.to_string(),
        ]
        .into();
    }
    match ours {
        Value::Object(members) => members,
        _ => serde_json::Map::new(),
    }
}

fn recorded(expected: &Expected) -> String {
    match &expected.tcb_status {
        Some(status) => format!("valid, {status}"),
        None => format!("reject: {}", expected.reason),
    }
}

fn ours(verdict: &Verdict) -> String {
    let status = verdict
        .facts()
        .tdx
        .as_ref()
        .and_then(|facts| facts.tcb.as_ref());
    match (verdict.failures().next(), status) {
        (Some((id, _)), _) => format!("{}: {id}", verdict.decision()),
        (None, Some(tcb)) => format!("{}, {}", verdict.decision(), tcb.status),
        (None, None) => verdict.decision().to_string(),
    }
}
