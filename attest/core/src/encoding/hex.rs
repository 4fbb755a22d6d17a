//! Lowercase hexadecimal.

use super::EncodingError;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Lowercase hex of `bytes`.
///
/// ```
/// assert_eq!(attest_core::to_hex(&[0, 0xab]), "00ab");
/// ```
pub fn to_hex(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len() * 2);
    write_hex(&mut out, bytes);
    String::from_utf8(out).expect("hex digits are ASCII")
}

/// Appends the lowercase hex of `bytes` to `text`.
pub fn push_hex(text: &mut String, bytes: &[u8]) {
    text.reserve(2 * bytes.len());
    for byte in bytes {
        text.extend(PAIRS[usize::from(*byte)].map(char::from));
    }
}

/// Appends the lowercase hex of `bytes` to `out`.
pub(crate) fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    // Made room for once: a check for each digit costs more than the digit.
    let start = out.len();
    out.resize(start + 2 * bytes.len(), 0);
    let (pairs, _) = out[start..].as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        *pair = PAIRS[usize::from(*byte)];
    }
}

/// The two digits of each byte.
const PAIRS: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < pairs.len() {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

/// Reads exactly `N` bytes of lowercase hex.
///
/// ```
/// use attest_core::{EncodingError, parse_hex};
/// assert_eq!(parse_hex::<2>("00ab"), Ok([0, 0xab]));
/// assert_eq!(parse_hex::<2>("00AB"), Err(EncodingError::UpperCaseHex { offset: 2 }));
/// ```
pub fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], EncodingError> {
    if text.len() != 2 * N {
        return Err(EncodingError::WrongLength {
            expected: 2 * N,
            found: text.len(),
        });
    }
    let mut bytes = [0; N];
    decode_into(text, &mut bytes)?;
    Ok(bytes)
}

/// Reads lowercase hex of at most `max_len` decoded bytes.
pub fn parse_hex_vec(text: &str, max_len: usize) -> Result<Vec<u8>, EncodingError> {
    if !text.len().is_multiple_of(2) {
        return Err(EncodingError::OddLength { found: text.len() });
    }
    let decoded = text.len() / 2;
    if decoded > max_len {
        return Err(EncodingError::TooLong {
            max: max_len,
            decoded,
        });
    }
    let mut bytes = vec![0; decoded];
    decode_into(text, &mut bytes)?;
    Ok(bytes)
}

fn decode_into(text: &str, out: &mut [u8]) -> Result<(), EncodingError> {
    let (pairs, _) = text.as_bytes().as_chunks::<2>();
    for (index, ([high, low], byte)) in pairs.iter().zip(out).enumerate() {
        let value = |digit: u8| VALUES[usize::from(digit)];
        let (of_high, of_low) = (value(*high), value(*low));
        if (of_high | of_low) > 15 {
            digit(*high, 2 * index)?;
            digit(*low, 2 * index + 1)?;
        }
        *byte = of_high << 4 | of_low;
    }
    Ok(())
}

/// The value of each character that is a digit; of the others, more than fifteen.
const VALUES: [u8; 256] = {
    let mut values = [0xFF; 256];
    let mut digit = 0;
    while digit < DIGITS.len() {
        values[DIGITS[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

fn digit(character: u8, offset: usize) -> Result<u8, EncodingError> {
    match character {
        b'0'..=b'9' => Ok(character - b'0'),
        b'a'..=b'f' => Ok(character - b'a' + 10),
        b'A'..=b'F' => Err(EncodingError::UpperCaseHex { offset }),
        _ => Err(EncodingError::NotHex { offset }),
    }
}
