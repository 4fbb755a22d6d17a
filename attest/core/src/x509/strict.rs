//! Whether certificates and lists are exactly what RFC 5280 writes down, element by element.
//!
//! The library that reads values is lenient about elements it has no use for: other tags, bytes that
//! follow. Only a vendor's key could sign such a thing, and no vendor does. Refusing it leaves one
//! reading of what is signed.

use super::der::{
    BIT_STRING, BOOLEAN, GENERALIZED_TIME, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, SET,
    UTC_TIME, element, only, take,
};

const VERSION: u8 = 0xA0;
const CERTIFICATE_EXTENSIONS: u8 = 0xA3;
const LIST_EXTENSIONS: u8 = 0xA0;
/// UTF8String, PrintableString, IA5String.
const STRINGS: [u8; 3] = [0x0C, 0x13, 0x16];

/// Whether `tbs` is the signed part of a certificate of version 3 without unique ids, signed by the
/// algorithm that stands outside it.
pub(super) fn is_certificate(tbs: &[u8], algorithm: &[u8]) -> bool {
    certificate(tbs, algorithm).is_some()
}

/// Whether `tbs` is the signed part of a list of version 2, signed by the algorithm that stands outside
/// it.
pub(super) fn is_list(tbs: &[u8], algorithm: &[u8]) -> bool {
    list(tbs, algorithm).is_some()
}

fn certificate(tbs: &[u8], algorithm: &[u8]) -> Option<()> {
    let mut rest = only(tbs, SEQUENCE)?.content;
    let version = take(&mut rest, VERSION)?;
    (only(version.content, INTEGER)?.content == [2]).then_some(())?;
    integer(&mut rest)?;
    (take(&mut rest, SEQUENCE)?.whole == algorithm).then_some(())?;
    name(&mut rest)?;
    let mut validity = take(&mut rest, SEQUENCE)?.content;
    time(&mut validity)?;
    time(&mut validity)?;
    validity.is_empty().then_some(())?;
    name(&mut rest)?;
    public_key(&mut rest)?;
    extensions(only(rest, CERTIFICATE_EXTENSIONS)?.content)
}

fn list(tbs: &[u8], algorithm: &[u8]) -> Option<()> {
    let mut rest = only(tbs, SEQUENCE)?.content;
    (take(&mut rest, INTEGER)?.content == [1]).then_some(())?;
    (take(&mut rest, SEQUENCE)?.whole == algorithm).then_some(())?;
    name(&mut rest)?;
    time(&mut rest)?;
    time(&mut rest)?;
    if element(rest).is_some_and(|(next, _)| next.tag == SEQUENCE) {
        let mut entries = take(&mut rest, SEQUENCE)?.content;
        while !entries.is_empty() {
            let mut entry = take(&mut entries, SEQUENCE)?.content;
            integer(&mut entry)?;
            time(&mut entry)?;
            if !entry.is_empty() {
                extensions(entry)?;
            }
        }
    }
    extensions(only(rest, LIST_EXTENSIONS)?.content)
}

/// In its shortest form.
fn integer(rest: &mut &[u8]) -> Option<()> {
    match take(rest, INTEGER)?.content {
        [] | [0, 0..=0x7F, ..] | [0xFF, 0x80..=0xFF, ..] => None,
        _ => Some(()),
    }
}

fn identifier(rest: &mut &[u8]) -> Option<()> {
    let arcs = take(rest, OBJECT_IDENTIFIER)?.content;
    let ends = arcs.last().is_some_and(|last| *last < 0x80);
    // An arc does not begin with zeros.
    let mut begins = std::iter::once(&0).chain(arcs).zip(arcs);
    let minimal = begins.all(|(before, first)| *before >= 0x80 || *first != 0x80);
    (ends && minimal).then_some(())
}

fn name(rest: &mut &[u8]) -> Option<()> {
    let mut sets = take(rest, SEQUENCE)?.content;
    while !sets.is_empty() {
        let set = take(&mut sets, SET)?.content;
        let mut attribute = only(set, SEQUENCE)?.content;
        identifier(&mut attribute)?;
        let (value, after) = element(attribute)?;
        (STRINGS.contains(&value.tag) && after.is_empty()).then_some(())?;
        std::str::from_utf8(value.content).ok()?;
    }
    Some(())
}

fn time(rest: &mut &[u8]) -> Option<()> {
    let (next, after) = element(rest)?;
    *rest = after;
    let len = match next.tag {
        UTC_TIME => 13,
        GENERALIZED_TIME => 15,
        _ => return None,
    };
    let (zone, digits) = next.content.split_last()?;
    let plain = next.content.len() == len && *zone == b'Z';
    (plain && digits.iter().all(u8::is_ascii_digit)).then_some(())
}

fn public_key(rest: &mut &[u8]) -> Option<()> {
    let mut key = take(rest, SEQUENCE)?.content;
    let mut algorithm = take(&mut key, SEQUENCE)?.content;
    identifier(&mut algorithm)?;
    identifier(&mut algorithm)?;
    let bits = only(key, BIT_STRING)?.content;
    (algorithm.is_empty() && bits.first() == Some(&0)).then_some(())
}

/// At least one.
fn extensions(der: &[u8]) -> Option<()> {
    let mut all = only(der, SEQUENCE)?.content;
    (!all.is_empty()).then_some(())?;
    while !all.is_empty() {
        let mut extension = take(&mut all, SEQUENCE)?.content;
        identifier(&mut extension)?;
        if element(extension).is_some_and(|(next, _)| next.tag == BOOLEAN) {
            // FALSE is the default, which DER leaves out.
            (take(&mut extension, BOOLEAN)?.content == [0xFF]).then_some(())?;
        }
        only(extension, OCTET_STRING)?;
    }
    Some(())
}
