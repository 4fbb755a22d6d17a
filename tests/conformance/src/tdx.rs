//! TDX quotes.

use attest_core::{ReportData, to_hex};
use testkit::intel::knobs::{
    Dates, FmspcInTcbInfo, Knobs, Levels, QuotingEnclave, Revoked, Signer,
};
use testkit::policy::pinned_policy;
use testkit::{SoftwarePlatform, TdMeasurements};

use crate::case::{Expected, Kind};
use crate::kit::{Judged, Kit, accepted, evidence, expected, missing, rejected};
use crate::{NOW, SEED};

fn td() -> TdMeasurements {
    TdMeasurements::named("conformance")
}

fn pinned() -> String {
    pinned_policy("conformance", &td())
}

fn any(more: &str) -> String {
    format!("name = \"any\"\n[tdx]\nmeasurements = \"any\"\n{more}")
}

struct Made {
    platform: SoftwarePlatform,
    td: TdMeasurements,
    policy: String,
    bend: fn(&mut Vec<u8>),
}

fn made() -> Made {
    Made {
        platform: SoftwarePlatform::from_seed(&SEED, NOW),
        td: td(),
        policy: pinned(),
        bend: |_| {},
    }
}

impl Made {
    fn add(self, kit: &mut Kit, name: &str, says: &str, expected: Expected) {
        let data = ReportData::observed([0x3c; 64]);
        let mut quote = self.platform.quote(&self.td, &data);
        (self.bend)(&mut quote);
        let collateral = self.platform.collateral();
        let judged = Judged {
            collateral: Some(&collateral),
            roots: &[("intel-root", self.platform.intel().root_der())],
            ..Judged::now(
                Kind::TdxQuote,
                &self.policy,
                vec![evidence("tdx", &quote, None)],
            )
        };
        kit.add(&format!("tdx-{name}"), says, judged, expected);
    }
}

pub fn add(kit: &mut Kit) {
    made().add(
        kit,
        "good",
        "a current platform and the pinned image",
        accepted(),
    );
    platforms(kit);
    statuses(kit);
    pins(kit);
    attributes(kit);
    bytes(kit);
    grounds(kit);
}

fn platforms(kit: &mut Kit) {
    type Bend = fn(&mut Knobs);
    let bent: [(&str, &str, Bend, &[&str]); 19] = [
        (
            "tcb-info-expired",
            "TCB info of last month",
            |k| k.tcb_info_dates = Dates::Expired,
            &["tdx.collateral.dates"],
        ),
        (
            "tcb-info-early",
            "TCB info of tomorrow",
            |k| k.tcb_info_dates = Dates::NotYetValid,
            &["tdx.collateral.dates"],
        ),
        (
            "qe-identity-expired",
            "QE identity of last month",
            |k| k.qe_identity_dates = Dates::Expired,
            &["tdx.collateral.dates"],
        ),
        (
            "qe-identity-early",
            "QE identity of tomorrow",
            |k| k.qe_identity_dates = Dates::NotYetValid,
            &["tdx.collateral.dates"],
        ),
        (
            "crl-expired",
            "revocation lists of last month",
            |k| k.crl_dates = Dates::Expired,
            &["tdx.collateral.dates"],
        ),
        (
            "crl-early",
            "revocation lists of tomorrow",
            |k| k.crl_dates = Dates::NotYetValid,
            &["tdx.collateral.dates"],
        ),
        (
            "tcb-info-forged",
            "TCB info signed by nobody's key",
            |k| k.tcb_info_signer = Signer::Impostor,
            &["tdx.tcb_info.signature"],
        ),
        (
            "qe-identity-forged",
            "QE identity signed by nobody's key",
            |k| k.qe_identity_signer = Signer::Impostor,
            &["tdx.qe_identity.signature"],
        ),
        (
            "quote-forged",
            "a quote signed by another key than the attested one",
            |k| k.quote_signer = Signer::Impostor,
            &["tdx.quote.signature"],
        ),
        (
            "qe-report-forged",
            "a QE report signed by another key than the platform's",
            |k| k.qe_report_signer = Signer::Impostor,
            &["tdx.qe.report_signature"],
        ),
        (
            "qe-other-vendor",
            "a quoting enclave of another vendor",
            |k| k.quoting_enclave = QuotingEnclave::OtherVendor,
            &["tdx.qe.identity"],
        ),
        (
            "qe-too-old",
            "a quoting enclave older than every level",
            |k| k.quoting_enclave = QuotingEnclave::TooOld,
            &["tdx.qe.identity"],
        ),
        (
            "pck-revoked",
            "the platform's certificate is revoked",
            |k| k.revoked = Revoked::PckCertificate,
            &["tdx.crl"],
        ),
        (
            "platform-ca-revoked",
            "the platform's authority is revoked",
            |k| k.revoked = Revoked::PlatformCa,
            &["tdx.crl"],
        ),
        (
            "tcb-signing-revoked",
            "the signer of TCB info is revoked",
            |k| k.revoked = Revoked::TcbSigning,
            &["tdx.crl"],
        ),
        (
            "another-family",
            "TCB info of another processor family",
            |k| k.fmspc = FmspcInTcbInfo::AnotherFamily,
            &["tdx.tcb.level"],
        ),
        (
            "no-level",
            "every TCB level is above the platform",
            |k| k.levels = Levels::AllAbove,
            &["tdx.tcb.level"],
        ),
        (
            "newer-evaluation",
            "a newer evaluation is no fault",
            |k| k.evaluation_number = 19,
            &[],
        ),
        (
            "advisory-not-denied",
            "an advisory that the policy does not deny",
            |k| k.advisories = vec!["INTEL-SA-00001".into()],
            &[],
        ),
    ];
    for (name, says, bend, failing) in bent {
        let mut knobs = Knobs::default();
        bend(&mut knobs);
        let expected = if failing.is_empty() {
            accepted()
        } else {
            rejected(failing)
        };
        Made {
            platform: SoftwarePlatform::with_knobs(&SEED, NOW, knobs),
            ..made()
        }
        .add(kit, name, says, expected);
    }
}

