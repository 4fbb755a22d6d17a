//! The elements of certificates and lists, exactly as RFC 5280 writes them down.
//!
//! Readers that are lenient about elements they have no use for (other tags, bytes that follow) can
//! read one certificate in two ways. Only a vendor's key could sign such a thing, and Intel's does not.
//! Refusing it leaves one reading of what is signed.

use super::der::{
    BOOLEAN, GENERALIZED_TIME, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, SET, UTC_TIME,
    element, only, take,
};
use crate::time::UnixTime;

/// 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// UTF8String, PrintableString, IA5String.
const STRINGS: [u8; 3] = [0x0C, 0x13, 0x16];

/// In its shortest form.
pub(super) fn integer<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    match take(rest, INTEGER)?.content {
        [] | [0, 0..=0x7F, ..] | [0xFF, 0x80..=0xFF, ..] => None,
        number => Some(number),
    }
}

fn identifier<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let arcs = take(rest, OBJECT_IDENTIFIER)?.content;
    let ends = arcs.last().is_some_and(|last| *last < 0x80);
    // An arc does not begin with zeros.
    let mut begins = std::iter::once(&0).chain(arcs).zip(arcs);
    let minimal = begins.all(|(before, first)| *before >= 0x80 || *first != 0x80);
    (ends && minimal).then_some(arcs)
}

/// Gives all of it.
pub(super) fn name<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let name = take(rest, SEQUENCE)?;
    let mut sets = name.content;
    while !sets.is_empty() {
        let set = take(&mut sets, SET)?.content;
        let mut attribute = only(set, SEQUENCE)?.content;
        identifier(&mut attribute)?;
        let (value, after) = element(attribute)?;
        (STRINGS.contains(&value.tag) && after.is_empty()).then_some(())?;
        std::str::from_utf8(value.content).ok()?;
    }
    Some(name.whole)
}

/// Whether a time comes next, and not something else.
pub(super) fn time_is_next(rest: &[u8]) -> bool {
    element(rest).is_some_and(|(next, _)| matches!(next.tag, UTC_TIME | GENERALIZED_TIME))
}

/// `YYMMDDhhmmssZ`, which is of 1950 to 2049, or with all four digits of the year.
pub(super) fn time(rest: &mut &[u8]) -> Option<UnixTime> {
    let (next, after) = element(rest)?;
    *rest = after;
    let (century, digits): (&[u8], _) = match (next.tag, next.content) {
        (UTC_TIME, [b'0'..=b'4', ..]) => (b"20", next.content),
        (UTC_TIME, [b'5'..=b'9', ..]) => (b"19", next.content),
        (GENERALIZED_TIME, _) => next.content.split_at_checked(2)?,
        _ => return None,
    };
    let [y0, y1, m0, m1, d0, d1, h0, h1, i0, i1, s0, s1, b'Z'] = *digits else {
        return None;
    };
    let [c0, c1] = *century else { return None };
    UnixTime::parse_rfc3339(
        str::from_utf8(&[
            c0, c1, y0, y1, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', i0, i1, b':', s0, s1,
            b'Z',
        ])
        .ok()?,
    )
    .ok()
}

/// The one common name in a name that was read.
pub(crate) fn common_name(name: &[u8]) -> Option<&str> {
    let mut sets = only(name, SEQUENCE)?.content;
    let mut found = None;
    while !sets.is_empty() {
        let mut attribute = only(take(&mut sets, SET)?.content, SEQUENCE)?.content;
        if identifier(&mut attribute)? == COMMON_NAME {
            let (value, _) = element(attribute)?;
            let another = found.replace(str::from_utf8(value.content).ok()?);
            another.is_none().then_some(())?;
        }
    }
    found
}

/// An algorithm and a parameter that are identifiers both. Gives all of it.
pub(super) fn elliptic_curve<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let algorithm = take(rest, SEQUENCE)?;
    let mut parts = algorithm.content;
    identifier(&mut parts)?;
    identifier(&mut parts)?;
    parts.is_empty().then_some(algorithm.whole)
}

/// One extension of a certificate, a list or an entry.
pub(crate) struct Extension<'a> {
    /// The identifier's content.
    pub(crate) oid: &'a [u8],
    pub(crate) critical: bool,
    pub(crate) value: &'a [u8],
}

/// At least one.
pub(super) fn extensions(der: &[u8]) -> Option<Vec<Extension<'_>>> {
    let mut all = only(der, SEQUENCE)?.content;
    (!all.is_empty()).then_some(())?;
    let mut found = Vec::with_capacity(8);
    while !all.is_empty() {
        let mut extension = take(&mut all, SEQUENCE)?.content;
        let oid = identifier(&mut extension)?;
        let critical = element(extension).is_some_and(|(next, _)| next.tag == BOOLEAN);
        if critical {
            // FALSE is the default, which DER leaves out.
            (take(&mut extension, BOOLEAN)?.content == [0xFF]).then_some(())?;
        }
        let value = only(extension, OCTET_STRING)?.content;
        found.push(Extension {
            oid,
            critical,
            value,
        });
    }
    Some(found)
}
