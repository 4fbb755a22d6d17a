//! The certificates of the mock hierarchy: root, Platform CA, PCK leaf and TCB signing, with the
//! extensions, order and critical flags that Intel's own carry. The subject names say that they
//! are software's.

use super::keys::{Key, derive_bytes};
use super::knobs::CertificateForm;
use crate::der::{
    bits, boolean, context, enumerated, integer, octets, oid, pem, printable, sequence, set, time,
    tlv, utf8,
};

/// Certificate dates do not depend on the platform's clock, so that the root of a seed is one root.
const ROOT_NOT_BEFORE: u64 = 1_526_899_510; // 2018-05-21T10:45:10Z
const NOT_BEFORE: u64 = 1_672_531_200; // 2023-01-01T00:00:00Z
const NOT_AFTER: u64 = 2_524_607_999; // 2049-12-31T23:59:59Z

pub const ROOT_NAME: &str = "Software SGX Root CA";
pub const PLATFORM_CA_NAME: &str = "Software SGX PCK Platform CA";
const TCB_SIGNING_NAME: &str = "Software SGX TCB Signing";
const PCK_NAME: &str = "Software SGX PCK Certificate";

const ROOT_CRL_URL: &str = "https://certificates.invalid/SoftwareSGXRootCA.der";
const PCK_CRL_URL: &str =
    "https://api.invalid/sgx/certification/v4/pckcrl?ca=platform&encoding=der";

/// The security versions and names of one platform, as its PCK certificate states them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PckClaims {
    pub ppid: [u8; 16],
    pub cpu_svn: [u8; 16],
    /// The same by its components, which TCB levels are matched by.
    pub components: [u8; 16],
    pub pce_svn: u8,
    pub pce_id: [u8; 2],
    pub fmspc: [u8; 6],
    pub platform_instance_id: [u8; 16],
}

/// A certificate with its key and its place in the chain.
#[derive(Clone)]
pub struct Issued {
    pub der: Vec<u8>,
    pub key: Key,
    pub serial: [u8; 20],
}

impl Issued {
    pub fn pem(&self) -> String {
        pem("CERTIFICATE", &self.der)
    }

    pub fn key_id(&self) -> Vec<u8> {
        key_id(&self.key)
    }
}

/// Every certificate of one seed.
#[derive(Clone)]
pub struct Hierarchy {
    pub root: Issued,
    pub platform_ca: Issued,
    pub tcb_signing: Issued,
    pub pck: Issued,
    /// Of another machine under the same authority.
    pub other_pck: Issued,
}

impl Hierarchy {
    pub fn derive(seed: &[u8; 32], claims: &PckClaims, form: CertificateForm) -> Self {
        let root = root_key(seed);
        let authority = Key::derive(seed, PLATFORM_CA_NAME);
        let of_authority = |place| issue(seed, place, &root, None, form);
        let pck = match form {
            CertificateForm::PckUnderRoot => issue(seed, Place::Pck, &root, Some(claims), form),
            _ => issue(seed, Place::Pck, &authority, Some(claims), form),
        };
        let other = PckClaims {
            ppid: claims.ppid.map(|byte| byte ^ 0xff),
            ..claims.clone()
        };
        Self {
            root: of_authority(Place::Root),
            platform_ca: of_authority(Place::PlatformCa),
            tcb_signing: match form {
                CertificateForm::SignerIsThePck => pck.clone(),
                _ => of_authority(Place::TcbSigning),
            },
            pck,
            other_pck: issue(seed, Place::Pck, &authority, Some(&other), form),
        }
    }

    /// PCK leaf, Platform CA, root: the order in which quotes carry them.
    pub fn pck_chain_pem(&self) -> String {
        [self.pck.pem(), self.platform_ca.pem(), self.root.pem()].concat()
    }

    pub fn pck_crl_chain_pem(&self) -> String {
        [self.platform_ca.pem(), self.root.pem()].concat()
    }

    pub fn tcb_signing_chain_pem(&self) -> String {
        [self.tcb_signing.pem(), self.root.pem()].concat()
    }
}

fn root_key(seed: &[u8; 32]) -> Key {
    Key::derive(seed, ROOT_NAME)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    PlatformCa,
    TcbSigning,
    Pck,
}

