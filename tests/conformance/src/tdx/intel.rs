//! What Intel's own verification asks of certificates, lists, TCB info and QE identity, each signed
//! by whom it has to be and one thing about it otherwise.

use vendors::intel::knobs::{CertificateForm, Knobs, Levels, ListForm, QuotingEnclave, Revoked};

use super::chains::platform;
use super::{Made, any, td};
use crate::case::Expected;
use crate::kit::{Kit, accepted, expected, rejected};

pub(super) fn add(kit: &mut Kit) {
    certificates(kit);
    lists(kit);
    texts(kit);
    levels(kit);
    quotes(kit);
}

fn certificates(kit: &mut Kit) {
    use CertificateForm as Form;
    const PCK: &[&str] = &["tdx.pck.chain"];
    const AUTHORITY: &[&str] = &["tdx.crl"];
    const SIGNER: &[&str] = &["tdx.tcb_info.signature"];
    let forms = [
        ("pck-named-otherwise", Form::PckNamedOtherwise, PCK),
        ("pck-is-authority", Form::PckIsAuthority, PCK),
        ("pck-under-root", Form::PckUnderRoot, PCK),
        (
            "pck-critical-extension",
            Form::PckWithUnknownCriticalExtension,
            PCK,
        ),
        ("pck-no-sgx-extension", Form::PckWithoutSgxExtension, PCK),
        ("pck-short-ppid", Form::PckWithShortPpid, PCK),
        ("pck-two-fmspcs", Form::PckWithTwoFmspcs, PCK),
        ("pck-no-pce-id", Form::PckWithoutPceId, PCK),
        ("pck-unknown-sgx-entry", Form::PckWithUnknownSgxEntry, PCK),
        ("pck-unknown-sgx-type", Form::PckWithUnknownSgxType, PCK),
        (
            "authority-named-otherwise",
            Form::PlatformCaNamedOtherwise,
            AUTHORITY,
        ),
        (
            "authority-is-none",
            Form::PlatformCaIsNoAuthority,
            AUTHORITY,
        ),
        (
            "authority-signs-no-lists",
            Form::PlatformCaSignsNoLists,
            AUTHORITY,
        ),
        ("signer-named-otherwise", Form::SignerNamedOtherwise, SIGNER),
        ("signer-is-authority", Form::SignerIsAuthority, SIGNER),
        ("signer-is-the-pck", Form::SignerIsThePck, SIGNER),
    ];
    for (name, form, failing) in forms {
        platform(|knobs| knobs.certificates = form).add(
            kit,
            &format!("certificate-{name}"),
            "a certificate of the hierarchy that is not as Intel specifies it",
            rejected(failing),
        );
    }
}

fn lists(kit: &mut Kit) {
    let forms = [
        (
            "without-number",
            ListForm::WithoutNumber,
            "tdx.collateral.format",
        ),
        (
            "critical-extension",
            ListForm::WithCriticalExtension,
            "tdx.collateral.format",
        ),
        ("pck-forged", ListForm::PckListForged, "tdx.crl"),
        ("pck-of-root", ListForm::PckListOfRoot, "tdx.crl"),
        (
            "pck-chain-of-signer",
            ListForm::PckListChainOfSigner,
            "tdx.crl",
        ),
    ];
    for (name, form, failing) in forms {
        platform(|knobs| knobs.lists = form).add(
            kit,
            &format!("crl-{name}"),
            "a revocation list that is not a complete one of its authority",
            rejected(&[failing]),
        );
    }
    platform(|knobs| knobs.revoked = Revoked::Root).add(
        kit,
        "root-revoked",
        "the root is on its own list",
        rejected(&["tdx.crl"]),
    );
}

