//! Roots: the vendors' are the ones written down, and supplied ones never pass for them.

use super::*;
use crate::encoding::to_base64;

fn pem(der: &[u8]) -> String {
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        to_base64(der)
    )
}

/// As the vendors publish them.
const fn vendor_sha256(kind: RootKind) -> &'static str {
    match kind {
        RootKind::Intel => "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3",
        RootKind::AmdMilan => "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",
        RootKind::AmdGenoa => "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",
        RootKind::AmdTurin => "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",
        RootKind::NvidiaDevice => {
            "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48"
        }
        RootKind::NvidiaRim => "12977b5115acb0381179279fffeb5a8c4d264971ebb32298023a465fa41df5d1",
    }
}

#[test]
fn the_compiled_in_roots_are_the_ones_written_down_and_authorities() {
    let roots = Roots::vendor();
    assert_eq!(roots.origin().as_str(), "vendor");
    for (place, kind) in RootKind::ALL.into_iter().enumerate() {
        assert_eq!(kind.place(), place);
        let fingerprint = roots.fingerprint(kind).expect("a root of each kind");
        assert_eq!(fingerprint.to_hex(), vendor_sha256(kind));
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
