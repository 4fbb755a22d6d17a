//! Reading a TOML table key by key, with a typed error for each problem.
//!
//! A value that is wrong is reported and replaced by something of its type, or by none, so that reading can go on: what
//! stands in for it is never used, since a document with a problem is never returned.

use std::ops::Range;

use strict_toml::{DeValue, Problems, Spanned, Table, join_key};

/// What is wrong with a key of a TOML document or with its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// A key that is not read: misspelt, it would be a setting or a check silently left out.
    #[error("unknown field `{field}`, {}", expected(*meant, known))]
    Unknown {
        /// With the section it stands in.
        field: String,
        /// The key that was probably meant.
        meant: Option<&'static str>,
        /// What the section may hold.
        known: Vec<&'static str>,
    },
    /// A key that must be there.
    #[error("{0} is missing")]
    Missing(String),
    /// A value of another type.
    #[error("{field} must be {wanted}, not of type {found}")]
    WrongType {
        /// With the section it stands in.
        field: String,
        /// What it must be.
        wanted: &'static str,
        /// Its type, in TOML's words.
        found: &'static str,
    },
    /// A negative number, or one that is too large.
    #[error("{field} must be from 0 to {most}")]
    OutOfRange {
        /// With the section it stands in.
        field: String,
        /// The largest it may be.
        most: u64,
    },
    /// A list without a value accepts nothing; leave it out to ask for nothing.
    #[error("{0} is an empty list")]
    EmptyList(&'static str),
    /// A word that is none of those the format has there.
    #[error("{field}: {found:?} is unknown, {}", expected(*meant, known))]
    UnknownWord {
        /// With the section it stands in.
        field: String,
        /// The word.
        found: String,
        /// The word that was probably meant.
        meant: Option<&'static str>,
        /// The words there are.
        known: Vec<&'static str>,
    },
}

fn expected(meant: Option<&str>, known: &[&str]) -> String {
    if let Some(meant) = meant {
        return format!("did you mean `{meant}`?");
    }
    let quoted: Vec<_> = known.iter().map(|key| format!("`{key}`")).collect();
    format!("expected one of {}", quoted.join(", "))
}

/// A table that is being emptied. `E` is the error of the document that is read.
pub(crate) struct Section<'t, 'p, E> {
    table: Table<'t>,
    problems: &'p Problems<'t, E>,
    missing: Vec<&'static str>,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) at: Range<usize>,
}

impl<T> At<T> {
    /// A value of a document that is not TOML, where no line is reported.
    pub(crate) fn unplaced(value: T) -> Self {
        Self { value, at: 0..0 }
    }
}

impl<'t, 'p, E: From<FieldError>> Section<'t, 'p, E> {
    pub(crate) fn new(table: Table<'t>, problems: &'p Problems<'t, E>) -> Self {
        Self {
            table,
            problems,
            missing: Vec::new(),
        }
    }

    /// Where the section stands.
    pub(crate) fn span(&self) -> &Range<usize> {
        self.table.span()
    }

