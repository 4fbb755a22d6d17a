//! Standard base64 with padding, canonical only.

use base64::{DecodeError, Engine, engine::general_purpose::STANDARD};

use super::EncodingError;

/// Standard base64 of `bytes`, padded.
///
/// ```
/// assert_eq!(attest_core::to_base64(b"a"), "YQ==");
/// ```
pub fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads canonical base64 of at most `max_len` decoded bytes.
///
/// ```
/// use attest_core::{EncodingError, parse_base64};
/// assert_eq!(parse_base64("YQ==", 1), Ok(b"a".to_vec()));
/// assert_eq!(parse_base64("YR==", 1), Err(EncodingError::Base64TrailingBits));
/// assert_eq!(parse_base64("YQ", 1), Err(EncodingError::Base64Padding));
/// ```
pub fn parse_base64(text: &str, max_len: usize) -> Result<Vec<u8>, EncodingError> {
    let padding = text
        .bytes()
        .rev()
        .take_while(|b| *b == b'=')
        .take(2)
        .count();
    let decoded = (text.len() / 4 * 3).saturating_sub(padding);
    if decoded > max_len {
        return Err(EncodingError::TooLong {
            max: max_len,
            decoded,
        });
    }
    STANDARD.decode(text).map_err(|error| reason(text, error))
}

/// Alphabet first, so that the reason named is the one a person would name.
fn reason(text: &str, error: DecodeError) -> EncodingError {
    for (offset, character) in text.bytes().enumerate() {
        if let Err(outside) = check_character(character, offset) {
            return outside;
        }
    }
    match error {
        DecodeError::InvalidLastSymbol(..) => EncodingError::Base64TrailingBits,
        DecodeError::InvalidByte(..)
        | DecodeError::InvalidLength(..)
        | DecodeError::InvalidPadding => EncodingError::Base64Padding,
    }
}

fn check_character(character: u8, offset: usize) -> Result<(), EncodingError> {
    match character {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' | b'=' => Ok(()),
        b' ' | b'\t' | b'\r' | b'\n' => Err(EncodingError::Base64WhiteSpace { offset }),
        b'-' | b'_' => Err(EncodingError::Base64UrlSafe { offset }),
        _ => Err(EncodingError::NotBase64 { offset }),
    }
}
