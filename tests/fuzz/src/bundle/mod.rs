//! Bundles of a TDX quote and its collateral, changed by their structure and signed again by whom they
//! have to be: what lies behind the signatures is visited, too.
//!
//! All of it is the software platform's, whose keys are known. Every bundle follows from its number.

mod der;
mod json;

use attest_core::{ReportData, TdxCollateral};
use fuzz_targets::{NOW, SEED};
use vendors::intel::certificates::signed;
use vendors::intel::keys::Key;
use vendors::intel::{MockIntel, pem_certificate};
use vendors::{TdMeasurements, Vendors};

use crate::mutate::{Numbers, mutant};

const SIGNED_LEN: usize = 48 + 584;
const QE_REPORT_LEN: usize = 384;

/// A quote with what it is verified by.
#[derive(Clone)]
pub struct Bundle {
    pub quote: Vec<u8>,
    pub collateral: TdxCollateral,
}

/// Makes bundles.
pub struct Bundles {
    platform: Vendors,
    healthy: Bundle,
    parts: Parts,
}

/// What a quote is made of.
#[derive(Clone)]
struct Parts {
    /// Header and body.
    signed: Vec<u8>,
    qe_report: Vec<u8>,
    auth_data: Vec<u8>,
    /// DER: PCK certificate, authority, root.
    chain: Vec<Vec<u8>>,
}

impl Default for Bundles {
    fn default() -> Self {
        let platform = Vendors::from_seed(&SEED, NOW);
        let td = TdMeasurements::named("bundle");
        let quote = platform.quote(&td, &ReportData::observed([0x3c; 64]));
        let collateral = platform.collateral().tdx.expect("Intel's");
        let qe = SIGNED_LEN + 4 + 64 + 64 + 6;
        let auth = qe + QE_REPORT_LEN + 64 + 2;
        let hierarchy = platform.intel().hierarchy();
        let chain = [&hierarchy.pck, &hierarchy.platform_ca, &hierarchy.root];
        Self {
            parts: Parts {
                signed: quote[..SIGNED_LEN].to_vec(),
                qe_report: quote[qe..qe + QE_REPORT_LEN].to_vec(),
                auth_data: quote[auth..auth + 32].to_vec(),
                chain: chain.map(|issued| issued.der.clone()).to_vec(),
            },
            healthy: Bundle { quote, collateral },
            platform,
        }
    }
}

impl Bundles {
    /// What is changed.
    pub fn healthy(&self) -> &Bundle {
        &self.healthy
    }

    pub fn roots(&self) -> attest_core::Roots {
        self.platform.roots()
    }

    pub fn root_der(&self) -> &[u8] {
        self.intel().root_der()
    }

    fn intel(&self) -> &MockIntel {
        self.platform.intel()
    }

    /// The bundle of this number: the healthy one, changed in one or two ways.
    pub fn make(&self, number: u64) -> Bundle {
        self.changed(Numbers::from(number))
    }

    /// The same, each choice made by the bytes in turn.
    pub fn make_by(&self, bytes: &[u8]) -> Bundle {
        self.changed(Numbers::from_bytes(bytes))
    }

    fn changed(&self, mut numbers: Numbers) -> Bundle {
        let mut bundle = self.healthy.clone();
        let mut parts = self.parts.clone();
        for _ in 0..=numbers.below(3) / 2 {
            self.change(&mut bundle, &mut parts, &mut numbers);
        }
        bundle
    }

    fn change(&self, bundle: &mut Bundle, parts: &mut Parts, numbers: &mut Numbers) {
        let collateral = &mut bundle.collateral;
        let hierarchy = self.intel().hierarchy();
        let signer = &hierarchy.tcb_signing.key;
        match numbers.below(12) {
            0..=2 => {
                collateral.tcb_info = json::changed(&collateral.tcb_info, numbers);
                collateral.tcb_info_signature = signer.sign_raw(collateral.tcb_info.as_bytes());
            }
            3 | 4 => {
                collateral.qe_identity = json::changed(&collateral.qe_identity, numbers);
                let signature = signer.sign_raw(collateral.qe_identity.as_bytes());
                collateral.qe_identity_signature = signature;
            }
            5 | 6 => {
                let authority = &hierarchy.platform_ca.key;
                parts.chain[0] = resigned(&parts.chain[0], authority, numbers);
                bundle.quote = self.quote(parts);
            }
            7 => {
                let root = &hierarchy.root.key;
                let certificate = resigned(&hierarchy.platform_ca.der, root, numbers);
                match numbers.below(3) {
                    0 => {
                        parts.chain[1] = certificate;
                        bundle.quote = self.quote(parts);
                    }
                    1 => collateral.pck_crl_issuer_chain = self.chain(&certificate),
                    _ => {
                        collateral.pck_crl_issuer_chain = self.chain(&certificate);
                        parts.chain[1] = certificate;
                        bundle.quote = self.quote(parts);
                    }
                }
            }
            8 => {
                let root = &hierarchy.root.key;
                let certificate = resigned(&hierarchy.tcb_signing.der, root, numbers);
                let chain = self.chain(&certificate);
                if numbers.below(2) == 0 {
                    collateral.qe_identity_issuer_chain = chain.clone();
                }
                collateral.tcb_info_issuer_chain = chain;
            }
            9 => match numbers.below(2) {
                0 => {
                    let list = &mut collateral.root_ca_crl;
                    *list = resigned(list, &hierarchy.root.key, numbers);
                }
                _ => {
                    let list = &mut collateral.pck_crl;
                    *list = resigned(list, &hierarchy.platform_ca.key, numbers);
                }
            },
            10 => {
                self.change_quote(parts, numbers);
                bundle.quote = self.quote(parts);
            }
            _ => unsigned(bundle, numbers),
        }
    }

