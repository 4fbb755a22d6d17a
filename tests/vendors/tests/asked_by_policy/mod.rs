//! Each thing a policy may ask of a TD and its platform: accepted where it holds, refused by the check
//! with its name where it does not, and by no other.

use attest_core::tdx::TdxFacts;
use attest_core::{Cause, CheckId, Decision, Outcome, Verdict, Why, to_hex};

use super::{appraise, bent, enclave, failures, healthy, quote};
use vendors::Vendors;
use vendors::policy::pinned_policy;

fn asked_of(platform: &Vendors, more: &str) -> Verdict {
    let policy = pinned_policy("enclave", &enclave()) + more;
    appraise(platform, platform, &policy, &quote(platform, &enclave()))
}

fn asked(more: &str) -> Verdict {
    asked_of(&healthy(), more)
}

fn facts() -> TdxFacts {
    let verdict = asked("");
    verdict.facts().tdx.clone().expect("a TD")
}

/// The same bytes but for one bit.
fn other(bytes: &[u8]) -> String {
    let mut bytes = bytes.to_vec();
    bytes[0] ^= 1;
    to_hex(&bytes)
}

#[test]
fn each_list_accepts_its_values_and_rejects_others_under_its_own_check() {
    let facts = facts();
    let (body, platform) = (&facts.body, facts.platform.as_ref().expect("a platform"));
    let lists: [(&str, &str, &[u8]); 10] = [
        ("tdx.platform.ppid", "ppid", &platform.ppid),
        ("tdx.platform.fmspc", "fmspc", &platform.fmspc),
        ("tdx.platform.pce_id", "pce_id", &platform.pce_id),
        (
            "tdx.seam.attributes",
            "seam_attributes",
            &body.seam_attributes,
        ),
        (
            "tdx.measurement.mrsignerseam",
            "mrsignerseam",
            &body.mrsignerseam,
        ),
        ("tdx.measurement.mrconfigid", "mrconfigid", &body.mrconfigid),
        ("tdx.measurement.mrowner", "mrowner", &body.mrowner),
        (
            "tdx.measurement.mrownerconfig",
            "mrownerconfig",
            &body.mrownerconfig,
        ),
        ("tdx.td.xfam", "xfam", &body.xfam),
        ("tdx.td.attributes", "td_attributes", &body.td_attributes),
    ];
    for (check, field, value) in lists {
        let accepted = asked(&format!("{field} = [\"{}\"]\n", to_hex(value)));
        assert_eq!(
            accepted.decision(),
            Decision::Accepted,
            "{field}: {accepted}"
        );
        assert!(accepted.passed(check.parse().expect(check)), "{check}");
        let refused = asked(&format!("{field} = [\"{}\"]\n", other(value)));
        assert_eq!(failures(&refused), [check], "{field}");
    }
}

#[test]
fn each_floor_applies_to_each_component() {
    let svn = facts().body.tee_tcb_svn;
    let line = |svn: &[u8; 16]| format!("min_tee_tcb_svn = \"{}\"\n", to_hex(svn));
    assert_eq!(asked(&line(&svn)).decision(), Decision::Accepted);
    for component in 0..16 {
        let mut floor = svn;
        floor[component] += 1;
        // What the others have to spare does not make up for it.
        floor[(component + 1) % 16] = 0;
        let refused = asked(&line(&floor));
        assert_eq!(failures(&refused), ["tdx.tee_tcb_svn"]);
        let (_, cause) = refused.failures().next().expect("a failure");
        let got = svn[component];
        assert_eq!(
            *cause,
            Cause::TeeTcbSvn {
                component,
                got,
                floor: got + 1
            }
        );
    }
    for (check, field, got) in [
        ("tdx.qe.svn", "min_qe_svn", facts().quoting_enclave.isvsvn),
        (
            "tdx.platform.pce_svn",
            "min_pce_svn",
            facts().platform.expect("a platform").pcesvn,
        ),
    ] {
        let accepted = asked(&format!("{field} = {got}\n"));
        assert_eq!(accepted.decision(), Decision::Accepted, "{field}");
        let refused = asked(&format!("{field} = {}\n", got + 1));
        assert_eq!(failures(&refused), [check]);
    }
}

#[test]
fn rejects_an_older_td_where_a_policy_requires_fields_of_tdx_1_5() {
    for (check, line) in [
        (
            "tdx.tee_tcb_svn2",
            format!("min_tee_tcb_svn2 = \"{}\"\n", "00".repeat(16)),
        ),
        (
            "tdx.measurement.mrservicetd",
            format!("mrservicetd = [\"{}\"]\n", "00".repeat(48)),
        ),
    ] {
        let verdict = asked(&line);
        let listed = verdict.check(check.parse().expect(check)).expect(check);
        assert!(listed.required);
        assert_eq!(listed.outcome, Outcome::NotEvaluated(Why::Absent));
        assert_eq!(verdict.decision(), Decision::Rejected);
    }
}

