//! What wraps reports and certificates on their way to a guest: the host's certificate table, and
//! Azure's report of the host compatibility layer (HCL).

use ring::digest::{SHA256, digest};

/// A GUID in the order of its text (RFC 4122 §4.1.2), as hosts write it; UEFI's would be turned round.
pub type Guid = [u8; 16];

/// 63da758d-e664-4564-adc5-f4b93be8accd
pub const VCEK: Guid = *b"\x63\xda\x75\x8d\xe6\x64\x45\x64\xad\xc5\xf4\xb9\x3b\xe8\xac\xcd";
/// a8074bc2-a25a-483e-aae6-39c045a0b8a1
pub const VLEK: Guid = *b"\xa8\x07\x4b\xc2\xa2\x5a\x48\x3e\xaa\xe6\x39\xc0\x45\xa0\xb8\xa1";
/// 4ab7b379-bbac-4fe4-a02f-05aef327c782
pub const ASK: Guid = *b"\x4a\xb7\xb3\x79\xbb\xac\x4f\xe4\xa0\x2f\x05\xae\xf3\x27\xc7\x82";
/// c0b406a4-a803-4952-9743-3fb6014cd0ae
pub const ARK: Guid = *b"\xc0\xb4\x06\xa4\xa8\x03\x49\x52\x97\x43\x3f\xb6\x01\x4c\xd0\xae";
/// 92f81bc3-5811-4d3d-97ff-d19f88dc67ea
pub const CRL: Guid = *b"\x92\xf8\x1b\xc3\x58\x11\x4d\x3d\x97\xff\xd1\x9f\x88\xdc\x67\xea";

const ENTRY_LEN: usize = 24;

/// AMD publication 56421 §4.1.8.1: entries of GUID, offset and length, an all-zero entry, contents.
pub fn certificate_table(entries: &[(Guid, &[u8])]) -> Vec<u8> {
    let (mut head, mut body) = (Vec::new(), Vec::new());
    let start = (entries.len() + 1) * ENTRY_LEN;
    for (guid, contents) in entries {
        head.extend_from_slice(guid);
        head.extend_from_slice(&((start + body.len()) as u32).to_le_bytes());
        head.extend_from_slice(&(contents.len() as u32).to_le_bytes());
        body.extend_from_slice(contents);
    }
    head.extend_from_slice(&[0; ENTRY_LEN]);
    head.extend(body);
    head
}

/// The report data of a report that commits to `claims`.
pub fn commitment(claims: &[u8]) -> [u8; 64] {
    let mut data = [0; 64];
    data[..32].copy_from_slice(digest(&SHA256, claims).as_ref());
    data
}

/// An HCL report's frame. Every field may be bent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hcl {
    pub signature: [u8; 4],
    /// 2 is SEV-SNP.
    pub report_type: u32,
    /// 1 is SHA-256.
    pub hash_type: u32,
    /// What the frame says about the length of the claims.
    pub claims_len: u32,
    /// JSON.
    pub claims: Vec<u8>,
}

impl Hcl {
    pub fn around(claims: &[u8]) -> Self {
        Self {
            signature: *b"HCLA",
            report_type: 2,
            hash_type: 1,
            claims_len: claims.len() as u32,
            claims: claims.to_vec(),
        }
    }

    /// Header, report, claims header, claims, and zeros up to the size of the TPM's index.
    pub fn wrap(&self, report: &[u8]) -> Vec<u8> {
        const VERSION: u32 = 2;
        const ATTESTATION: u32 = 1;
        const INDEX_LEN: usize = 2600;
        let words = |words: &[u32]| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_le_bytes()).collect()
        };
        let mut blob = self.signature.to_vec();
        blob.extend(words(&[
            VERSION,
            report.len() as u32,
            ATTESTATION,
            0,
            0,
            0,
            0,
        ]));
        blob.extend_from_slice(report);
        blob.extend(words(&[
            20 + self.claims_len,
            1,
            self.report_type,
            self.hash_type,
            self.claims_len,
        ]));
        blob.extend_from_slice(&self.claims);
        if blob.len() < INDEX_LEN {
            blob.resize(INDEX_LEN, 0);
        }
        blob
    }
}
