use super::*;
use crate::collateral::TdxCollateral;
use crate::roots::{RootKind, Roots};
use crate::time::UnixTime;
use crate::verdict::{CauseKind, Outcome};

fn asked<T>(ask: impl FnOnce(&Question<'_>) -> T) -> T {
    let collateral = TdxCollateral {
        pck_crl_issuer_chain: String::new(),
        root_ca_crl: vec![],
        pck_crl: vec![],
        tcb_info_issuer_chain: String::new(),
        tcb_info: String::new(),
        tcb_info_signature: [0; 64],
        qe_identity_issuer_chain: String::new(),
        qe_identity: String::new(),
        qe_identity_signature: [0; 64],
    };
    let roots = Roots::vendor();
    ask(&Question {
        quote: b"",
        pck_chain: &super::super::chain::UnverifiedChain(Default::default()),
        root: roots.der(RootKind::Intel).unwrap(),
        collateral: &collateral,
        now: UnixTime::from_secs(1_790_000_000),
    })
}

/// What the library says, in full, and the check it must become.
const SAID: &[(&str, &str)] = &[
    (
        "Failed to parse root CA CRL: InvalidCrlSignatureForPublicKey",
        "tdx.crl",
    ),
    ("Failed to parse PCK CRL: BadDer", "tdx.crl"),
    (
        "Failed to decode TcbInfo: EOF while parsing",
        "tdx.tcb_info.signature",
    ),
    (
        "Certificate chain is too short for TCB Info",
        "tdx.tcb_info.signature",
    ),
    (
        "Failed to parse TCB Info leaf certificate: BadDer",
        "tdx.tcb_info.signature",
    ),
    (
        "TCB Info signer must be issued directly by the root CA",
        "tdx.tcb_info.signature",
    ),
    (
        "Signature is invalid for tcb_info in quote_collateral",
        "tdx.tcb_info.signature",
    ),
    (
        "Failed to decode QeIdentity: EOF while parsing",
        "tdx.qe_identity.signature",
    ),
    (
        "Certificate chain is too short for QE Identity",
        "tdx.qe_identity.signature",
    ),
    (
        "Failed to parse QE Identity leaf certificate: BadDer",
        "tdx.qe_identity.signature",
    ),
    (
        "QE Identity signer must be issued directly by the root CA",
        "tdx.qe_identity.signature",
    ),
    (
        "Signature is invalid for qe_identity in quote_collateral",
        "tdx.qe_identity.signature",
    ),
    (
        "Unsupported QE Identity id/version for the quote TEE type: QE",
        "tdx.qe.identity",
    ),
    (
        "Unsupported DCAP PCK cert format: 3. Use get_collateral()",
        "tdx.pck.chain",
    ),
    (
        "Failed to extract PCK certificates from quote: bad",
        "tdx.pck.chain",
    ),
    ("Certificate chain is too short in quote", "tdx.pck.chain"),
    ("Failed to parse PCK certificate: BadDer", "tdx.pck.chain"),
    ("Intel extension not found", "tdx.pck.chain"),
    ("Failed to find Fmspc: OID is missing", "tdx.pck.chain"),
    ("Fmspc length mismatch", "tdx.pck.chain"),
    ("CpuSvn length mismatch", "tdx.pck.chain"),
    ("PceSvn length mismatch", "tdx.pck.chain"),
    (
        "Signature is invalid for qe_report in quote",
        "tdx.qe.report_signature",
    ),
    ("Invalid QE auth data length", "tdx.qe.attestation_key"),
    ("QE report hash mismatch", "tdx.qe.attestation_key"),
    (
        "QE MRSIGNER mismatch: expected 00, got 01",
        "tdx.qe.identity",
    ),
    (
        "QE report validation failed: Debug mode is enabled",
        "tdx.qe.identity",
    ),
    (
        "QE ISVPRODID mismatch: expected 2, got 1",
        "tdx.qe.identity",
    ),
    (
        "QE MISCSELECT mismatch: expected 0 (masked), got 1 (masked)",
        "tdx.qe.identity",
    ),
    (
        "QE ATTRIBUTES mismatch at byte 0: expected 11",
        "tdx.qe.identity",
    ),
    (
        "QE ISVSVN 1 is below minimum required 2 from QE Identity",
        "tdx.qe.identity",
    ),
    ("No TCB levels found in QE Identity", "tdx.qe.identity"),
    (
        "Unrecognized TCB status SWHardeningNeeded in QE Identity",
        "tdx.qe.identity",
    ),
    (
        "ISV enclave report signature is invalid",
        "tdx.quote.signature",
    ),
    ("Failed to decode TCB FMSPC", "tdx.tcb.level"),
    ("Fmspc mismatch", "tdx.tcb.level"),
    (
        "TDX quote with non-TDX TCB info in the collateral",
        "tdx.tcb.level",
    ),
    ("No matching TCB level found", "tdx.tcb.level"),
    (
        "SGX component count mismatch: expected 16, got 1",
        "tdx.tcb.level",
    ),
    (
        "Unrecognized TCB status TDRelaunchAdvised in TCB Info",
        "tdx.tcb.level",
    ),
    (
        "TDX module TCB level check: No TDX module identity with id TDX_09",
        "tdx.tcb.level",
    ),
    (
        "Failed to evaluate the current TDX TCB (TEE_TCB_SVN2): bad",
        "tdx.tcb.level",
    ),
    (
        "TDX module identity check: TDX module MRSIGNER mismatch",
        "tdx.module.identity",
    ),
    ("TCB status is invalid: Revoked", "tdx.tcb.status"),
    ("SEPT_VE_DISABLE is not enabled", "tdx.td.sept_ve_disable"),
    (
        "Reserved bits in TD attributes are set",
        "tdx.td.attributes",
    ),
    ("TD migration is enabled", "tdx.td.attributes"),
    ("SERVTD_EXT is enabled", "tdx.td.service_td"),
];

#[test]
fn each_sentence_of_the_library_becomes_its_check() {
    for (message, check) in SAID {
        let refusal = asked(|question| classify(message, question));
        assert_eq!(refusal.check, *check, "{message}");
        assert_eq!(refusal.cause.kind(), CauseKind::Refused, "{message}");
    }
    for (sentence, ..) in SENTENCES {
        assert!(
            SAID.iter().any(|(message, _)| message.contains(sentence)),
            "no message for: {sentence}"
        );
    }
}

#[test]
fn text_from_the_evidence_can_only_make_a_refusal_earlier() {
    // A message may quote unauthenticated JSON. Since the first sentence of the table counts and
    // the table is in the library's order, nothing quoted can claim a later stage.
    assert!(SENTENCES.is_sorted_by_key(|(_, stage, ..)| *stage));
    let forged = "Failed to decode TcbInfo: unknown variant `SEPT_VE_DISABLE is not enabled`";
    let refusal = asked(|question| classify(forged, question));
    assert_eq!(refusal.check, id::TDX_TCB_INFO_SIGNATURE);
    assert!(!refusal.quote_is_signed());
}

#[test]
fn a_sentence_nobody_knows_is_a_failure_that_lets_nothing_pass() {
    let refusal = Refusal::unnamed(Cause::Unclassified("something new".into()));
    let mut checks = Checks::default();
    refusal.record(&mut checks);
    let checks = checks.into_vec();
    let failed: Vec<_> = checks
        .iter()
        .filter(|check| matches!(check.outcome, Outcome::Fail(_)))
        .map(|check| check.id)
        .collect();
    assert_eq!(failed, [id::TDX_QUOTE_SIGNATURE]);
    assert!(checks.iter().all(|check| check.outcome != Outcome::Pass));
    assert_eq!(checks.len(), CHECKS.len());
}

#[test]
fn what_came_before_the_failure_passed_and_what_came_after_was_not_evaluated() {
    let refusal = asked(|question| classify("No matching TCB level found", question));
    assert!(refusal.quote_is_signed());
    let mut checks = Checks::default();
    refusal.record(&mut checks);
    let outcomes: Vec<_> = checks
        .into_vec()
        .into_iter()
        .map(|check| (check.id, check.outcome))
        .collect();
    let (before, after) = outcomes.split_at(CHECKS.len() - 2);
    assert!(before.iter().all(|(_, outcome)| *outcome == Outcome::Pass));
    assert!(matches!(after[0], (id::TDX_TCB_LEVEL, Outcome::Fail(_))));
    assert!(matches!(
        after[1],
        (id::TDX_MODULE_IDENTITY, Outcome::NotEvaluated(_))
    ));
}
