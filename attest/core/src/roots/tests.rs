//! Roots: the vendors' are the ones written down, and supplied ones never pass for them.

use super::*;
use crate::encoding::to_base64;

fn pem(der: &[u8]) -> String {
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        to_base64(der)
    )
}

#[test]
fn the_compiled_in_roots_are_the_ones_written_down_and_authorities() {
    let roots = Roots::vendor();
    assert_eq!(roots.origin().as_str(), "vendor");
    for (place, kind) in RootKind::ALL.into_iter().enumerate() {
        assert_eq!(kind.place(), place);
        let fingerprint = roots.fingerprint(kind).expect("a root of each kind");
        assert_eq!(fingerprint.to_hex(), kind.vendor_sha256());
        let again = Roots::none().with(kind, kind.vendor_der()).unwrap();
        assert_eq!(again.fingerprint(kind), Some(fingerprint));
    }
}

#[test]
fn what_was_not_supplied_is_not_trusted() {
    let milan = RootKind::AmdMilan;
    let roots = Roots::none().with(milan, milan.vendor_der()).unwrap();
    for kind in RootKind::ALL {
        assert_eq!(roots.fingerprint(kind).is_some(), kind == milan);
    }
    assert!(Roots::none().is_empty() && !roots.is_empty());
}

#[test]
fn a_root_added_to_the_vendors_leaves_none_of_theirs() {
    let device = RootKind::NvidiaDevice;
    let roots = Roots::vendor().with(device, device.vendor_der()).unwrap();
    assert_eq!(roots.origin(), RootOrigin::Supplied);
    assert_eq!(roots.fingerprint(RootKind::Intel), None);
}

#[test]
fn pem_and_der_are_both_read_and_are_never_called_the_vendors() {
    let der = Roots::supplied(RootKind::Intel.vendor_der()).unwrap();
    let pem = Roots::supplied(pem(RootKind::Intel.vendor_der()).as_bytes()).unwrap();
    assert_eq!(der, pem);
    assert_eq!(der.origin(), RootOrigin::Supplied);
    assert_ne!(der, Roots::vendor());
}

#[test]
fn what_is_no_root_is_refused_each_with_its_own_error() {
    assert_eq!(Roots::supplied(b""), Err(RootsError::NotACertificate));
    assert_eq!(Roots::supplied(b"hello"), Err(RootsError::NotACertificate));
    assert_eq!(
        Roots::supplied(&RootKind::Intel.vendor_der()[..RootKind::Intel.vendor_der().len() - 1]),
        Err(RootsError::NotACertificate)
    );
    let mut longer = RootKind::Intel.vendor_der().to_vec();
    longer.push(0);
    assert_eq!(Roots::supplied(&longer), Err(RootsError::NotACertificate));
    let twice = pem(RootKind::Intel.vendor_der()).repeat(2);
    assert_eq!(
        Roots::supplied(twice.as_bytes()),
        Err(RootsError::MoreThanOne)
    );
    assert_eq!(
        Roots::supplied(&vec![0x30; 20_000]),
        Err(RootsError::TooLarge)
    );
}