    /// Whether the file has this key, taken already or not.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.has(key)
    }

    /// A problem of the section itself.
    pub(crate) fn problem(&self, error: E) {
        self.problems.add(self.table.span(), error);
    }

    /// A problem of one of its keys, or of the section if that key is not there.
    pub(crate) fn problem_of(&self, key: &str, error: E) {
        self.problems.add(self.table.span_of(key), error);
    }

    fn field_problem(&self, at: &Range<usize>, error: FieldError) {
        self.problems.add(at, error.into());
    }

    /// Whether a key was not asked for: what seems to be missing may be that one, misspelt.
    pub(crate) fn has_unknown(&self) -> bool {
        self.table.unknown().next().is_some()
    }

    /// A key that must be there. [`finish`](Self::finish) reports it where the file does not have it.
    pub(crate) fn require(&mut self, key: &'static str) {
        if !self.has(key) {
            self.missing.push(key);
        }
    }

    /// A key that was not read is unknown, and a problem. One that is missing is another, unless an unknown key was
    /// probably meant to be it.
    pub(crate) fn finish(self) {
        let mut misspelt = Vec::new();
        for unknown in self.table.unknown() {
            misspelt.extend(unknown.meant);
            let error = FieldError::Unknown {
                field: self.table.full_key(&unknown.key),
                meant: unknown.meant,
                known: self.table.known().to_vec(),
            };
            self.field_problem(&unknown.span, error);
        }
        for key in self.missing.iter().filter(|key| !misspelt.contains(*key)) {
            self.problem(FieldError::Missing(self.table.full_key(key)).into());
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'t>>> {
        self.table.take(key)
    }

    fn wrong_type(&self, key: &str, found: &Spanned<DeValue<'_>>, wanted: &'static str) {
        let error = FieldError::WrongType {
            field: self.table.full_key(key),
            wanted,
            found: found.get_ref().type_str(),
        };
        self.field_problem(&found.span(), error);
    }

    pub(crate) fn text(&mut self, key: &'static str) -> Option<At<String>> {
        let value = self.take(key)?;
        let text = text(&value);
        if text.is_none() {
            self.wrong_type(key, &value, "a string");
        }
        text
    }

    /// A text that means something.
    pub(crate) fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&'static str, String) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(key)?;
        match read(key, text.value) {
            Ok(meant) => Some(meant),
            Err(error) => {
                self.problems.add(&text.at, error);
                None
            }
        }
    }

    /// One of the words in `all`.
    pub(crate) fn word<T: Copy>(
        &mut self,
        key: &'static str,
        all: &[T],
        as_str: fn(T) -> &'static str,
    ) -> Option<At<T>> {
        let text = self.text(key)?;
        self.known_word(key, text, all, as_str)
    }

    /// A list of such words, which may be empty.
    pub(crate) fn words<T: Copy>(
        &mut self,
        key: &'static str,
        all: &[T],
        as_str: fn(T) -> &'static str,
    ) -> Option<At<Vec<At<T>>>> {
        let At { value: texts, at } = self.texts(key)?;
        let words = texts.into_iter();
        let words = words.filter_map(|text| self.known_word(key, text, all, as_str));
        let value = words.collect();
        Some(At { value, at })
    }

    fn known_word<T: Copy>(
        &self,
        key: &'static str,
        text: At<String>,
        all: &[T],
        as_str: fn(T) -> &'static str,
    ) -> Option<At<T>> {
        let At { value: found, at } = text;
        if let Some(value) = all.iter().find(|word| as_str(**word) == found) {
            return Some(At { value: *value, at });
        }
        let known: Vec<_> = all.iter().map(|word| as_str(*word)).collect();
        let error = FieldError::UnknownWord {
            field: self.table.full_key(key),
            meant: strict_toml::nearest(&found, &known),
            found,
            known,
        };
        self.field_problem(&at, error);
        None
    }

    pub(crate) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let Some(value) = self.take(key) else {
            return default;
        };
        match value.get_ref() {
            DeValue::Boolean(is) => *is,
            _ => {
                self.wrong_type(key, &value, "true or false");
                default
            }
        }
    }

    /// A number that is not negative and fits.
    pub(crate) fn number<T: TryFrom<u64>>(&mut self, key: &'static str) -> Option<T> {
        self.number_at(key).map(|number| number.value)
    }

    pub(crate) fn number_at<T: TryFrom<u64>>(&mut self, key: &'static str) -> Option<At<T>> {
        let value = self.take(key)?;
        let read = number(value.get_ref()).and_then(|number| T::try_from(number).ok());
        if read.is_none() {
            self.no_number::<T>(key, &value);
        }
        let at = value.span();
        read.map(|value| At { value, at })
    }

    fn no_number<T>(&self, key: &str, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Integer(_) => self.field_problem(
                &value.span(),
                FieldError::OutOfRange {
                    field: self.table.full_key(key),
                    most: u64::MAX >> (64 - 8 * size_of::<T>().clamp(1, 8)),
                },
            ),
            _ => self.wrong_type(key, value, "a number"),
        }
    }

    /// A list of strings, which may be empty. What is no string is reported and left out.
    pub(crate) fn texts(&mut self, key: &'static str) -> Option<At<Vec<At<String>>>> {
        let value = self.take(key)?;
        let at = value.span();
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(key, &value, "a list of strings");
            return None;
        };
        let texts = items.iter().filter_map(|item| {
            let text = text(item);
            if text.is_none() {
                self.wrong_type(key, item, "a list of strings");
            }
            text
        });
        let value = texts.collect();
        Some(At { value, at })
    }

    /// A list that is absent, or names at least one accepted value.
    pub(crate) fn list<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&'static str, String) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let value = self.take(key)?;
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(key, &value, "a list of strings");
            return Some(Vec::new());
        };
        if items.is_empty() {
            self.field_problem(&value.span(), FieldError::EmptyList(key));
        }
        let mut meant = Vec::with_capacity(items.len());
        for item in items {
            match item.get_ref() {
                DeValue::String(text) => match read(key, text.to_string()) {
                    Ok(value) => meant.push(value),
                    Err(error) => self.problems.add(&item.span(), error),
                },
                _ => self.wrong_type(key, item, "a list of strings"),
            }
        }
        Some(meant)
    }

    /// A table of numbers under names of the file's own.
    pub(crate) fn numbers(&mut self, key: &'static str) -> Vec<(At<String>, u32)> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(key, &value, "a table of numbers");
            return Vec::new();
        };
        if table.is_empty() {
            self.field_problem(&value.span(), FieldError::EmptyList(key));
        }
        let mut numbers = Vec::new();
        for (name, value) in table.iter() {
            let read = number(value.get_ref()).and_then(|number| u32::try_from(number).ok());
            match read {
                Some(number) => numbers.push((
                    At {
                        value: name.get_ref().to_string(),
                        at: name.span(),
                    },
                    number,
                )),
                None => self.no_number::<u32>(&join_key(key, name.get_ref()), value),
            }
        }
        numbers
    }

    pub(crate) fn table(&mut self, key: &'static str) -> Option<Self> {
        let value = self.take(key)?;
        self.section(key, value)
    }

    /// An array of tables, `[[tdx.image]]`.
    pub(crate) fn tables(&mut self, key: &'static str) -> Vec<Self> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        if !value.get_ref().is_array() {
            self.wrong_type(key, &value, "a list of tables");
            return Vec::new();
        }
        let DeValue::Array(items) = value.into_inner() else {
            return Vec::new();
        };
        let sections = items.into_iter();
        sections
            .filter_map(|item| self.section(key, item))
            .collect()
    }

    fn section(&self, key: &str, value: Spanned<DeValue<'t>>) -> Option<Self> {
        if !value.get_ref().is_table() {
            self.wrong_type(key, &value, "a table");
            return None;
        }
        let at = value.span();
        match value.into_inner() {
            DeValue::Table(table) => {
                let path = self.table.full_key(key);
                Some(Section::new(Table::new(path, at, table), self.problems))
            }
            _ => None,
        }
    }

    pub(crate) fn refuse(&self, at: &Range<usize>, error: E) {
        self.problems.add(at, error);
    }
}

fn text(value: &Spanned<DeValue<'_>>) -> Option<At<String>> {
    let DeValue::String(text) = value.get_ref() else {
        return None;
    };
    let at = value.span();
    Some(At {
        value: text.to_string(),
        at,
    })
}

fn number(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}
