//! Hexadecimal and base64, one spelling each (ACI/1 appendix A).
//!
//! ACI hashes and compares these strings, so a value that can be written in two ways is a value that
//! two implementations will disagree about. Hex is lowercase with no prefix; base64 is RFC 4648 §4 with
//! padding and zero trailing bits. Everything else is refused, each with its own error.

mod base64;
mod hex;

pub use self::base64::{parse_base64, to_base64};
pub(crate) use self::hex::write_hex;
pub use self::hex::{parse_hex, parse_hex_vec, push_hex, to_hex};

/// Why a hex or base64 string was refused. `offset` counts bytes from the start of the string.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    /// Hex of another length than the value has.
    #[error("expected {expected} hex characters, found {found}")]
    WrongLength {
        /// Characters wanted.
        expected: usize,
        /// Characters found.
        found: usize,
    },
    /// An odd number of hex characters.
    #[error("odd number of hex characters: {found}")]
    OddLength {
        /// Characters found.
        found: usize,
    },
    /// A hex digit `A`–`F`.
    #[error("upper-case hex digit at {offset}")]
    UpperCaseHex {
        /// Where.
        offset: usize,
    },
    /// A character that is no hex digit at all.
    #[error("not a hex digit at {offset}")]
    NotHex {
        /// Where.
        offset: usize,
    },
    /// The decoded value would exceed what the caller accepts.
    #[error("decodes to {decoded} bytes, more than the {max} accepted")]
    TooLong {
        /// Bytes accepted.
        max: usize,
        /// Bytes the text would decode to.
        decoded: usize,
    },
    /// A digest that does not begin with `sha256:`.
    #[error("digest does not begin with \"sha256:\"")]
    MissingDigestPrefix,
    /// White space inside base64.
    #[error("white space in base64 at {offset}")]
    Base64WhiteSpace {
        /// Where.
        offset: usize,
    },
    /// `-` or `_`: the URL-safe alphabet.
    #[error("URL-safe base64 character at {offset}")]
    Base64UrlSafe {
        /// Where.
        offset: usize,
    },
    /// A character of no base64 alphabet.
    #[error("not a base64 character at {offset}")]
    NotBase64 {
        /// Where.
        offset: usize,
    },
    /// Padding missing, too much of it, or in the middle.
    #[error("base64 padding is not canonical")]
    Base64Padding,
    /// Bits beyond the last byte that are not zero.
    #[error("base64 has non-zero trailing bits")]
    Base64TrailingBits,
}