    /// Another TD, quoting enclave or authentication data, signed all the same.
    fn change_quote(&self, parts: &mut Parts, numbers: &mut Numbers) {
        match numbers.below(4) {
            0 => {
                let len = [0, 1, 16, 31, 32, 33, 64, 500][numbers.below(8)];
                parts.auth_data = vec![0x5a; len];
                let key = self.intel().attestation_key().public_xy();
                let digest = vendors::intel::quote::attested(&key, &parts.auth_data);
                parts.qe_report[320..352].copy_from_slice(&digest);
            }
            1 => {
                let at = numbers.below(320);
                parts.qe_report[at] ^= 1 << numbers.below(8);
            }
            _ => {
                // Among the security versions and the module half of the time.
                let end = [16, SIGNED_LEN - 48][numbers.below(2)];
                let at = 48 + numbers.below(end);
                parts.signed[at] ^= 1 << numbers.below(8);
            }
        }
    }

    fn chain(&self, certificate: &[u8]) -> String {
        pem_certificate(certificate) + &pem_certificate(self.root_der())
    }

    fn quote(&self, parts: &Parts) -> Vec<u8> {
        let key = self.intel().attestation_key();
        let pck = &self.intel().hierarchy().pck.key;
        let pem: String = parts.chain.iter().map(|der| pem_certificate(der)).collect();
        let data = |kind: u16, content: &[u8]| {
            let len = (content.len() as u32).to_le_bytes();
            [&kind.to_le_bytes()[..], &len, content].concat()
        };
        let enclave = [
            &parts.qe_report[..],
            &pck.sign_raw(&parts.qe_report),
            &(parts.auth_data.len() as u16).to_le_bytes(),
            &parts.auth_data,
            &data(5, pem.as_bytes()),
        ]
        .concat();
        let signature = [
            &key.sign_raw(&parts.signed)[..],
            &key.public_xy(),
            &data(6, &enclave),
        ]
        .concat();
        let len = (signature.len() as u32).to_le_bytes();
        [&parts.signed[..], &len, &signature].concat()
    }
}

/// What is signed inside a signed object, changed, under the same signer's key.
fn resigned(object: &[u8], signer: &Key, numbers: &mut Numbers) -> Vec<u8> {
    // SEQUENCE { to be signed, algorithm, BIT STRING }
    let to_be_signed = header(object).and_then(|(header, _)| {
        let inner = object.get(header..)?;
        let (header, len) = self::header(inner)?;
        inner.get(..header + len)
    });
    match to_be_signed {
        Some(to_be_signed) => signed(&der::changed(to_be_signed, numbers), signer),
        None => object.to_vec(),
    }
}

/// How long the header of an element is, and how long its content.
fn header(der: &[u8]) -> Option<(usize, usize)> {
    match der {
        [_, 0x82, high, low, ..] => Some((4, usize::from(u16::from_be_bytes([*high, *low])))),
        [_, 0x81, len, ..] => Some((3, usize::from(*len))),
        [_, len @ 0..=0x7F, ..] => Some((2, usize::from(*len))),
        _ => None,
    }
}

/// Any byte of any part, under the signatures that were there.
fn unsigned(bundle: &mut Bundle, numbers: &mut Numbers) {
    let text = |text: &mut String, numbers: &mut Numbers| {
        let changed = mutant(&[text.clone().into_bytes()], numbers);
        *text = String::from_utf8_lossy(&changed).into_owned();
    };
    let collateral = &mut bundle.collateral;
    match numbers.below(8) {
        0..=2 => bundle.quote = mutant(std::slice::from_ref(&bundle.quote), numbers),
        3 => text(&mut collateral.tcb_info, numbers),
        4 => text(&mut collateral.qe_identity, numbers),
        5 => text(&mut collateral.tcb_info_issuer_chain, numbers),
        6 => text(&mut collateral.pck_crl_issuer_chain, numbers),
        _ => collateral.pck_crl = mutant(std::slice::from_ref(&collateral.pck_crl), numbers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parsed_quote_is_written_back_unchanged() {
        let bundles = Bundles::default();
        assert_eq!(bundles.quote(&bundles.parts), bundles.healthy.quote);
    }

    #[test]
    fn the_given_bytes_choose_what_is_changed() {
        let bundles = Bundles::default();
        // One change; among quote's parts; of its authentication data; to no bytes at all.
        let empty = bundles.make_by(&[0, 0, 10, 0, 0, 0, 0, 0]);
        assert_eq!(empty.collateral, bundles.healthy.collateral);
        assert_eq!(empty.quote.len() + 32, bundles.healthy.quote.len());
        let one = bundles.make_by(&[0, 0, 10, 0, 0, 0, 1, 0]);
        assert_eq!(one.quote.len() + 31, bundles.healthy.quote.len());
        let of_collateral = bundles.make_by(&[0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(of_collateral.quote, bundles.healthy.quote);
        assert_ne!(of_collateral.collateral, bundles.healthy.collateral);
    }

    #[test]
    fn the_same_number_gives_the_same_fuzz_bundle() {
        let bundles = Bundles::default();
        for number in 0..50 {
            let (one, again) = (bundles.make(number), bundles.make(number));
            assert_eq!(one.quote, again.quote);
            assert_eq!(one.collateral, again.collateral);
        }
    }
}
