//! What `dcap-qvl` says of a quote with its collateral, and how that differs from what we say.

use std::panic::{AssertUnwindSafe, catch_unwind};

use dcap_qvl::QuoteCollateralV3;
use dcap_qvl::verify::{QuoteVerifier, VerifiedReport};

use attest_core::{
    Appraiser, AttestationPolicy, Cause, Collateral, Roots, TdxCollateral, UnixTime, Verdict,
};

/// Its answer, where debug and service TDs are allowed as they are for us.
#[derive(Debug)]
pub enum Theirs {
    Verified(Box<VerifiedReport>),
    Refused(String),
    Panicked,
}

pub fn judge(quote: &[u8], collateral: &TdxCollateral, root: &[u8], now: UnixTime) -> Theirs {
    let parts = QuoteCollateralV3 {
        pck_crl_issuer_chain: collateral.pck_crl_issuer_chain.clone(),
        root_ca_crl: collateral.root_ca_crl.clone(),
        pck_crl: collateral.pck_crl.clone(),
        tcb_info_issuer_chain: collateral.tcb_info_issuer_chain.clone(),
        tcb_info: collateral.tcb_info.clone(),
        tcb_info_signature: collateral.tcb_info_signature.to_vec(),
        qe_identity_issuer_chain: collateral.qe_identity_issuer_chain.clone(),
        qe_identity: collateral.qe_identity.clone(),
        qe_identity_signature: collateral.qe_identity_signature.to_vec(),
        pck_certificate_chain: None,
    };
    let verify = || {
        QuoteVerifier::new(root.to_vec())
            .allow_debug(true)
            .allow_service_td(true)
            .verify(quote, &parts, now.secs())
    };
    match catch_unwind(AssertUnwindSafe(verify)) {
        Ok(Ok(report)) => Theirs::Verified(Box::new(report)),
        Ok(Err(error)) => Theirs::Refused(format!("{error:#}")),
        Err(_) => Theirs::Panicked,
    }
}

/// What we say under a policy that accepts whatever is genuine.
pub fn ours(quote: &[u8], collateral: &TdxCollateral, roots: &Roots, now: UnixTime) -> Verdict {
    let policy = AttestationPolicy::parse(LENIENT).expect("a policy");
    Appraiser {
        roots,
        policy: &policy,
        collateral: Some(&Collateral::from(collateral.clone())),
        now,
    }
    .quote(quote)
}

const LENIENT: &str = "name = \"second opinion\"
[tdx]
measurements = \"any\"
allow_debug = true
allow_service_td = true
seam_attributes = [\"0000000000000000\", \"0100000000000000\"]
tcb_statuses = [\"UpToDate\", \"SWHardeningNeeded\", \"ConfigurationNeeded\", \"ConfigurationAndSWHardeningNeeded\", \"OutOfDate\", \"OutOfDateConfigurationNeeded\", \"TDRelaunchAdvised\", \"TDRelaunchAdvisedConfigurationNeeded\"]
";

/// How the two answers stand to each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// Both verify, to the same statuses and advisories.
    Alike,
    /// Both refuse.
    BothRefuse,
    /// We refuse for this check and cause, and they do not.
    OnlyWeRefuse(String),
    /// They refuse in these words, and we do not.
    OnlyTheyRefuse(String),
    /// Both verify, and this is not the same.
    Differ(String),
}

pub fn relate(ours: &Verdict, theirs: &Theirs) -> Relation {
    let facts = ours.facts().tdx.as_ref();
    let tcb = facts.and_then(|facts| facts.tcb.as_ref());
    // Questions of policy about the TD are asked on top of verification, and are no part of it here.
    let mut failures = ours.failures();
    let refused = failures.find(|(check, _)| !OF_POLICY.contains(&check.as_str()));
    match (refused, theirs) {
        (None, Theirs::Verified(report)) => match tcb {
            None => Relation::Differ("no TCB of ours".to_owned()),
            Some(tcb) => {
                let our_statuses =
                    [tcb.status, tcb.platform_status, tcb.qe_status].map(|it| it.as_str());
                let theirs = [
                    report.status.clone(),
                    report.platform_status.status.to_string(),
                    report.qe_status.status.to_string(),
                ];
                // They list an advisory as often as a level names it.
                let mut advisories: Vec<&String> = Vec::new();
                for advisory in &report.advisory_ids {
                    if !advisories.contains(&advisory) {
                        advisories.push(advisory);
                    }
                }
                let same_advisories = tcb.advisories.iter().eq(advisories);
                let platform = facts.and_then(|facts| facts.platform.as_ref());
                let other_form = platform.is_some_and(|it| it.components != it.cpusvn);
                let folded = ["UpToDate", "OutOfDate", "Revoked"].contains(&our_statuses[2]);
                if theirs
                    .iter()
                    .zip(our_statuses)
                    .any(|(theirs, ours)| theirs != ours)
                {
                    Relation::Differ(match (other_form, folded) {
                        (true, _) => "certified components and CPU SVN are different".to_owned(),
                        (_, false) => "the quoting enclave's status is folded".to_owned(),
                        _ => format!("{our_statuses:?} and theirs {theirs:?}"),
                    })
                } else if other_form && !same_advisories {
                    Relation::Differ("certified components and CPU SVN are different".to_owned())
                } else if !same_advisories {
                    Relation::Differ("advisories".to_owned())
                } else {
                    Relation::Alike
                }
            }
        },
        (None, Theirs::Refused(words)) => match of_the_td(words) {
            true => Relation::Alike,
            false => Relation::OnlyTheyRefuse(words.clone()),
        },
        (None, Theirs::Panicked) => Relation::OnlyTheyRefuse("a panic".to_owned()),
        (Some((check, cause)), Theirs::Verified(_)) => {
            Relation::OnlyWeRefuse(format!("{check}: {}", kind(cause)))
        }
        (Some(_), _) => Relation::BothRefuse,
    }
}

const OF_POLICY: [&str; 6] = [
    "tdx.td.debug",
    "tdx.td.sept_ve_disable",
    "tdx.td.attributes",
    "tdx.td.xfam",
    "tdx.td.service_td",
    "tdx.seam.attributes",
];

/// They refuse attributes of a TD that we leave to the policy's checks.
fn of_the_td(words: &str) -> bool {
    [
        "SEPT_VE_DISABLE",
        "Reserved bits in TD",
        "TD migration",
        "SERVTD_EXT",
    ]
    .iter()
    .any(|from_td_log| words.contains(from_td_log))
}

/// A cause without what is particular to one bundle.
fn kind(cause: &Cause) -> String {
    let all = format!("{cause:?}");
    let mut kind = String::new();
    for character in all.chars() {
        if character.is_ascii_digit() || character == '"' {
            break;
        }
        kind.push(character);
    }
    let trimmed = kind.trim_end_matches([' ', '(', '{', '[', ':', ',']);
    trimmed.chars().take(160).collect()
}
