//! Names that an operator chose.
//!
//! The only text in logs, metrics, usage rows and receipts is made of these names. A [`Name`] is created from the
//! configuration or from an operator's command, never from a request. So no text of users and upstreams is stored.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The longest name accepted.
pub const MAX_LEN: usize = 128;

/// Up to 128 printable characters without spaces, quotes or control characters. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("is empty")]
    Empty,
    #[error("is longer than {MAX_LEN} characters")]
    TooLong,
    #[error("contains {0:?}; letters, digits and . _ - : / @ + are allowed")]
    Character(char),
}

impl Name {
    /// Parses a name that an operator wrote. Never call it with text of a request.
    pub fn from_operator(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX_LEN {
            return Err(NameError::TooLong);
        }
        // No space, quote or control character: a name stands in log lines and in Prometheus labels as it is.
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-:/@+".contains(c);
        match text.chars().find(|c| !allowed(*c)) {
            Some(c) => Err(NameError::Character(c)),
            None => Ok(Self(text.into())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_model_ids_of_vendors() {
        let name = Name::from_operator("meta-llama/Llama-3.3-70B:fp8@v1").expect("a name");
        assert_eq!(name, "meta-llama/Llama-3.3-70B:fp8@v1");
    }

    #[test]
    fn rejects_text_that_could_break_a_log_line() {
        assert_eq!(Name::from_operator(""), Err(NameError::Empty));
        assert_eq!(Name::from_operator("a b"), Err(NameError::Character(' ')));
        assert_eq!(Name::from_operator("a\nb"), Err(NameError::Character('\n')));
        assert_eq!(Name::from_operator("a\"b"), Err(NameError::Character('"')));
        assert_eq!(
            Name::from_operator(&"a".repeat(129)),
            Err(NameError::TooLong)
        );
    }
}
