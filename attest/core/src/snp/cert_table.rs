//! The certificate table a host hands its guest beside a report (`auxblob` of configfs-tsm, the
//! extended guest request of `/dev/sev-guest`).
//!
//! "Guest Hypervisor Communication Block Standardization" (AMD publication 56421), §4.1.8.1:
//! entries of GUID (16 bytes in the order in which its text reads, RFC 4122 §4.1.2, as AMD's own
//! tools and the hosts that use them write it), offset and length (little-endian u32, from the start
//! of the table), ended by an all-zero entry; the certificates follow, DER, or PEM where the
//! host's operator imported that. The host wrote it, so nothing in it is believed. Entries of unknown GUIDs are passed over.

use std::ops::Range;

use crate::reader::{EndsInside, Reader};
use crate::x509::{PemError, pem};

/// The most a table may weigh.
pub(crate) const MAX_TABLE_LEN: usize = 64 << 10;

const ENTRY_LEN: usize = 24;
const MAX_ENTRIES: usize = 32;

const VCEK: [u8; 16] = guid(0x63da758d_e664_4564_adc5_f4b93be8accd);
const VLEK: [u8; 16] = guid(0xa8074bc2_a25a_483e_aae6_39c045a0b8a1);
const ASK: [u8; 16] = guid(0x4ab7b379_bbac_4fe4_a02f_05aef327c782);
const ARK: [u8; 16] = guid(0xc0b406a4_a803_4952_9743_3fb6014cd0ae);
const CRL: [u8; 16] = guid(0x92f81bc3_5811_4d3d_97ff_d19f88dc67ea);

/// Why bytes are not a certificate table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertTableError {
    /// Longer than any host's table.
    #[error("the certificate table is too long")]
    TooLong,
    /// No all-zero entry ends the list, or it has too many entries.
    #[error("the certificate table has no end")]
    Unterminated,
    /// An entry points outside the table.
    #[error("a certificate table entry points outside the table")]
    OutOfBounds,
    /// Two entries for one kind of certificate.
    #[error("the certificate table has two entries of one kind")]
    Repeated,
    /// An entry is PEM that cannot be read.
    #[error("an entry of the certificate table in PEM: {0}")]
    Pem(#[from] PemError),
    /// An entry in PEM has another number of certificates than one.
    #[error("an entry of the certificate table in PEM has {0} certificates")]
    NotOne(usize),
}

impl From<EndsInside> for CertTableError {
    fn from(_: EndsInside) -> Self {
        Self::OutOfBounds
    }
}

/// The certificates of a table, DER, not verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertTable {
    /// Chip endorsement key.
    pub vcek: Option<Vec<u8>>,
    /// Loaded endorsement key.
    pub vlek: Option<Vec<u8>>,
    /// Signing key.
    pub ask: Option<Vec<u8>>,
    /// Root key. Read for completeness: the root that counts is pinned.
    pub ark: Option<Vec<u8>>,
    /// Revocation list.
    pub crl: Option<Vec<u8>>,
}

impl CertTable {
    /// Reads a table. An empty blob is an empty table: hosts may provide none.
    pub fn parse(table: &[u8]) -> Result<Self, CertTableError> {
        let mut found = Self::default();
        if table.is_empty() {
            return Ok(found);
        }
        if table.len() > MAX_TABLE_LEN {
            return Err(CertTableError::TooLong);
        }
        for entry in table.chunks_exact(ENTRY_LEN).take(MAX_ENTRIES) {
            if entry.iter().all(|byte| *byte == 0) {
                return Ok(found);
            }
            found.take(entry, table)?;
        }
        Err(CertTableError::Unterminated)
    }

    fn take(&mut self, entry: &[u8], table: &[u8]) -> Result<(), CertTableError> {
        let mut entry = Reader::new(entry);
        let kind = entry.array::<16>("kind")?;
        let (offset, length) = (entry.u32("offset")?, entry.u32("length")?);
        let bytes = range(offset, length).and_then(|range| table.get(range));
        let bytes = bytes.ok_or(CertTableError::OutOfBounds)?;
        let is_list = *kind == CRL;
        let slot = match kind {
            _ if *kind == VCEK => &mut self.vcek,
            _ if *kind == VLEK => &mut self.vlek,
            _ if *kind == ASK => &mut self.ask,
            _ if *kind == ARK => &mut self.ark,
            _ if *kind == CRL => &mut self.crl,
            _ => return Ok(()),
        };
        let der = match (pem::is_pem(bytes), is_list) {
            (false, _) => bytes.to_vec(),
            (true, true) => pem::revocation_list(bytes)?,
            (true, false) => one_certificate(bytes)?,
        };
        match slot.replace(der) {
            None => Ok(()),
            Some(_) => Err(CertTableError::Repeated),
        }
    }
}

/// The DER of a certificate that may be in PEM, as AMD's tools write it: one, and nothing else.
pub fn certificate_der(bytes: &[u8]) -> Result<Vec<u8>, CertTableError> {
    match pem::is_pem(bytes) {
        true => one_certificate(bytes),
        false => Ok(bytes.to_vec()),
    }
}

/// The same of a revocation list.
pub fn revocation_list_der(bytes: &[u8]) -> Result<Vec<u8>, CertTableError> {
    match pem::is_pem(bytes) {
        true => Ok(pem::revocation_list(bytes)?),
        false => Ok(bytes.to_vec()),
    }
}

