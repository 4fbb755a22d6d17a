//! A table whose keys are taken one by one.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::spelling::nearest;

/// A table that is being emptied.
#[derive(Debug)]
pub struct Table<'t> {
    path: String,
    span: Range<usize>,
    entries: Vec<Entry<'t>>,
    known: Vec<&'static str>,
}

#[derive(Debug)]
struct Entry<'t> {
    key: String,
    span: Range<usize>,
    value: Option<Spanned<DeValue<'t>>>,
}

/// Where a text is not TOML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Nothing if it concerns the text as a whole.
    pub span: Option<Range<usize>>,
    pub message: String,
}

/// A key that the reader does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    pub key: String,
    pub span: Range<usize>,
    /// The known key that was probably meant.
    pub meant: Option<&'static str>,
}

impl<'t> Table<'t> {
    /// Reads a whole text, or returns every error of its syntax.
    pub fn parse(text: &'t str) -> Result<Self, Vec<SyntaxError>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            return Ok(Self::new(String::new(), 0..0, table.into_inner()));
        }
        let errors = errors.iter().map(|error| SyntaxError {
            span: error.span(),
            message: error.message().to_owned(),
        });
        Err(errors.collect())
    }

    /// A table inside another. `path` is how it is written in the file: `tdx.image`, empty for the whole file.
    pub fn new(path: String, span: Range<usize>, table: DeTable<'t>) -> Self {
        let entries = table.into_iter().map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            span: key.span(),
            value: Some(value),
        });
        Self {
            path,
            span,
            entries: entries.collect(),
            known: Vec::new(),
        }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn span(&self) -> &Range<usize> {
        &self.span
    }

    /// The full name of a key of this table.
    pub fn full_key(&self, key: &str) -> String {
        join_key(&self.path, key)
    }

    /// Whether the text has this key, taken already or not.
    pub fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Where a key stands; where its table does if it is not there.
    pub fn span_of(&self, key: &str) -> &Range<usize> {
        self.entry(key).map_or(&self.span, |entry| &entry.span)
    }

    /// The value of a key that was not taken yet.
    pub fn peek(&self, key: &str) -> Option<&Spanned<DeValue<'t>>> {
        self.entry(key)?.value.as_ref()
    }

    /// Takes a value out. From now on the key is known, whether or not the text has it.
    pub fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'t>>> {
        self.known.push(key);
        let entry = self.entries.iter_mut().find(|entry| entry.key == key)?;
        entry.value.take()
    }

    /// Takes everything out that was not taken yet, for a table whose keys are names of the file's choice.
    pub fn take_rest(&mut self) -> Vec<(String, Range<usize>, Spanned<DeValue<'t>>)> {
        let entries = std::mem::take(&mut self.entries);
        entries
            .into_iter()
            .filter_map(|entry| Some((entry.key, entry.span, entry.value?)))
            .collect()
    }

    /// Every key of the text, with its place.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &Range<usize>)> {
        self.entries
            .iter()
            .map(|entry| (entry.key.as_str(), &entry.span))
    }

    /// The keys that were taken or asked for.
    pub fn known(&self) -> &[&'static str] {
        &self.known
    }

    /// The keys of the text that are not known.
    pub fn unknown(&self) -> impl Iterator<Item = Unknown> + '_ {
        let left_over = |entry: &&Entry<'_>| !self.known.contains(&entry.key.as_str());
        self.entries.iter().filter(left_over).map(|entry| Unknown {
            key: entry.key.clone(),
            span: entry.span.clone(),
            meant: nearest(&entry.key, &self.known),
        })
    }

    fn entry(&self, key: &str) -> Option<&Entry<'t>> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

/// The full name of a key of the table that is written as `path`.
pub fn join_key(path: &str, key: &str) -> String {
    match (path, key) {
        ("", key) => key.to_owned(),
        // The table itself.
        (path, "") => path.to_owned(),
        (path, key) => format!("{path}.{key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unread_key_is_unknown_and_the_similar_known_key_is_suggested() {
        let mut table = Table::parse("lissen = 1\nother = 2\nmode = 3\n").unwrap();
        table.take("listen");
        assert!(table.take("mode").is_some());
        let unknown: Vec<_> = table.unknown().map(|it| (it.key, it.meant)).collect();
        assert_eq!(
            unknown,
            [
                ("lissen".to_owned(), Some("listen")),
                ("other".to_owned(), None)
            ]
        );
    }

    #[test]
    fn every_error_of_the_syntax_is_returned() {
        let errors = Table::parse("a = \nb = 1\nc = = 2\n").unwrap_err();
        assert!(errors.len() >= 2, "{errors:?}");
    }

    #[test]
    fn a_taken_key_cannot_be_taken_again_and_still_counts_as_present() {
        let mut table = Table::parse("a = 1\n").unwrap();
        assert!(table.peek("a").is_some());
        assert!(table.take("a").is_some());
        assert!(table.take("a").is_none() && table.has("a") && table.peek("a").is_none());
        assert_eq!(table.full_key("a"), "a");
        assert_eq!(join_key("b.c", "a"), "b.c.a");
        assert_eq!(join_key("b.c", ""), "b.c");
    }
}
