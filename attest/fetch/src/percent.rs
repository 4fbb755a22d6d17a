//! Percent-decoding (RFC 3986 §2.1) of certificates in headers.

/// Decodes; `None` if an escape is incomplete or the result is not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => (digit(bytes.next()?)? << 4) | digit(bytes.next()?)?,
            plain => plain,
        });
    }
    String::from_utf8(decoded).ok()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn decodes_escapes_in_either_case_and_keeps_plus() {
        assert_eq!(decode("a%20b%0Ac%0ad+%2B").as_deref(), Some("a b\nc\nd++"));
        assert_eq!(decode("").as_deref(), Some(""));
    }

    #[test]
    fn refuses_broken_escapes_and_invalid_utf8() {
        for broken in ["%", "%2", "%zz", "a%", "%ff", "%+1"] {
            assert_eq!(decode(broken), None, "{broken}");
        }
    }
}
