//! Certificate revocation lists (RFC 5280 §5), complete ones of one issuer.

use super::der::{INTEGER, SEQUENCE, element, only, take};
use super::signed::{SignedObject, SignedObjectError};
use super::strict::{self, Extension};
use super::strict_certificate::StrictCertificate;
use crate::time::UnixTime;

/// Intel's longest is near 100 KiB.
pub(crate) const MAX_CRL_LEN: usize = 512 << 10;

const EXTENSIONS: u8 = 0xA0;
/// 2.5.29.20.
const CRL_NUMBER: &[u8] = &[0x55, 0x1D, 0x14];
/// 2.5.29.35.
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1D, 0x23];

/// Why bytes are not a revocation list that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationListError {
    /// Not one DER revocation list of version 2, or too long.
    #[error("not a DER revocation list")]
    NotDer,
    /// It does not say until when it holds.
    #[error("it has no nextUpdate")]
    NoNextUpdate,
    /// It has no CRL number or authority key id, one twice, or a critical extension, which would
    /// say that it is not a complete list of its issuer.
    #[error("its extensions are not those of a complete list")]
    Extensions,
}

/// A revocation list, read. Nothing about it is verified.
pub(crate) struct RevocationList<'a> {
    /// The issuer's name, DER.
    pub(crate) issuer: &'a [u8],
    pub(crate) this_update: UnixTime,
    pub(crate) next_update: UnixTime,
    /// Serial numbers, big-endian without leading zeros.
    pub(crate) revoked: Vec<Vec<u8>>,
    signed: SignedObject<'a>,
}

impl<'a> RevocationList<'a> {
    /// Reads exactly one list, element by element as RFC 5280 writes it.
    pub(crate) fn parse(der: &'a [u8]) -> Result<Self, RevocationListError> {
        let not_der = RevocationListError::NotDer;
        if der.len() > MAX_CRL_LEN {
            return Err(not_der);
        }
        let signed = SignedObject::split(der).map_err(|_| not_der)?;
        let mut rest = signed.tbs();
        rest = take(&mut rest, SEQUENCE).ok_or(not_der)?.content;
        let issuer = issuer(&mut rest, signed.algorithm()).ok_or(not_der)?;
        let this_update = strict::time(&mut rest).ok_or(not_der)?;
        if !strict::time_is_next(rest) {
            return Err(RevocationListError::NoNextUpdate);
        }
        let next_update = strict::time(&mut rest).ok_or(not_der)?;
        let entries = entries(&mut rest).ok_or(not_der)?;
        let extensions = only(rest, EXTENSIONS).map(|it| strict::extensions(it.content));
        let extensions = extensions.flatten().ok_or(not_der)?;
        if !are_of_a_complete_list(&extensions) || entries.any_critical {
            return Err(RevocationListError::Extensions);
        }
        Ok(Self {
            issuer,
            this_update,
            next_update,
            revoked: entries.serials,
            signed,
        })
    }

    /// Checks the list's signature under the key of `issuer`, and that `issuer` is whom it names.
    pub(crate) fn verify_issued_by(
        &self,
        issuer: &StrictCertificate<'_>,
    ) -> Result<(), SignedObjectError> {
        issuer.verify_signed(self.issuer, &self.signed)
    }
}

/// Of a list of version 2, signed by the algorithm that stands outside it (§5.1.1.2).
fn issuer<'a>(rest: &mut &'a [u8], algorithm: &[u8]) -> Option<&'a [u8]> {
    (strict::integer(rest)? == [1]).then_some(())?;
    (take(rest, SEQUENCE)?.whole == algorithm).then_some(())?;
    strict::name(rest)
}

/// What a list revokes.
#[derive(Default)]
struct Entries {
    serials: Vec<Vec<u8>>,
    any_critical: bool,
}

fn entries(rest: &mut &[u8]) -> Option<Entries> {
    let mut found = Entries::default();
    // A list that revokes nothing has no list of entries.
    if element(rest).is_none_or(|(next, _)| next.tag != SEQUENCE) {
        return Some(found);
    }
    let mut entries = take(rest, SEQUENCE)?.content;
    while !entries.is_empty() {
        let mut entry = take(&mut entries, SEQUENCE)?.content;
        let serial = strict::integer(&mut entry)?;
        found.serials.push(without_leading_zeros(serial).to_vec());
        strict::time(&mut entry)?;
        if !entry.is_empty() {
            let extensions = strict::extensions(entry)?;
            found.any_critical |= extensions.iter().any(|it| it.critical);
        }
    }
    Some(found)
}

