//! The mock AMD hierarchy against the verifier: a healthy chain verifies, and each bent knob of its
//! certificates and revocation lists fails the one step that it breaks.

use attest_core::UnixTime;
use attest_core::snp::{
    ChainError, Component, Link, Product, RevocationError, VekClaims, VekError, VekKind,
    VerifiedVek, check_revocation, verify_chain,
};
use attest_core::x509::{SignedObjectError, X509Error};
use vendors::amd::MockAmd;
use vendors::amd::knobs::{
    Algorithm, Authorities, Claims, CrlKnobs, CrlSigner, Dates, EndorsementKey, Knobs, Names,
    Processor, Revoked, Signer,
};

const NOW: u64 = 1_790_000_000;
const DAY: u64 = 86_400;
const SEED: [u8; 32] = [7; 32];

fn product(processor: Processor) -> Product {
    match processor {
        Processor::Milan => Product::Milan,
        Processor::Genoa | Processor::Siena => Product::Genoa,
        Processor::Turin => Product::Turin,
    }
}

fn bent(processor: Processor, key: EndorsementKey, bend: impl FnOnce(&mut Knobs)) -> MockAmd {
    let mut knobs = Knobs::healthy(processor, key);
    bend(&mut knobs);
    MockAmd::new(&SEED, knobs, NOW)
}

fn verify_at(machine: &MockAmd, now: u64) -> Result<VerifiedVek, ChainError> {
    verify_chain(
        machine.vek(),
        machine.ask(),
        machine.ark(),
        product(machine.knobs().processor),
        UnixTime::from_secs(now),
    )
}

/// Why the chain of a Milan machine with a chip key is refused once it is bent.
fn refusal(bend: impl FnOnce(&mut Knobs)) -> ChainError {
    verify_at(&bent(Processor::Milan, EndorsementKey::Vcek, bend), NOW)
        .expect_err("a bent chain is refused")
}

fn claims_refusal(processor: Processor, key: EndorsementKey, claims: Claims) -> ChainError {
    verify_at(&bent(processor, key, |knobs| knobs.claims = claims), NOW)
        .expect_err("a bent certificate is refused")
}

fn bad_signature(link: Link) -> ChainError {
    let error = SignedObjectError::Signature;
    ChainError::Signature { link, error }
}

#[test]
fn every_product_and_kind_of_key_verifies_and_reports_what_was_certified() {
    for processor in Processor::ALL {
        for key in [EndorsementKey::Vcek, EndorsementKey::Vlek] {
            let machine = MockAmd::healthy(&SEED, processor, key, NOW);
            let verified = verify_at(&machine, NOW).expect("a healthy chain");
            let claims = verified.claims();
            assert_eq!(claims, &VekClaims::parse(machine.vek()).unwrap());
            assert_eq!(claims.product, product(processor));
            let fmc = (processor == Processor::Turin).then_some(1);
            assert_eq!(claims.tcb.fmc, fmc);
            assert_eq!((claims.tcb.boot_loader, claims.tcb.tee), (4, 2));
            assert_eq!(claims.tcb.get(Component::Snp), Some(24));
            assert_eq!(claims.tcb.microcode, 219);
            match key {
                EndorsementKey::Vcek => {
                    let hwid = &machine.chip_id()[..processor.hwid_len()];
                    assert_eq!(claims.kind, VekKind::Vcek);
                    assert_eq!(claims.hwid.as_deref(), Some(hwid));
                    assert_eq!(claims.csp_id, None);
                }
                EndorsementKey::Vlek => {
                    assert_eq!(claims.kind, VekKind::Vlek);
                    assert_eq!(claims.hwid, None);
                    assert_eq!(claims.csp_id.as_deref(), Some("CN=cloud.invalid"));
                }
            }
        }
    }
}

#[test]
fn a_vcek_is_valid_for_seven_years_and_a_vlek_for_one() {
    for (key, years) in [(EndorsementKey::Vcek, 7), (EndorsementKey::Vlek, 1)] {
        let machine = MockAmd::healthy(&SEED, Processor::Genoa, key, NOW);
        let from = NOW - 90 * DAY;
        let until = from + years * 365 * DAY;
        let verified = verify_at(&machine, NOW).unwrap();
        assert_eq!(verified.valid_until(), UnixTime::from_secs(until));
        assert!(verify_at(&machine, from).is_ok() && verify_at(&machine, until).is_ok());
        let (link, not_after) = (Link::Vek, UnixTime::from_secs(until));
        assert_eq!(
            verify_at(&machine, until + 1),
            Err(ChainError::Expired { link, not_after })
        );
        let not_before = UnixTime::from_secs(from);
        assert_eq!(
            verify_at(&machine, from - 1),
            Err(ChainError::NotYetValid { link, not_before })
        );
    }
}

