//! Patterns of models' names, in the restrictions of keys and in authorization rules.

use super::{Name, NameError};

/// The name of a model, where `*` stands for any characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPattern(Box<str>);

impl ModelPattern {
    pub fn parse(text: &str) -> Result<Self, NameError> {
        // The letters of a name, and `*`.
        Name::from_operator(&text.replace('*', "."))?;
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return rest.is_empty();
        };
        // Each part at its first place: what follows has the most room then.
        for part in parts {
            let Some((_, after)) = rest.split_once(part) else {
                return false;
            };
            rest = after;
        }
        rest.ends_with(last)
    }
}
