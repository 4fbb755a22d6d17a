//! Reading a text into a type that serde derives.

use serde::de::DeserializeOwned;

use crate::problems::{Located, line_of};

/// Reads a whole text, or returns the first thing that is wrong with it. For files that are read once and by hand, such
/// as launch profiles; what operators write and change is read with a [`Table`](crate::Table), for all its problems.
///
/// ```
/// let numbers: std::collections::BTreeMap<String, u8> = strict_toml::from_str("a = 1").unwrap();
/// assert_eq!(numbers["a"], 1);
/// let wrong = strict_toml::from_str::<std::collections::BTreeMap<String, u8>>("a = 1\nb = 300").unwrap_err();
/// assert_eq!(wrong.line, 2);
/// ```
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, Located<String>> {
    toml::from_str(text).map_err(|error| Located {
        line: error.span().map_or(1, |span| line_of(text, span.start)),
        problem: error.message().replace('\n', " "),
    })
}