#[test]
fn rejects_a_chain_from_another_root() {
    let pinned = MockAmd::healthy(&SEED, Processor::Milan, EndorsementKey::Vcek, NOW);
    let other = bent(Processor::Milan, EndorsementKey::Vcek, |knobs| {
        knobs.root = Signer::Impostor;
    });
    assert!(verify_at(&other, NOW).is_ok(), "whole under its own root");
    let refused = verify_chain(
        other.vek(),
        other.ask(),
        pinned.ark(),
        Product::Milan,
        UnixTime::from_secs(NOW),
    );
    assert_eq!(refused, Err(bad_signature(Link::Ask)));
}

#[test]
fn each_signature_of_the_chain_is_checked() {
    assert_eq!(
        refusal(|knobs| knobs.ask_signer = Signer::Impostor),
        bad_signature(Link::Ask)
    );
    assert_eq!(
        refusal(|knobs| knobs.vek_signer = Signer::Impostor),
        bad_signature(Link::Vek)
    );
    assert_eq!(
        refusal(|knobs| knobs.algorithm = Algorithm::PssSha256),
        ChainError::Signature {
            link: Link::Vek,
            error: SignedObjectError::Algorithm
        }
    );
    assert_eq!(
        refusal(|knobs| knobs.names = Names::VekIssuedUnderAnotherName),
        ChainError::Signature {
            link: Link::Vek,
            error: SignedObjectError::Issuer
        }
    );
}

#[test]
fn rejects_a_root_edited_after_signing() {
    let machine = MockAmd::healthy(&SEED, Processor::Milan, EndorsementKey::Vcek, NOW);
    let mut ark = machine.ark().to_vec();
    *ark.last_mut().unwrap() ^= 1;
    let refused = verify_chain(
        machine.vek(),
        machine.ask(),
        &ark,
        Product::Milan,
        UnixTime::from_secs(NOW),
    );
    assert_eq!(refused, Err(bad_signature(Link::Ark)));
}

#[test]
fn rejects_a_key_of_another_kind_or_product() {
    let name = |link| ChainError::Name { link };
    assert_eq!(
        refusal(|knobs| knobs.names = Names::ArkOfAnotherProduct),
        name(Link::Ark)
    );
    assert_eq!(
        refusal(|knobs| knobs.names = Names::AskOfAnotherProduct),
        name(Link::Ask)
    );
    for key in [EndorsementKey::Vcek, EndorsementKey::Vlek] {
        let crossed = bent(Processor::Milan, key, |knobs| {
            knobs.names = Names::AskOfTheOtherKind;
        });
        assert_eq!(verify_at(&crossed, NOW), Err(name(Link::Ask)));
    }
    assert_eq!(
        refusal(|knobs| knobs.claims = Claims::AnotherProduct),
        name(Link::Vek)
    );
    let machine = MockAmd::healthy(&SEED, Processor::Milan, EndorsementKey::Vcek, NOW);
    let as_genoa = verify_chain(
        machine.vek(),
        machine.ask(),
        machine.ark(),
        Product::Genoa,
        UnixTime::from_secs(NOW),
    );
    assert_eq!(as_genoa, Err(name(Link::Ark)));
}

#[test]
fn rejects_an_authority_without_the_ca_flag() {
    for (authorities, link) in [
        (Authorities::ArkSaysNot, Link::Ark),
        (Authorities::AskSaysNot, Link::Ask),
        (Authorities::AskDoesNotSay, Link::Ask),
    ] {
        assert_eq!(
            refusal(|knobs| knobs.authorities = authorities),
            ChainError::NotAnAuthority { link }
        );
    }
}

#[test]
fn rejects_every_certificate_outside_its_dates() {
    type Bend = fn(&mut Knobs, Dates);
    let links: [(Link, Bend); 3] = [
        (Link::Ark, |knobs, dates| knobs.ark_dates = dates),
        (Link::Ask, |knobs, dates| knobs.ask_dates = dates),
        (Link::Vek, |knobs, dates| knobs.vek_dates = dates),
    ];
    for (link, bend) in links {
        let not_after = UnixTime::from_secs(NOW - DAY);
        assert_eq!(
            refusal(|knobs| bend(knobs, Dates::Expired)),
            ChainError::Expired { link, not_after }
        );
        let not_before = UnixTime::from_secs(NOW + DAY);
        assert_eq!(
            refusal(|knobs| bend(knobs, Dates::NotYetValid)),
            ChainError::NotYetValid { link, not_before }
        );
    }
}

