//! What the verifier makes of the mock NVIDIA's OCSP responses: good passes, and each bent knob is
//! refused for its own reason.

use std::sync::LazyLock;
use std::time::Duration;

use x509_parser::pem::Pem;

use attest_core::UnixTime;
use attest_core::nvidia::{OcspError, OcspFreshness, check_ocsp};
use attest_core::x509::SignedObjectError;
use vendors::nvidia::knobs::{Dates, Signer};
use vendors::nvidia::ocsp::{OcspKnobs, Responder, Status};
use vendors::nvidia::{Chip, Device, MockNvidia};

const NOW: u64 = 1_767_323_045; // 2026-01-02T03:04:05Z
const NONCE: [u8; 32] = [3; 32];

static DEVICE: LazyLock<(MockNvidia, Device)> = LazyLock::new(|| {
    let nvidia = MockNvidia::new(&[7; 32], NOW);
    let device = nvidia.healthy(Chip::Hopper, "0");
    (nvidia, device)
});

fn certificates() -> Vec<Vec<u8>> {
    Pem::iter_from_buffer(&DEVICE.1.chain_pem())
        .map(|block| block.unwrap().contents)
        .collect()
}

fn judge(knobs: &OcspKnobs, freshness: OcspFreshness<'_>) -> Result<(), OcspError> {
    let (nvidia, device) = &*DEVICE;
    let response = nvidia.ocsp(device, 1, knobs);
    let chain = certificates();
    check_ocsp(
        &response,
        &chain[1],
        &chain[2],
        freshness,
        UnixTime::from_secs(NOW),
    )
    .map(drop)
}

fn bent(bend: impl FnOnce(&mut OcspKnobs)) -> Result<(), OcspError> {
    let mut knobs = OcspKnobs::good(Some(&NONCE));
    bend(&mut knobs);
    judge(&knobs, OcspFreshness::Nonce(&NONCE))
}

#[test]
fn a_good_response_passes_by_nonce_or_by_age() {
    assert_eq!(bent(|_| {}), Ok(()));
    let by_age = OcspFreshness::MaxAge(Duration::from_secs(7 * 24 * 3600));
    assert_eq!(judge(&OcspKnobs::good(None), by_age), Ok(()));
    assert_eq!(bent(|knobs| knobs.responder = Responder::Issuer), Ok(()));
}

#[test]
fn distinguishes_revoked_on_hold_and_unknown() {
    assert!(matches!(
        bent(|knobs| knobs.status = Status::Revoked),
        Err(OcspError::Revoked { .. })
    ));
    assert!(matches!(
        bent(|knobs| knobs.status = Status::OnHold),
        Err(OcspError::OnHold { .. })
    ));
    assert_eq!(
        bent(|knobs| knobs.status = Status::Unknown),
        Err(OcspError::Unknown)
    );
}

#[test]
fn rejects_a_responder_that_the_issuer_did_not_delegate() {
    for responder in [
        Responder::WithoutPurpose,
        Responder::Forged,
        Responder::Expired,
    ] {
        assert_eq!(
            bent(|knobs| knobs.responder = responder),
            Err(OcspError::Responder),
            "{responder:?}"
        );
    }
    assert_eq!(
        bent(|knobs| knobs.signer = Signer::Impostor),
        Err(OcspError::Signature(SignedObjectError::Signature))
    );
}

#[test]
fn a_response_must_be_fresh_and_about_this_certificate() {
    assert_eq!(
        bent(|knobs| knobs.nonce = Some(vec![9; 32])),
        Err(OcspError::Nonce)
    );
    assert_eq!(bent(|knobs| knobs.nonce = None), Err(OcspError::Nonce));
    assert_eq!(
        bent(|knobs| knobs.another_certificate = true),
        Err(OcspError::OtherCertificate)
    );
    assert!(matches!(
        bent(|knobs| knobs.dates = Dates::Expired),
        Err(OcspError::Stale { .. })
    ));
    let by_age = OcspFreshness::MaxAge(Duration::ZERO);
    assert!(matches!(
        judge(&OcspKnobs::good(None), by_age),
        Err(OcspError::Stale { .. })
    ));
}

#[test]
fn reports_an_error_response_as_such() {
    assert_eq!(
        bent(|knobs| knobs.response_status = 6),
        Err(OcspError::Unsuccessful(6))
    );
}

#[test]
fn rejects_every_truncated_response_without_a_panic() {
    let (nvidia, device) = &*DEVICE;
    let response = nvidia.ocsp(device, 1, &OcspKnobs::good(Some(&NONCE)));
    let chain = certificates();
    for len in 0..response.len() {
        let judged = check_ocsp(
            &response[..len],
            &chain[1],
            &chain[2],
            OcspFreshness::Nonce(&NONCE),
            UnixTime::from_secs(NOW),
        );
        assert_eq!(judged, Err(OcspError::Format), "{len}");
    }
}
