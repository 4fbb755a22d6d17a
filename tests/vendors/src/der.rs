//! The little DER that certificates and CRLs need, written out by hand so that every byte of the
//! mock hierarchy is decided here and follows from the seed.

use crate::base64::base64;
use crate::intel::calendar;

pub fn tlv(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match contents.len() {
        short @ 0..=0x7f => out.push(short as u8),
        long => {
            let length = long.to_be_bytes();
            let significant: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
            out.push(0x80 | significant.len() as u8);
            out.extend(significant);
        }
    }
    out.extend_from_slice(contents);
    out
}

pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

pub fn set(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x31, &parts.concat())
}

/// A context-specific constructed tag, `[number]`.
pub fn context(number: u8, contents: &[u8]) -> Vec<u8> {
    tlv(0xa0 | number, contents)
}

/// A non-negative INTEGER from big-endian bytes.
pub fn integer(bytes: &[u8]) -> Vec<u8> {
    let mut value: Vec<u8> = bytes
        .iter()
        .copied()
        .skip_while(|byte| *byte == 0)
        .collect();
    if value.first().is_none_or(|byte| *byte >= 0x80) {
        value.insert(0, 0);
    }
    tlv(0x02, &value)
}

pub fn enumerated(value: u8) -> Vec<u8> {
    tlv(0x0a, &[value])
}

pub fn boolean(value: bool) -> Vec<u8> {
    tlv(0x01, &[if value { 0xff } else { 0x00 }])
}

pub fn octets(contents: &[u8]) -> Vec<u8> {
    tlv(0x04, contents)
}

/// A BIT STRING whose last byte leaves `unused` bits out.
pub fn bits(contents: &[u8], unused: u8) -> Vec<u8> {
    let mut value = vec![unused];
    value.extend_from_slice(contents);
    tlv(0x03, &value)
}

pub fn utf8(text: &str) -> Vec<u8> {
    tlv(0x0c, text.as_bytes())
}

pub fn printable(text: &str) -> Vec<u8> {
    tlv(0x13, text.as_bytes())
}

/// An X.509 Time: UTCTime until 2049, GeneralizedTime from 2050 on (RFC 5280 §4.1.2.5).
pub fn time(unix: u64) -> Vec<u8> {
    let digits: String = calendar::rfc3339(unix)
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    if digits.as_str() < "2050" {
        tlv(0x17, format!("{}Z", &digits[2..]).as_bytes())
    } else {
        tlv(0x18, format!("{digits}Z").as_bytes())
    }
}

pub fn oid(arcs: &[u64]) -> Vec<u8> {
    let (first, second) = (arcs[0], arcs[1]);
    let mut value = base128(first * 40 + second);
    for arc in &arcs[2..] {
        value.extend(base128(*arc));
    }
    tlv(0x06, &value)
}

fn base128(mut arc: u64) -> Vec<u8> {
    let mut out = vec![(arc & 0x7f) as u8];
    arc >>= 7;
    while arc > 0 {
        out.insert(0, 0x80 | (arc & 0x7f) as u8);
        arc >>= 7;
    }
    out
}

/// One `-----BEGIN label-----` block, 64 characters to a line.
pub fn pem(label: &str, der: &[u8]) -> String {
    let text = base64(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_integers_are_minimal() {
        assert_eq!(tlv(0x04, &[0; 0x80])[..3], [0x04, 0x81, 0x80]);
        assert_eq!(tlv(0x04, &[0; 0x1234])[..4], [0x04, 0x82, 0x12, 0x34]);
        assert_eq!(integer(&[0, 0, 0x80]), [0x02, 0x02, 0x00, 0x80]);
        assert_eq!(integer(&[0]), [0x02, 0x01, 0x00]);
    }

    #[test]
    fn the_sgx_extension_oid_encodes_as_intel_writes_it() {
        assert_eq!(
            oid(&[1, 2, 840, 113741, 1, 13, 1]),
            [
                0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01
            ]
        );
    }

    #[test]
    fn times_switch_format_in_2050() {
        assert_eq!(time(0), [b"\x17\x0d".as_slice(), b"700101000000Z"].concat());
        assert_eq!(
            time(2_524_608_000),
            [b"\x18\x0f".as_slice(), b"20500101000000Z"].concat()
        );
    }
}