/// One number, one authority key id, and nothing that would make the list an incomplete one.
fn are_of_a_complete_list(extensions: &[Extension<'_>]) -> bool {
    let count = |oid: &[u8]| extensions.iter().filter(|it| it.oid == oid).count();
    let number = extensions.iter().find(|it| it.oid == CRL_NUMBER);
    let number = number.and_then(|it| only(it.value, INTEGER));
    // Not negative, and of at most twenty bytes (§5.2.3).
    let is_number = number
        .and_then(|number| Some((*number.content.first()?, number.content.len())))
        .is_some_and(|(first, len)| first < 0x80 && len <= 20);
    is_number
        && count(CRL_NUMBER) == 1
        && count(AUTHORITY_KEY_ID) == 1
        && extensions.iter().all(|it| !it.critical)
}

/// The one spelling of a serial number that is compared.
pub(crate) fn without_leading_zeros(serial: &[u8]) -> &[u8] {
    let zeros = serial.iter().take_while(|byte| **byte == 0).count();
    serial.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALGORITHM: &[u8] = &[
        0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02,
    ];
    const NUMBER: &[u8] = &[
        0x30, 0x0A, 0x06, 0x03, 0x55, 0x1D, 0x14, 0x04, 0x03, 0x02, 0x01, 0x07,
    ];
    const KEY_ID: &[u8] = &[
        0x30, 0x0B, 0x06, 0x03, 0x55, 0x1D, 0x23, 0x04, 0x04, 0x30, 0x02, 0x80, 0x00,
    ];
    const CRITICAL_KEY_ID: &[u8] = &[
        0x30, 0x0E, 0x06, 0x03, 0x55, 0x1D, 0x23, 0x01, 0x01, 0xFF, 0x04, 0x04, 0x30, 0x02, 0x80,
        0x00,
    ];

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let mut header = vec![tag, content.len() as u8];
        if content.len() > 0x7F {
            header = vec![tag, 0x81, content.len() as u8];
        }
        [header, content].concat()
    }

    fn time(text: &str) -> Vec<u8> {
        der(0x17, &[text.as_bytes()])
    }

    /// A list whose signature is of no matter here.
    fn list(version: u8, times: &[&str], entries: &[u8], extensions: &[&[u8]]) -> Vec<u8> {
        let times: Vec<u8> = times.iter().flat_map(|text| time(text)).collect();
        let extensions = der(EXTENSIONS, &[&der(0x30, extensions)]);
        let signed = der(
            0x30,
            &[
                &[0x02, 0x01, version],
                ALGORITHM,
                &der(0x30, &[]),
                &times,
                entries,
                &extensions,
            ],
        );
        der(0x30, &[&signed, ALGORITHM, &[0x03, 0x02, 0x00, 0xAA]])
    }

    const TIMES: [&str; 2] = ["260101000000Z", "260201000000Z"];

    fn error(list: &[u8]) -> Option<RevocationListError> {
        RevocationList::parse(list).err()
    }

    #[test]
    fn reads_dates_and_serial_numbers() {
        let entry = |serial: &[u8]| der(0x30, &[&der(0x02, &[serial]), &time(TIMES[0])]);
        let entries = der(0x30, &[&entry(&[0, 0xFE]), &entry(&[5])]);
        let whole = list(1, &TIMES, &entries, &[NUMBER, KEY_ID]);
        let read = RevocationList::parse(&whole).ok().unwrap();
        assert_eq!(read.revoked, [vec![0xFE], vec![5]]);
        assert_eq!(read.this_update.to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(read.next_update.to_string(), "2026-02-01T00:00:00Z");
        for len in 0..whole.len() {
            assert!(error(&whole[..len]).is_some(), "{len}");
        }
        let longer = [&whole[..], &[0]].concat();
        assert_eq!(error(&longer), Some(RevocationListError::NotDer));
        let no_number = der(0x30, &[&entry(&[])]);
        let no_number = list(1, &TIMES, &no_number, &[NUMBER, KEY_ID]);
        assert_eq!(error(&no_number), Some(RevocationListError::NotDer));
    }

    #[test]
    fn another_version_or_a_date_that_is_none_is_refused() {
        let not_der = Some(RevocationListError::NotDer);
        assert_eq!(error(&list(0, &TIMES, &[], &[NUMBER, KEY_ID])), not_der);
        for date in [
            "261301000000Z",
            "2601010000Z",
            "260101000000+",
            "26010100000aZ",
        ] {
            let whole = list(1, &[date, TIMES[1]], &[], &[NUMBER, KEY_ID]);
            assert_eq!(error(&whole), not_der, "{date}");
        }
    }

    #[test]
    fn a_list_that_does_not_say_until_when_it_holds_is_refused() {
        let whole = list(1, &TIMES[..1], &[], &[NUMBER, KEY_ID]);
        assert_eq!(error(&whole), Some(RevocationListError::NoNextUpdate));
    }

    #[test]
    fn the_extensions_are_those_of_a_complete_list() {
        let refused = Some(RevocationListError::Extensions);
        let with = |extensions: &[&[u8]]| error(&list(1, &TIMES, &[], extensions));
        assert_eq!(with(&[NUMBER, KEY_ID]), None);
        assert_eq!(with(&[NUMBER]), refused);
        assert_eq!(with(&[KEY_ID]), refused);
        assert_eq!(with(&[NUMBER, NUMBER, KEY_ID]), refused);
        assert_eq!(with(&[NUMBER, KEY_ID, KEY_ID]), refused);
        assert_eq!(with(&[NUMBER, CRITICAL_KEY_ID]), refused);
        let entry = [
            &der(0x02, &[&[5]])[..],
            &time(TIMES[0]),
            &der(0x30, &[CRITICAL_KEY_ID]),
        ];
        let entries = der(0x30, &[&der(0x30, &entry)]);
        let whole = list(1, &TIMES, &entries, &[NUMBER, KEY_ID]);
        assert_eq!(error(&whole), refused);
    }
}
