//! The certificate table a host hands its guest beside a report (`auxblob` of configfs-tsm, the
//! extended guest request of `/dev/sev-guest`).
//!
//! "Guest Hypervisor Communication Block Standardization" (AMD publication 56421), §4.1.8.1:
//! entries of GUID (16 bytes, as UEFI writes them), offset and length (little-endian u32, from the
//! start of the table), ended by an all-zero entry; the certificates follow, DER. The host wrote
//! it, so nothing in it is believed. Entries of unknown GUIDs are passed over.

/// The most a table may weigh.
pub const MAX_TABLE_LEN: usize = 64 << 10;

const ENTRY_LEN: usize = 24;
const MAX_ENTRIES: usize = 32;

/// 63da758d-e664-4564-adc5-f4b93be8accd
const VCEK: [u8; 16] = guid(
    0x63da758d,
    0xe664,
    0x4564,
    [0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd],
);
/// a8074bc2-a25a-483e-aae6-39c045a0b8a1
const VLEK: [u8; 16] = guid(
    0xa8074bc2,
    0xa25a,
    0x483e,
    [0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8, 0xa1],
);
/// 4ab7b379-bbac-4fe4-a02f-05aef327c782
const ASK: [u8; 16] = guid(
    0x4ab7b379,
    0xbbac,
    0x4fe4,
    [0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7, 0x82],
);
/// c0b406a4-a803-4952-9743-3fb6014cd0ae
const ARK: [u8; 16] = guid(
    0xc0b406a4,
    0xa803,
    0x4952,
    [0x97, 0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0, 0xae],
);
/// 92f81bc3-5811-4d3d-97ff-d19f88dc67ea
const CRL: [u8; 16] = guid(
    0x92f81bc3,
    0x5811,
    0x4d3d,
    [0x97, 0xff, 0xd1, 0x9f, 0x88, 0xdc, 0x67, 0xea],
);

/// Why bytes are not a certificate table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
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
}

/// The certificates of a table, DER, unjudged.
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
        let (kind, place) = entry.split_at(16);
        let (offset, length) = place.split_at(4);
        let bytes = number(offset)
            .zip(number(length))
            .and_then(|(offset, length)| table.get(offset..offset.checked_add(length)?))
            .ok_or(CertTableError::OutOfBounds)?;
        let slot = match kind {
            _ if *kind == VCEK => &mut self.vcek,
            _ if *kind == VLEK => &mut self.vlek,
            _ if *kind == ASK => &mut self.ask,
            _ if *kind == ARK => &mut self.ark,
            _ if *kind == CRL => &mut self.crl,
            _ => return Ok(()),
        };
        match slot.replace(bytes.to_vec()) {
            None => Ok(()),
            Some(_) => Err(CertTableError::Repeated),
        }
    }
}

fn number(bytes: &[u8]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
}

/// A GUID in the byte order UEFI stores it: the first three fields little-endian.
const fn guid(a: u32, b: u16, c: u16, d: [u8; 8]) -> [u8; 16] {
    let (a, b, c) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
    [
        a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6],
        d[7],
    ]
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