#[test]
fn rejects_collateral_older_than_the_policys_limit() {
    // It was issued a day ago.
    let accepted = asked("max_collateral_age = \"24h\"\n");
    assert_eq!(accepted.decision(), Decision::Accepted, "{accepted}");
    let refused = asked("max_collateral_age = \"86399s\"\n");
    assert_eq!(failures(&refused), ["tdx.collateral.age"]);
}

const ADVISORY: &str = "INTEL-SA-01234";

fn out_of_date(status: &str, advisories: &[&str]) -> Vendors {
    bent(|knobs| {
        knobs.tcb_status = status.to_owned();
        knobs.advisories = advisories.iter().map(|it| (*it).to_owned()).collect();
    })
}

fn grace(days: u32) -> String {
    format!("[tdx.grace_days]\n{ADVISORY} = {days}\n")
}

/// The level is of 2024-11-13 and the judgement of 2026-09-21, 677 days later.
#[test]
fn the_grace_of_an_advisory_counts_from_the_date_of_its_level() {
    let late = out_of_date("OutOfDate", &[ADVISORY]);
    let within = asked_of(&late, &grace(678));
    assert_eq!(within.decision(), Decision::Accepted, "{within}");
    let over = asked_of(&late, &grace(677));
    assert_eq!(failures(&over), ["tdx.tcb.grace"]);
    let (_, cause) = over.failures().next().expect("a failure");
    assert!(cause.to_string().contains(ADVISORY), "{cause}");
    assert_eq!(over.decision(), Decision::Rejected);
}

#[test]
fn grace_is_given_to_named_advisories_of_levels_that_are_out_of_date() {
    let refused_by_status = |platform: &Vendors, more: &str| {
        let verdict = asked_of(platform, more);
        assert_eq!(failures(&verdict), ["tdx.tcb.status"], "{more}");
        assert_eq!(verdict.decision(), Decision::Rejected);
    };
    refused_by_status(&out_of_date("OutOfDate", &[ADVISORY]), "");
    // An advisory that the policy does not name; none; other statuses; the worst status.
    let two = out_of_date("OutOfDate", &[ADVISORY, "INTEL-SA-05678"]);
    refused_by_status(&two, &grace(9999));
    refused_by_status(&out_of_date("OutOfDate", &[]), &grace(9999));
    for status in ["ConfigurationNeeded", "SWHardeningNeeded", "Revoked"] {
        refused_by_status(&out_of_date(status, &[ADVISORY]), &grace(9999));
    }
    // What it would be otherwise has to be accepted itself.
    let both = out_of_date("OutOfDateConfigurationNeeded", &[ADVISORY]);
    refused_by_status(&both, &grace(9999));
    let policy = pinned_policy("enclave", &enclave()).replace(
        "tcb_statuses = [\"UpToDate\"]",
        "tcb_statuses = [\"UpToDate\", \"ConfigurationNeeded\"]",
    ) + &grace(9999);
    let verdict = appraise(&both, &both, &policy, &quote(&both, &enclave()));
    assert_eq!(verdict.decision(), Decision::Accepted, "{verdict}");
}

#[test]
fn unneeded_grace_is_not_a_failed_check() {
    let verdict = asked(&grace(1));
    let listed = verdict.check(CheckId::TdxTcbGrace).expect("the check");
    assert_eq!(listed.outcome, Outcome::NotEvaluated(Why::NotNeeded));
    assert!(!listed.required);
    assert_eq!(verdict.decision(), Decision::Accepted);
}

#[test]
fn rejects_a_quote_of_another_vendors_quoting_enclave() {
    let platform = healthy();
    let mut other = quote(&platform, &enclave());
    other[12] ^= 1;
    let policy = pinned_policy("enclave", &enclave());
    let verdict = appraise(&platform, &platform, &policy, &other);
    assert_eq!(failures(&verdict), ["tdx.qe.vendor"]);
    assert_eq!(verdict.decision(), Decision::Rejected);
    assert!(
        verdict.facts().tdx.is_some(),
        "its fields are reported nevertheless"
    );
}

#[test]
fn reports_the_matched_levels_with_their_dates() {
    let tcb = facts().tcb.expect("matched levels");
    let dated: Vec<_> = tcb
        .levels
        .iter()
        .map(|level| {
            (
                level.part.as_str(),
                level.status.as_str(),
                level.date.to_string(),
            )
        })
        .collect();
    let date = || "2024-11-13T00:00:00Z".to_owned();
    assert_eq!(
        dated,
        [
            ("platform", "UpToDate", date()),
            ("module", "UpToDate", date()),
            ("quoting_enclave", "UpToDate", date()),
        ]
    );
}
