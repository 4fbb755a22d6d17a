//! JSON as ACI artifacts use it: parsed strictly, written canonically (RFC 8259, RFC 8785).
//!
//! Digests and signatures are over the canonical form of what was parsed (ACI/1 appendix A), so the
//! parser may not guess: it refuses duplicate names, trailing bytes, nesting beyond [`MAX_DEPTH`],
//! numbers that are not integers within ±(2⁵³−1), and escapes that name no character. White space and
//! member order are free, as the specification wants.

mod canonical;
mod members;
mod parse;
mod tree;

pub use canonical::canonicalize;
pub(crate) use canonical::{
    canonical_bytes, write_canonical, write_integer, write_list, write_string, write_string_or_null,
};
pub(crate) use members::{Expected, MemberError, MemberProblem, Members};
pub use parse::parse;
pub(crate) use parse::parse_borrowed;
pub(crate) use tree::{Node, Tree, View};

/// Arrays and objects may be nested this deep.
pub const MAX_DEPTH: usize = 64;

/// The largest integer that every JSON implementation represents exactly: 2⁵³−1.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Why a text is not JSON that an artifact may be made of. Offsets count bytes from the start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Longer than the caller accepts.
    #[error("{len} bytes of JSON, more than the {max} accepted")]
    TooLong {
        /// Bytes found.
        len: usize,
        /// Bytes accepted.
        max: usize,
    },
    /// Not UTF-8.
    #[error("not UTF-8 at {offset}")]
    NotUtf8 {
        /// Where.
        offset: usize,
    },
    /// Ends in the middle of a value.
    #[error("JSON ends too early")]
    Truncated,
    /// A byte that JSON does not allow at this place.
    #[error("unexpected byte at {offset}")]
    Unexpected {
        /// Where.
        offset: usize,
    },
    /// Something after the value.
    #[error("trailing bytes at {offset}")]
    TrailingBytes {
        /// Where.
        offset: usize,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} at {offset}")]
    TooDeep {
        /// Where.
        offset: usize,
    },
    /// An object that says the same name twice.
    #[error("duplicate name before {offset}")]
    DuplicateName {
        /// Just behind the second occurrence of the name.
        offset: usize,
    },
    /// A fraction or an exponent.
    #[error("number is not an integer at {offset}")]
    NotAnInteger {
        /// Where the number begins.
        offset: usize,
    },
    /// An integer beyond ±(2⁵³−1).
    #[error("integer beyond 2^53-1 at {offset}")]
    NumberTooLarge {
        /// Where the number begins.
        offset: usize,
    },
    /// A control character that had to be escaped.
    #[error("raw control character in a string at {offset}")]
    ControlCharacter {
        /// Where.
        offset: usize,
    },
    /// A backslash followed by nothing JSON knows.
    #[error("bad escape at {offset}")]
    BadEscape {
        /// Where.
        offset: usize,
    },
    /// `\uD800`–`\uDFFF` that is not half of a pair.
    #[error("lone surrogate at {offset}")]
    LoneSurrogate {
        /// Where.
        offset: usize,
    },
    /// A value built in memory holds a number that canonical artifacts may not.
    #[error("a number is not an integer within 2^53-1")]
    NumberNotCanonical,
}