impl Place {
    fn subject(self) -> &'static str {
        match self {
            Self::Root => ROOT_NAME,
            Self::PlatformCa => PLATFORM_CA_NAME,
            Self::TcbSigning => TCB_SIGNING_NAME,
            Self::Pck => PCK_NAME,
        }
    }

    fn issuer(self) -> &'static str {
        match self {
            Self::Pck => PLATFORM_CA_NAME,
            _ => ROOT_NAME,
        }
    }

    fn crl_url(self) -> &'static str {
        match self {
            Self::Pck => PCK_CRL_URL,
            _ => ROOT_CRL_URL,
        }
    }

    /// The path length of a CA, `None` for a leaf.
    fn path_length(self) -> Option<u8> {
        match self {
            Self::Root => Some(1),
            Self::PlatformCa => Some(0),
            Self::TcbSigning | Self::Pck => None,
        }
    }
}

// RFC 5280 §4.1
fn issue(
    seed: &[u8; 32],
    place: Place,
    issuer: &Key,
    claims: Option<&PckClaims>,
    form: CertificateForm,
) -> Issued {
    use CertificateForm as Form;
    let subject = match (place, form) {
        (Place::Pck, Form::PckNamedOtherwise)
        | (Place::PlatformCa, Form::PlatformCaNamedOtherwise)
        | (Place::TcbSigning, Form::SignerNamedOtherwise) => "Software certificate",
        _ => place.subject(),
    };
    let issuer_name = match (place, form) {
        (Place::Pck, Form::PckUnderRoot) => ROOT_NAME,
        (Place::Pck, Form::PlatformCaNamedOtherwise) => "Software certificate",
        _ => place.issuer(),
    };
    let key = Key::derive(seed, place.subject());
    let mut serial: [u8; 20] = derive_bytes(seed, &format!("serial/{}", place.subject()))[..20]
        .try_into()
        .expect("20 of 32 bytes");
    serial[0] = serial[0] & 0x7f | 0x40;
    let not_before = if place == Place::Root {
        ROOT_NOT_BEFORE
    } else {
        NOT_BEFORE
    };
    let to_be_signed = sequence(&[
        context(0, &integer(&[2])),
        integer(&serial),
        ecdsa_with_sha256(),
        name(issuer_name),
        sequence(&[time(not_before), time(NOT_AFTER)]),
        name(subject),
        public_key_info(&key),
        context(3, &extensions(place, &key, issuer, claims, form)),
    ]);
    Issued {
        der: signed(&to_be_signed, issuer),
        key,
        serial,
    }
}

/// `SIGNED { to_be_signed }`, the frame that certificates and CRLs share.
pub fn signed(to_be_signed: &[u8], issuer: &Key) -> Vec<u8> {
    sequence(&[
        to_be_signed.to_vec(),
        ecdsa_with_sha256(),
        bits(&issuer.sign_der(to_be_signed), 0),
    ])
}

pub fn ecdsa_with_sha256() -> Vec<u8> {
    sequence(&[oid(&[1, 2, 840, 10045, 4, 3, 2])])
}

/// A distinguished name with the attributes and string types of Intel's.
pub fn name(common_name: &str) -> Vec<u8> {
    let attribute = |last_arc, value| set(&[sequence(&[oid(&[2, 5, 4, last_arc]), value])]);
    sequence(&[
        attribute(3, utf8(common_name)),
        attribute(10, utf8("Sealgate testkit, not Intel")),
        attribute(7, utf8("Nowhere")),
        attribute(6, printable("ZZ")),
    ])
}

fn public_key_info(key: &Key) -> Vec<u8> {
    let point = [&[0x04][..], &key.public_xy()].concat();
    sequence(&[
        sequence(&[
            oid(&[1, 2, 840, 10045, 2, 1]),
            oid(&[1, 2, 840, 10045, 3, 1, 7]),
        ]),
        bits(&point, 0),
    ])
}

fn key_id(key: &Key) -> Vec<u8> {
    let point = [&[0x04][..], &key.public_xy()].concat();
    ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &point)
        .as_ref()
        .to_vec()
}