fn statuses(kit: &mut Kit) {
    for status in [
        "SWHardeningNeeded",
        "ConfigurationNeeded",
        "ConfigurationAndSWHardeningNeeded",
        "OutOfDate",
        "OutOfDateConfigurationNeeded",
    ] {
        let with = |policy: String| Made {
            platform: SoftwarePlatform::with_knobs(
                &SEED,
                NOW,
                Knobs {
                    tcb_status: status.into(),
                    ..Knobs::default()
                },
            ),
            policy,
            ..made()
        };
        let low = status.to_lowercase();
        with(pinned()).add(
            kit,
            &format!("status-{low}"),
            "a status the policy does not accept",
            rejected(&["tdx.tcb.status"]),
        );
        let allowed = any(&format!("tcb_statuses = [\"UpToDate\", \"{status}\"]\n"));
        with(allowed).add(
            kit,
            &format!("status-{low}-allowed"),
            "a status the policy accepts",
            accepted(),
        );
    }
    let advisories = || {
        SoftwarePlatform::with_knobs(
            &SEED,
            NOW,
            Knobs {
                advisories: vec!["INTEL-SA-00837".into()],
                ..Knobs::default()
            },
        )
    };
    Made {
        platform: advisories(),
        policy: any("denied_advisories = [\"INTEL-SA-00837\"]\n"),
        ..made()
    }
    .add(
        kit,
        "advisory-denied",
        "an advisory the policy denies",
        rejected(&["tdx.tcb.advisories"]),
    );
    Made {
        platform: advisories(),
        policy: any("denied_advisories = [\"INTEL-SA-00838\"]\n"),
        ..made()
    }
    .add(
        kit,
        "another-advisory-denied",
        "an advisory that the platform does not have is denied",
        accepted(),
    );
    for (floor, expected) in [
        (17, accepted()),
        (18, accepted()),
        (19, rejected(&["tdx.tcb.evaluation_data_number"])),
    ] {
        Made {
            policy: any(&format!("min_tcb_evaluation_data_number = {floor}\n")),
            ..made()
        }
        .add(
            kit,
            &format!("evaluation-floor-{floor}"),
            "collateral of evaluation 18 against a floor",
            expected,
        );
    }
}

