//! What else a policy may ask of a platform, its module and its collateral: each once met and once
//! not.

use vendors::intel::knobs::{Knobs, ModuleInTcbInfo, QuoteForm};
use vendors::{TdMeasurements, Vendors};

use super::{Made, any, made, td};
use crate::kit::{Kit, accepted, expected, rejected};
use crate::{NOW, SEED};

pub(super) fn add(kit: &mut Kit) {
    levels(kit);
    versions(kit);
    module(kit);
    Made {
        bend: |q| q[12] ^= 1,
        ..made()
    }
    .add(
        kit,
        "qe-vendor",
        "a quote whose header names another vendor's quoting enclave",
        rejected(&["tdx.qe.vendor"]),
    );
    version_5(kit);
}

/// Quotes of version 5 say which body they have.
fn version_5(kit: &mut Kit) {
    let of = |bend| Made {
        platform: bent(|knobs| knobs.form = QuoteForm::Version5),
        bend,
        ..made()
    };
    of(|_| {}).add(
        kit,
        "version-5-of-tdx-1.0",
        "a quote of version 5 of a TD of TDX 1.0",
        accepted(),
    );
    let malformed = || expected("malformed", &["tdx.quote.format"]);
    of(|q| q[48] = 4).add(
        kit,
        "version-5-body-unknown",
        "a body of a type that nobody knows",
        malformed(),
    );
    of(|q| q[50] ^= 1).add(
        kit,
        "version-5-body-size",
        "a body of another size than its type has",
        malformed(),
    );
    of(|q| q[48] = 3).add(
        kit,
        "version-5-body-other",
        "a body of TDX 1.0 that is said to be of TDX 1.5",
        malformed(),
    );
}

fn bent(bend: impl FnOnce(&mut Knobs)) -> Vendors {
    let mut knobs = Knobs::default();
    bend(&mut knobs);
    Vendors::with_knobs(&SEED, NOW, knobs)
}

/// A value that is asked for, one that would do and one that does not.
fn asked(kit: &mut Kit, name: &str, of: TdMeasurements, met: &str, unmet: &str, check: &str) {
    for (suffix, more, expected) in [("", met, accepted()), ("-unmet", unmet, rejected(&[check]))] {
        Made {
            td: of.clone(),
            policy: any(&format!("{more}\n")),
            ..made()
        }
        .add(
            kit,
            &format!("{name}{suffix}"),
            "what the policy asks for, met or not",
            expected,
        );
    }
}

fn levels(kit: &mut Kit) {
    let late = |days: u32| Made {
        platform: bent(|knobs| {
            knobs.tcb_status = "OutOfDate".into();
            knobs.advisories = vec!["INTEL-SA-00837".into()];
        }),
        policy: any(&format!("grace_days = {{ \"INTEL-SA-00837\" = {days} }}\n")),
        ..made()
    };
    late(3650).add(
        kit,
        "grace",
        "out of date by an advisory that the policy still gives time",
        accepted(),
    );
    late(30).add(
        kit,
        "grace-over",
        "out of date by an advisory whose time is over",
        rejected(&["tdx.tcb.grace"]),
    );
    asked(
        kit,
        "collateral-age",
        td(),
        "max_collateral_age = \"72h\"",
        "max_collateral_age = \"1h\"",
        "tdx.collateral.age",
    );
}

/// The mock's quoting enclave is of version 4, its PCE of 13; its platform is Intel's example.
fn versions(kit: &mut Kit) {
    for (name, met, unmet, check) in [
        ("qe-svn", "min_qe_svn = 4", "min_qe_svn = 5", "tdx.qe.svn"),
        (
            "pce-svn",
            "min_pce_svn = 13",
            "min_pce_svn = 14",
            "tdx.platform.pce_svn",
        ),
        (
            "fmspc",
            "fmspc = [\"50f70f000000\"]",
            "fmspc = [\"50f70f000001\"]",
            "tdx.platform.fmspc",
        ),
        (
            "pce-id",
            "pce_id = [\"0000\"]",
            "pce_id = [\"0100\"]",
            "tdx.platform.pce_id",
        ),
        (
            "tee-tcb-svn",
            "min_tee_tcb_svn = \"06010300000000000000000000000000\"",
            "min_tee_tcb_svn = \"06010400000000000000000000000000\"",
            "tdx.tee_tcb_svn",
        ),
    ] {
        asked(kit, name, td(), met, unmet, check);
    }
    asked(
        kit,
        "tee-tcb-svn2",
        td().with_service_td([0; 48]),
        "min_tee_tcb_svn2 = \"06010300000000000000000000000000\"",
        "min_tee_tcb_svn2 = \"07010300000000000000000000000000\"",
        "tdx.tee_tcb_svn2",
    );
}

fn module(kit: &mut Kit) {
    Made {
        platform: bent(|knobs| knobs.module = ModuleInTcbInfo::AnotherSigner),
        ..made()
    }
    .add(
        kit,
        "module-of-another-signer",
        "a TDX module that another signed than Intel says",
        rejected(&["tdx.module.identity"]),
    );
    asked(
        kit,
        "seam-attributes",
        td(),
        "seam_attributes = [\"0000000000000000\"]",
        "seam_attributes = [\"0100000000000000\"]",
        "tdx.seam.attributes",
    );
    let with_service = td().with_service_td([0x5E; 48]);
    for (register, of, value, more) in [
        ("mrsignerseam", td(), "00", ""),
        (
            "mrservicetd",
            with_service,
            "5e",
            "allow_service_td = true\n",
        ),
    ] {
        let check = format!("tdx.measurement.{register}");
        for (suffix, value, expected) in [
            ("", value, accepted()),
            ("-other", "77", rejected(&[&check])),
        ] {
            let value = value.repeat(48);
            let mrtd = attest_core::to_hex(&of.mr_td);
            Made {
                td: of.clone(),
                policy: format!(
                    "name = \"one pin\"\n[tdx]\nmeasurements = \"partial\"\n{more}\
                     {register} = [\"{value}\"]\nmrtd = [\"{mrtd}\"]\n"
                ),
                ..made()
            }
            .add(
                kit,
                &format!("pin-{register}{suffix}"),
                "the register is the pinned one, or another",
                expected,
            );
        }
    }
}