/// `authorityKeyIdentifier`, also an extension of CRLs.
pub fn authority_key_id(issuer_key_id: &[u8]) -> Vec<u8> {
    extension(
        &[2, 5, 29, 35],
        false,
        sequence(&[tlv(0x80, issuer_key_id)]),
    )
}

pub fn extension(id: &[u64], critical: bool, value: Vec<u8>) -> Vec<u8> {
    let mut parts = vec![oid(id)];
    if critical {
        parts.push(boolean(true));
    }
    parts.push(octets(&value));
    sequence(&parts)
}

fn extensions(
    place: Place,
    key: &Key,
    issuer: &Key,
    claims: Option<&PckClaims>,
    form: CertificateForm,
) -> Vec<u8> {
    use CertificateForm as Form;
    let crl = tlv(0x86, place.crl_url().as_bytes());
    let distribution = sequence(&[sequence(&[context(0, &context(0, &crl))])]);
    let path_length = match (place, form) {
        (Place::Pck, Form::PckIsAuthority) | (Place::TcbSigning, Form::SignerIsAuthority) => {
            Some(0)
        }
        (Place::PlatformCa, Form::PlatformCaIsNoAuthority) => None,
        _ => place.path_length(),
    };
    let (usage, constraints) = match path_length {
        Some(length) => {
            let usage = match (place, form) {
                (Place::PlatformCa, Form::PlatformCaSignsNoLists) => bits(&[0x04], 2),
                _ => bits(&[0x06], 1),
            };
            (usage, sequence(&[boolean(true), integer(&[length])]))
        }
        None => (bits(&[0xc0], 6), sequence(&[])),
    };
    let mut list = vec![
        authority_key_id(&key_id(issuer)),
        extension(&[2, 5, 29, 31], false, distribution),
        extension(&[2, 5, 29, 14], false, octets(&key_id(key))),
        extension(&[2, 5, 29, 15], true, usage),
        extension(&[2, 5, 29, 19], true, constraints),
    ];
    if place == Place::Pck && form == Form::PckWithUnknownCriticalExtension {
        list.push(extension(&[2, 5, 29, 99], true, octets(&[])));
    }
    if let Some(claims) = claims
        && form != Form::PckWithoutSgxExtension
    {
        list.push(extension(&SGX, false, sgx_extension(claims, form)));
    }
    sequence(&list)
}

const SGX: [u64; 7] = [1, 2, 840, 113_741, 1, 13, 1];

// Intel SGX PCK Certificate and CRL Profile Specification, "SGX Extensions"
fn sgx_extension(claims: &PckClaims, form: CertificateForm) -> Vec<u8> {
    use CertificateForm as Form;
    let entry = |arcs: &[u64], value| sequence(&[oid(&[&SGX[..], arcs].concat()), value]);
    let mut tcb: Vec<Vec<u8>> = (1u64..)
        .zip(claims.components)
        .map(|(component, svn)| entry(&[2, component], integer(&[svn])))
        .collect();
    tcb.push(entry(&[2, 17], integer(&[claims.pce_svn])));
    tcb.push(entry(&[2, 18], octets(&claims.cpu_svn)));
    let ppid = match form {
        Form::PckWithShortPpid => &claims.ppid[..15],
        _ => &claims.ppid,
    };
    let sgx_type = match form {
        Form::PckWithUnknownSgxType => 9,
        _ => 1,
    };
    let mut entries = vec![
        entry(&[1], octets(ppid)),
        entry(&[2], sequence(&tcb)),
        entry(&[3], octets(&claims.pce_id)),
        entry(&[4], octets(&claims.fmspc)),
        entry(&[5], enumerated(sgx_type)),
        entry(&[6], octets(&claims.platform_instance_id)),
        entry(
            &[7],
            sequence(&[
                entry(&[7, 1], boolean(true)),
                entry(&[7, 2], boolean(true)),
                entry(&[7, 3], boolean(true)),
            ]),
        ),
    ];
    match form {
        Form::PckWithTwoFmspcs => entries.push(entry(&[4], octets(&[0xff; 6]))),
        Form::PckWithUnknownSgxEntry => entries.push(entry(&[8], octets(&[0]))),
        Form::PckWithoutPceId => {
            entries.remove(2);
        }
        _ => {}
    }
    sequence(&entries)
}