fn pins(kit: &mut Kit) {
    let it = td();
    let values: [(&str, &[u8]); 9] = [
        ("mrtd", &it.mr_td),
        ("rtmr0", &it.rtmr[0]),
        ("rtmr1", &it.rtmr[1]),
        ("rtmr2", &it.rtmr[2]),
        ("rtmr3", &it.rtmr[3]),
        ("mrseam", &it.mr_seam),
        ("mrconfigid", &it.mr_config_id),
        ("mrowner", &it.mr_owner),
        ("mrownerconfig", &it.mr_owner_config),
    ];
    for (register, value) in values {
        let partial = |value: &[u8]| {
            format!(
                "name = \"one pin\"\n[tdx]\nmeasurements = \"partial\"\n{register} = [\"{}\"]\n",
                to_hex(value)
            )
        };
        // MRSEAM alone says nothing about the image, so such a policy pins MRTD beside it.
        let beside = match register {
            "mrtd" => String::new(),
            _ => format!("mrtd = [\"{}\"]\n", to_hex(&it.mr_td)),
        };
        Made {
            policy: partial(value) + &beside,
            ..made()
        }
        .add(
            kit,
            &format!("pin-{register}"),
            "the register is the pinned one",
            accepted(),
        );
        let other: Vec<u8> = value.iter().map(|byte| byte ^ 1).collect();
        let check = format!("tdx.measurement.{register}");
        Made {
            policy: partial(&other) + &beside,
            ..made()
        }
        .add(
            kit,
            &format!("pin-{register}-other"),
            "the register is not the pinned one",
            rejected(&[&check]),
        );
    }
    let ppid = to_hex(&made().platform.intel().claims().ppid);
    let other = "00".repeat(16);
    for (name, key, ours, others, check) in [
        (
            "xfam",
            "xfam",
            "e702060000000000".to_owned(),
            "e700060000000000".to_owned(),
            "tdx.td.xfam",
        ),
        (
            "attributes",
            "td_attributes",
            "0000001000000000".to_owned(),
            "0000003000000000".to_owned(),
            "tdx.td.attributes",
        ),
        ("ppid", "ppid", ppid, other, "tdx.platform.ppid"),
    ] {
        Made {
            policy: any(&format!("{key} = [\"{ours}\"]\n")),
            ..made()
        }
        .add(
            kit,
            &format!("pin-{name}"),
            "the value is a listed one",
            accepted(),
        );
        Made {
            policy: any(&format!("{key} = [\"{others}\"]\n")),
            ..made()
        }
        .add(
            kit,
            &format!("pin-{name}-other"),
            "the value is not a listed one",
            rejected(&[check]),
        );
    }
}

fn attributes(kit: &mut Kit) {
    const SEPT: u64 = TdMeasurements::SEPT_VE_DISABLE;
    for (name, says, attributes, policy, expected) in [
        (
            "debug",
            "a TD that can be debugged",
            SEPT | TdMeasurements::DEBUG,
            pinned(),
            rejected(&["tdx.td.debug"]),
        ),
        (
            "debug-allowed",
            "a TD that can be debugged, where that is allowed",
            SEPT | TdMeasurements::DEBUG,
            any("allow_debug = true\n"),
            accepted(),
        ),
        (
            "sept-ve",
            "a TD that takes exceptions for removed pages",
            0,
            pinned(),
            rejected(&["tdx.td.sept_ve_disable"]),
        ),
        (
            "reserved-attribute",
            "a TD with a reserved attribute",
            SEPT | (1 << 32),
            pinned(),
            rejected(&["tdx.td.attributes"]),
        ),
        (
            "migratable",
            "a TD that can be migrated",
            SEPT | TdMeasurements::MIGRATABLE,
            pinned(),
            rejected(&["tdx.td.attributes"]),
        ),
    ] {
        Made {
            td: td().with_attributes(attributes),
            policy,
            ..made()
        }
        .add(kit, name, says, expected);
    }
}