#[test]
fn rejects_a_certificate_without_amds_extensions() {
    use EndorsementKey::Vcek;
    use Processor::{Milan, Turin};
    for (processor, claims, error) in [
        (Milan, Claims::ShortHardwareId, VekError::HardwareId),
        (Milan, Claims::WrappedHardwareId, VekError::HardwareId),
        (Turin, Claims::ShortHardwareId, VekError::HardwareId),
        (Milan, Claims::UnknownProduct, VekError::Product),
        (Milan, Claims::NoProduct, VekError::Product),
        (
            Milan,
            Claims::NoMicrocodeVersion,
            VekError::SecurityVersions,
        ),
        (Milan, Claims::NegativeVersion, VekError::SecurityVersions),
        (Milan, Claims::PaddedVersion, VekError::SecurityVersions),
        (
            Milan,
            Claims::ReservedVersionInUse,
            VekError::SecurityVersions,
        ),
        (
            Turin,
            Claims::ReservedVersionInUse,
            VekError::SecurityVersions,
        ),
        (
            Milan,
            Claims::FmcOfTheOtherLayout,
            VekError::SecurityVersions,
        ),
        (
            Turin,
            Claims::FmcOfTheOtherLayout,
            VekError::SecurityVersions,
        ),
        (Milan, Claims::RepeatedExtension, VekError::Repeated),
        (Milan, Claims::AnotherCurve, VekError::NotP384),
    ] {
        assert_eq!(
            claims_refusal(processor, Vcek, claims),
            ChainError::Claims(error),
            "{claims:?}"
        );
    }
    assert_eq!(
        refusal(|knobs| knobs.names = Names::VekIsNoEndorsementKey),
        ChainError::Claims(VekError::NotAnEndorsementKey)
    );
}

#[test]
fn names_the_certificate_that_cannot_be_parsed() {
    let machine = MockAmd::healthy(&SEED, Processor::Milan, EndorsementKey::Vcek, NOW);
    let chain = [machine.vek(), machine.ask(), machine.ark()];
    let links = [Link::Vek, Link::Ask, Link::Ark];
    for (place, link) in links.into_iter().enumerate() {
        for (junk, error) in [
            (chain[place][1..].to_vec(), X509Error::NotDer),
            ([chain[place], &[0]].concat(), X509Error::NotDer),
            (vec![0x30; 9000], X509Error::TooLong),
        ] {
            let mut bent = chain;
            bent[place] = &junk;
            let [vek, ask, ark] = bent;
            assert_eq!(
                verify_chain(vek, ask, ark, Product::Milan, UnixTime::from_secs(NOW)),
                Err(ChainError::Format { link, error })
            );
        }
    }
}

#[test]
fn a_revocation_list_decides_on_the_signing_key() {
    for key in [EndorsementKey::Vcek, EndorsementKey::Vlek] {
        let until = Ok(UnixTime::from_secs(NOW + 29 * DAY));
        assert_eq!(revocation(key, |_| {}), until);
        assert_eq!(revocation(key, |crl| crl.revoked = Revoked::Nothing), until);
        assert_eq!(
            revocation(key, |crl| crl.revoked = Revoked::Ask),
            Err(RevocationError::Revoked(Link::Ask))
        );
    }
}

#[test]
fn rejects_an_expired_revocation_list_and_one_of_another_root() {
    use EndorsementKey::Vcek;
    assert_eq!(
        revocation(Vcek, |crl| crl.dates = Dates::Expired),
        Err(RevocationError::Expired)
    );
    assert_eq!(
        revocation(Vcek, |crl| crl.dates = Dates::NotYetValid),
        Err(RevocationError::NotYetValid(UnixTime::from_secs(NOW + DAY)))
    );
    assert_eq!(
        revocation(Vcek, |crl| crl.signer = CrlSigner::Impostor),
        Err(RevocationError::Signature(SignedObjectError::Signature))
    );
    assert_eq!(
        revocation(Vcek, |crl| crl.signer = CrlSigner::Ask),
        Err(RevocationError::Signature(SignedObjectError::Issuer))
    );
    let machine = MockAmd::healthy(&SEED, Processor::Milan, Vcek, NOW);
    let crl = machine.crl();
    for junk in [
        &crl[1..],
        &[crl.as_slice(), &[0]].concat(),
        &[],
        machine.ask(),
    ] {
        let now = UnixTime::from_secs(NOW);
        assert_eq!(
            check_revocation(junk, machine.ask(), machine.ark(), now),
            Err(RevocationError::Format)
        );
    }
}

fn revocation(
    key: EndorsementKey,
    bend: impl FnOnce(&mut CrlKnobs),
) -> Result<UnixTime, RevocationError> {
    let machine = bent(Processor::Milan, key, |knobs| bend(&mut knobs.crl));
    check_revocation(
        &machine.crl(),
        machine.ask(),
        machine.ark(),
        UnixTime::from_secs(NOW),
    )
}