fn texts(kit: &mut Kit) {
    const FORMAT: &str = "tdx.collateral.format";
    type Edit = (&'static str, &'static str);
    let tcb_info: [(&str, Edit, Option<&str>); 7] = [
        (
            "version-4",
            (r#""version":3"#, r#""version":4"#),
            Some(FORMAT),
        ),
        ("type-1", (r#""tcbType":0"#, r#""tcbType":1"#), Some(FORMAT)),
        (
            "of-sgx",
            (r#""id":"TDX""#, r#""id":"SGX""#),
            Some("tdx.tcb.level"),
        ),
        (
            "member-twice",
            (r#""version":3"#, r#""version":3,"version":3"#),
            Some(FORMAT),
        ),
        (
            "unknown-status",
            (r#""tcbStatus":"UpToDate""#, r#""tcbStatus":"Fine""#),
            Some(FORMAT),
        ),
        (
            "fifteen-components",
            (
                r#""sgxtcbcomponents":[{"svn":4},"#,
                r#""sgxtcbcomponents":["#,
            ),
            Some(FORMAT),
        ),
        (
            "new-member",
            (r#""version":3"#, r#""version":3,"new":1"#),
            None,
        ),
    ];
    for (name, edit, failing) in tcb_info {
        platform(|knobs| knobs.tcb_info_edits.push(edit)).add(
            kit,
            &format!("tcb-info-{name}"),
            "TCB info that Intel signed and that says something else",
            failing.map_or_else(accepted, |failing| rejected(&[failing])),
        );
    }
    // The older of two levels becomes the same as the newer.
    let twice: [(&str, &[Edit]); 2] = [
        (
            "level-twice",
            &[
                (
                    r#"[{"svn":3},{"svn":3},{"svn":1},{"svn":1},{"svn":3},{"svn":0},{"svn":0},{"svn":4}"#,
                    r#"[{"svn":4},{"svn":4},{"svn":2},{"svn":2},{"svn":4},{"svn":1},{"svn":0},{"svn":5}"#,
                ),
                (r#""pcesvn":12"#, r#""pcesvn":13"#),
                (
                    r#"[{"svn":5},{"svn":0},{"svn":2}"#,
                    r#"[{"svn":6},{"svn":1},{"svn":3}"#,
                ),
            ],
        ),
        (
            "module-level-twice",
            &[(
                r#""tcbLevels":[{"tcb":{"isvsvn":6},"#,
                r#""tcbLevels":[{"tcb":{"isvsvn":6},"tcbDate":"2023-08-09T00:00:00Z","tcbStatus":"OutOfDate"},{"tcb":{"isvsvn":6},"#,
            )],
        ),
    ];
    for (name, edits) in twice {
        platform(|knobs| knobs.tcb_info_edits.extend(edits)).add(
            kit,
            &format!("tcb-info-{name}"),
            "two levels that nothing tells apart, one of them out of date",
            rejected(&[FORMAT]),
        );
    }
    let qe_identity: [(&str, Edit, &str); 4] = [
        ("version-3", (r#""version":2"#, r#""version":3"#), FORMAT),
        (
            "of-sgx",
            (r#""id":"TD_QE""#, r#""id":"QE""#),
            "tdx.qe.identity",
        ),
        (
            "mrsigner-twice",
            (r#""isvprodid""#, r#""mrsigner":"00","isvprodid""#),
            FORMAT,
        ),
        (
            "product",
            (r#""isvprodid":2"#, r#""isvprodid":3"#),
            "tdx.qe.identity",
        ),
    ];
    for (name, edit, failing) in qe_identity {
        platform(|knobs| knobs.qe_identity_edits.push(edit)).add(
            kit,
            &format!("qe-identity-{name}"),
            "QE identity that Intel signed and that says something else",
            rejected(&[failing]),
        );
    }
}

/// One level of the TDX module as the mock Intel describes it, and the same with an older one below.
const MODULE_LEVELS: (&str, &str) = (
    r#""tcbLevels":[{"tcb":{"isvsvn":6},"tcbDate":"2024-11-13T00:00:00Z","tcbStatus":"UpToDate"}]"#,
    r#""tcbLevels":[{"tcb":{"isvsvn":4},"tcbDate":"2023-08-09T00:00:00Z","tcbStatus":"OutOfDate"},{"tcb":{"isvsvn":6},"tcbDate":"2024-11-13T00:00:00Z","tcbStatus":"UpToDate"}]"#,
);

fn levels(kit: &mut Kit) {
    let svn = |module: u8| [module, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    type Bend = Box<dyn FnOnce(&mut Knobs)>;
    let status = || rejected(&["tdx.tcb.status"]);
    let cases: Vec<(&str, &str, Bend, &str, Expected)> = vec![
        (
            "weakest-first",
            "TCB levels in another order than by strength",
            Box::new(|k| k.levels = Levels::WeakestFirst),
            "",
            accepted(),
        ),
        (
            "components-below",
            "certified components below the level that the CPU's own form of them meets",
            Box::new(|k| {
                k.components = Some([3, 4, 2, 2, 4, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0]);
            }),
            "",
            status(),
        ),
        (
            "qe-configuration-needed",
            "a quoting enclave at a level that is not up to date in another way",
            Box::new(|k| {
                k.qe_identity_edits
                    .push(not_up_to_date("ConfigurationNeeded"))
            }),
            "",
            status(),
        ),
        (
            "qe-out-of-date-allowed",
            "the same, where a policy accepts what is out of date",
            Box::new(|k| {
                k.qe_identity_edits
                    .push(not_up_to_date("ConfigurationNeeded"))
            }),
            "tcb_statuses = [\"OutOfDate\"]\n",
            accepted(),
        ),
        (
            "qe-revoked",
            "a quoting enclave at a revoked level",
            Box::new(|k| k.qe_identity_edits.push(not_up_to_date("Revoked"))),
            "tcb_statuses = [\"OutOfDate\"]\n",
            status(),
        ),
        (
            "module-revoked",
            "a TDX module at a revoked level",
            Box::new(|k| k.tcb_info_edits.push(not_up_to_date("Revoked"))),
            "tcb_statuses = [\"OutOfDate\"]\n",
            status(),
        ),
        (
            "module-old",
            "a TDX module at an old level, which stands first",
            Box::new(move |k| {
                k.tcb_info_edits.push(MODULE_LEVELS);
                k.tee_tcb_svn = svn(5);
                k.tee_tcb_svn2 = svn(5);
            }),
            "",
            status(),
        ),
        (
            "relaunch-advised",
            "a TD that was launched under an old module and runs under the newest",
            Box::new(move |k| {
                k.tcb_info_edits.push(MODULE_LEVELS);
                k.tee_tcb_svn = svn(5);
            }),
            "tcb_statuses = [\"TDRelaunchAdvised\"]\n",
            accepted(),
        ),
        (
            "relaunch-advised-not-accepted",
            "the same, where a policy accepts what is up to date",
            Box::new(move |k| {
                k.tcb_info_edits.push(MODULE_LEVELS);
                k.tee_tcb_svn = svn(5);
            }),
            "",
            status(),
        ),
        (
            "relaunch-no-cure",
            "a TD whose module is old and was not replaced by the newest",
            Box::new(move |k| {
                k.tcb_info_edits.push(MODULE_LEVELS);
                k.tee_tcb_svn = svn(5);
                k.tee_tcb_svn2 = svn(5);
            }),
            "tcb_statuses = [\"OutOfDate\"]\n",
            accepted(),
        ),
        (
            "current-module-below",
            "a TD that runs under a module below every level",
            Box::new(move |k| k.tee_tcb_svn2 = svn(1)),
            "",
            rejected(&["tdx.tcb.level"]),
        ),
        (
            "current-module-unknown",
            "a TD that runs under a module that Intel does not describe",
            Box::new(|k| k.tee_tcb_svn2[1] = 7),
            "",
            rejected(&["tdx.tcb.level"]),
        ),
    ];
    for (name, says, bend, policy, expected) in cases {
        Made {
            td: td().with_service_td([0; 48]),
            policy: any(policy),
            ..platform(bend)
        }
        .add(kit, &format!("level-{name}"), says, expected);
    }
}

fn not_up_to_date(status: &'static str) -> (&'static str, &'static str) {
    let with = match status {
        "Revoked" => r#""tcbStatus":"Revoked""#,
        _ => r#""tcbStatus":"ConfigurationNeeded""#,
    };
    (r#""tcbStatus":"UpToDate""#, with)
}

fn quotes(kit: &mut Kit) {
    for len in [0, 16, 64, 1000] {
        platform(|knobs| knobs.qe_auth_data = vec![0x5a; len]).add(
            kit,
            &format!("qe-auth-data-{len}"),
            "authentication data of the quoting enclave of another length than usual",
            accepted(),
        );
    }
    platform(|knobs| knobs.quoting_enclave = QuotingEnclave::LongReportData).add(
        kit,
        "qe-report-data-long",
        "report data of the quoting enclave that does not end in zeros",
        rejected(&["tdx.qe.attestation_key"]),
    );
    const CERTIFICATION_TYPE: usize = 48 + 584 + 4 + 64 + 64;
    type Bend = fn(&mut Vec<u8>);
    let types: [(&str, Bend, &str); 2] = [
        (
            "certification-of-a-pck-id",
            |q| q[CERTIFICATION_TYPE] = 3,
            "unsupported",
        ),
        (
            "certification-unknown",
            |q| q[CERTIFICATION_TYPE] = 9,
            "malformed",
        ),
    ];
    for (name, bend, decision) in types {
        Made {
            bend,
            ..platform(|_| {})
        }
        .add(
            kit,
            name,
            "certification data of another kind",
            expected(decision, &["tdx.quote.format"]),
        );
    }
}