fn bytes(kit: &mut Kit) {
    let malformed = || expected("malformed", &["tdx.quote.format"]);
    type Bend = fn(&mut Vec<u8>);
    let cuts: [(&str, Bend); 7] = [
        ("nothing", |q| q.clear()),
        ("header", |q| q.truncate(40)),
        ("body", |q| q.truncate(400)),
        ("signature", |q| q.truncate(660)),
        ("key", |q| q.truncate(720)),
        ("qe-report", |q| q.truncate(900)),
        ("last-byte", |q| q.truncate(q.len() - 1)),
    ];
    for (name, bend) in cuts {
        Made { bend, ..made() }.add(
            kit,
            &format!("cut-{name}"),
            "a quote cut short",
            malformed(),
        );
    }
    let flips: [(&str, Bend, &[&str]); 8] = [
        ("user-data", |q| q[28] ^= 1, &["tdx.quote.signature"]),
        ("mrtd", |q| q[48 + 136] ^= 1, &["tdx.quote.signature"]),
        (
            "report-data",
            |q| q[48 + 520] ^= 1,
            &["tdx.quote.signature"],
        ),
        ("quote-signature", |q| q[636] ^= 1, &["tdx.quote.signature"]),
        (
            "attestation-key",
            |q| q[700] ^= 1,
            &["tdx.qe.attestation_key"],
        ),
        ("qe-report", |q| q[770] ^= 1, &["tdx.qe.report_signature"]),
        (
            "qe-report-signature",
            |q| q[770 + 384] ^= 1,
            &["tdx.qe.report_signature"],
        ),
        (
            "qe-auth-data",
            |q| q[770 + 384 + 64 + 2] ^= 1,
            &["tdx.qe.attestation_key"],
        ),
    ];
    for (name, bend, failing) in flips {
        Made {
            bend,
            policy: any(""),
            ..made()
        }
        .add(
            kit,
            &format!("flip-{name}"),
            "one bit of the quote is another",
            rejected(failing),
        );
    }
    for (policy, zeros, others) in [
        ("any", true, true),
        ("zero", true, false),
        ("none", false, false),
    ] {
        for (what, bend, accept) in [
            (
                "zeros",
                (|q: &mut Vec<u8>| q.extend([0; 16])) as Bend,
                zeros,
            ),
            ("bytes", |q: &mut Vec<u8>| q.extend([7; 16]), others),
        ] {
            let expected = if accept {
                accepted()
            } else {
                rejected(&["tdx.quote.trailing_bytes"])
            };
            Made {
                bend,
                policy: any(&format!("trailing_bytes = \"{policy}\"\n")),
                ..made()
            }
            .add(
                kit,
                &format!("trailing-{what}-{policy}"),
                "bytes after the quote",
                expected,
            );
        }
    }
    let wrong: [(&str, &str, Bend); 2] = [
        ("version-3", "a version that is no TDX quote's", |q| {
            q[0] = 3
        }),
        ("version-9", "a version that nobody knows", |q| q[0] = 9),
    ];
    for (name, says, bend) in wrong {
        Made { bend, ..made() }.add(kit, name, says, malformed());
    }
}

fn grounds(kit: &mut Kit) {
    let platform = made().platform;
    let quote = platform.quote(&td(), &ReportData::observed([0x3c; 64]));
    let policy = pinned();
    let collateral = platform.collateral();
    let of = || Judged {
        collateral: Some(&collateral),
        roots: &[],
        ..Judged::now(Kind::TdxQuote, &policy, vec![evidence("tdx", &quote, None)])
    };
    let ours = [("intel-root", platform.intel().root_der())];
    kit.add(
        "tdx-no-collateral",
        "nothing to judge the platform by",
        Judged {
            collateral: None,
            roots: &ours,
            ..of()
        },
        missing(&[
            "tdx.collateral.format",
            "tdx.tcb.status",
            "tdx.quote.signature",
        ]),
    );
    kit.add(
        "tdx-no-root",
        "no root for TDX",
        of(),
        rejected(&["tdx.pck.chain"]),
    );
    let day = 86_400;
    for (name, at, failing) in [
        (
            "a-month-later",
            NOW.secs() + 31 * day,
            &["tdx.collateral.dates"][..],
        ),
        (
            "a-week-before",
            NOW.secs() - 7 * day,
            &["tdx.collateral.dates"],
        ),
        ("a-week-later", NOW.secs() + 7 * day, &[]),
    ] {
        let expected = if failing.is_empty() {
            accepted()
        } else {
            rejected(failing)
        };
        kit.add(
            &format!("tdx-judged-{name}"),
            "the same evidence at another time",
            Judged {
                roots: &ours,
                at: attest_core::UnixTime::from_secs(at),
                ..of()
            },
            expected,
        );
    }
    let snp_only = "name = \"snp\"\n[snp]\nmeasurements = \"any\"\n";
    kit.add(
        "tdx-under-snp-policy",
        "a policy that wants another TEE",
        Judged {
            roots: &ours,
            policy: snp_only,
            ..of()
        },
        rejected(&["policy.tee"]),
    );
}