/// The same of a signing key's certificate, which may be followed by the root's, as AMD's service
/// answers `cert_chain`.
pub fn signing_certificate_der(bytes: &[u8]) -> Result<Vec<u8>, CertTableError> {
    if !pem::is_pem(bytes) {
        return Ok(bytes.to_vec());
    }
    let mut found = pem::certificates(bytes)?;
    match found.len() {
        1 | 2 => Ok(found.swap_remove(0)),
        count => Err(CertTableError::NotOne(count)),
    }
}

fn one_certificate(text: &[u8]) -> Result<Vec<u8>, CertTableError> {
    let mut found = pem::certificates(text)?;
    match (found.pop(), found.len()) {
        (Some(der), 0) => Ok(der),
        (_, others) => Err(CertTableError::NotOne(others + 1)),
    }
}

fn range(offset: u32, length: u32) -> Option<Range<usize>> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    Some(start..end)
}

/// Unlike UEFI's GUIDs, no part of it is turned round.
const fn guid(text: u128) -> [u8; 16] {
    text.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[([u8; 16], &[u8])]) -> Vec<u8> {
        let mut head = Vec::new();
        let mut body = Vec::new();
        let start = (entries.len() + 1) * ENTRY_LEN;
        for (kind, bytes) in entries {
            head.extend_from_slice(kind);
            head.extend_from_slice(&u32::try_from(start + body.len()).unwrap().to_le_bytes());
            head.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
            body.extend_from_slice(bytes);
        }
        head.extend_from_slice(&[0; ENTRY_LEN]);
        head.extend_from_slice(&body);
        head
    }

    #[test]
    fn certificates_are_found_by_their_guid_and_unknown_ones_passed_over() {
        let parsed =
            CertTable::parse(&table(&[(VCEK, b"vcek"), ([9; 16], b"?"), (ASK, b"ask")])).unwrap();
        assert_eq!(parsed.vcek.as_deref(), Some(&b"vcek"[..]));
        assert_eq!(parsed.ask.as_deref(), Some(&b"ask"[..]));
        assert_eq!((parsed.vlek, parsed.ark, parsed.crl), (None, None, None));
        assert_eq!(CertTable::parse(b""), Ok(CertTable::default()));
    }

    fn pem_of(label: &str, der: &[u8]) -> String {
        let base64 = crate::encoding::to_base64(der);
        format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n")
    }

    #[test]
    fn entries_in_pem_are_read_as_the_der_inside() {
        let vcek = pem_of("CERTIFICATE", &[0x30; 70]);
        let list = pem_of("X509 CRL", &[0x31; 90]);
        let parsed = CertTable::parse(&table(&[
            (VCEK, vcek.as_bytes()),
            (ASK, b"ask"),
            (CRL, list.as_bytes()),
        ]));
        let parsed = parsed.unwrap();
        assert_eq!(parsed.vcek.as_deref(), Some(&[0x30; 70][..]));
        assert_eq!(parsed.ask.as_deref(), Some(&b"ask"[..]));
        assert_eq!(parsed.crl.as_deref(), Some(&[0x31; 90][..]));
    }

    #[test]
    fn an_entry_in_pem_is_one_certificate_and_nothing_else() {
        let one = pem_of("CERTIFICATE", &[7; 40]);
        let read = |text: &str| CertTable::parse(&table(&[(VCEK, text.as_bytes())]));
        assert_eq!(read(&one.repeat(2)), Err(CertTableError::NotOne(2)));
        for wrong in [
            format!("{one}x"),
            one.replace("-----END", "----END"),
            one.replace("CERTIFICATE", "X509 CRL"),
        ] {
            assert!(
                matches!(read(&wrong), Err(CertTableError::Pem(_))),
                "{wrong}"
            );
        }
        let list = table(&[(CRL, one.as_bytes())]);
        assert!(matches!(
            CertTable::parse(&list),
            Err(CertTableError::Pem(_))
        ));
    }

    #[test]
    fn guids_lie_in_the_order_in_which_their_text_reads() {
        let vcek = *b"\x63\xda\x75\x8d\xe6\x64\x45\x64\xad\xc5\xf4\xb9\x3b\xe8\xac\xcd";
        let found = CertTable::parse(&table(&[(vcek, b"vcek")])).unwrap();
        assert_eq!(found.vcek.as_deref(), Some(&b"vcek"[..]));
        // As UEFI would write it, it is another one.
        let turned = *b"\x8d\x75\xda\x63\x64\xe6\x64\x45\xad\xc5\xf4\xb9\x3b\xe8\xac\xcd";
        let passed_over = CertTable::parse(&table(&[(turned, b"vcek")])).unwrap();
        assert_eq!(passed_over, CertTable::default());
    }

    #[test]
    fn a_table_that_points_outside_itself_is_refused() {
        let whole = table(&[(VCEK, b"vcek"), (ASK, b"ask")]);
        for len in 1..whole.len() {
            let refused = CertTable::parse(&whole[..len]);
            assert!(
                matches!(
                    refused,
                    Err(CertTableError::OutOfBounds | CertTableError::Unterminated)
                ),
                "{len}: {refused:?}"
            );
        }
        let mut wraps = whole;
        wraps[16..24].copy_from_slice(&[0xFF; 8]);
        assert_eq!(CertTable::parse(&wraps), Err(CertTableError::OutOfBounds));
    }

    #[test]
    fn two_certificates_of_one_kind_leave_no_choice_to_make() {
        let twice = table(&[(VLEK, b"a"), (VLEK, b"b")]);
        assert_eq!(CertTable::parse(&twice), Err(CertTableError::Repeated));
    }
}
