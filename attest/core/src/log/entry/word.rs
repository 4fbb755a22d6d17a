//! Words of ours and names of the operator's: the only text there is in an entry.

use std::fmt;

const MAX_LEN: usize = 128;

/// Up to 128 ASCII letters, digits and `. _ - : / @ +`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(String);

/// Why a text is not a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a word is 1 to {MAX_LEN} letters, digits and . _ - : / @ +")]
pub struct WordError;

impl Word {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, WordError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:/@+".contains(&byte);
        if (1..=MAX_LEN).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(WordError)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
