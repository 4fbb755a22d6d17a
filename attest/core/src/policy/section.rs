//! Reading a table of a policy key by key, with a typed error for each problem.
//!
//! A value that is wrong is reported and replaced by something of its type, so that reading can go on:
//! the stand-in is never used, since a policy with a problem is never returned.

use std::ops::Range;

use strict_toml::{DeValue, Spanned, Table, join_key};

use super::PolicyError;
use super::problem::Problems;

/// A table that is being emptied.
pub(super) struct Section<'t, 'p> {
    table: Table<'t>,
    problems: &'p Problems<'t>,
}

/// A value and where it stands.
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) at: Range<usize>,
}

impl<'t, 'p> Section<'t, 'p> {
    pub(super) fn new(table: Table<'t>, problems: &'p Problems<'t>) -> Self {
        Self { table, problems }
    }

    /// Whether the file has this key, taken already or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.has(key)
    }

    /// A problem of the section itself.
    pub(super) fn problem(&self, error: PolicyError) {
        self.problems.add(self.table.span(), error);
    }

    /// A problem of one of its keys, or of the section if that key is not there.
    pub(super) fn problem_of(&self, key: &str, error: PolicyError) {
        self.problems.add(self.table.span_of(key), error);
    }

    /// Whether a key was not asked for: what seems to be missing may be that one, misspelt.
    pub(super) fn has_unknown(&self) -> bool {
        self.table.unknown().next().is_some()
    }

    /// A key that was not read is unknown, and a problem.
    pub(super) fn finish(self) {
        for unknown in self.table.unknown() {
            let error = PolicyError::UnknownField {
                field: self.table.full_key(&unknown.key),
                meant: unknown.meant,
                known: self.table.known().to_vec(),
            };
            self.problems.add(&unknown.span, error);
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'t>>> {
        self.table.take(key)
    }

    fn wrong_type(&self, key: &str, found: &Spanned<DeValue<'_>>, wanted: &'static str) {
        let error = PolicyError::WrongType {
            field: self.table.full_key(key),
            wanted,
            found: found.get_ref().type_str(),
        };
        self.problems.add(&found.span(), error);
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<At<String>> {
        let value = self.take(key)?;
        let at = value.span();
        match value.get_ref() {
            DeValue::String(text) => Some(At {
                value: text.to_string(),
                at,
            }),
            _ => {
                self.wrong_type(key, &value, "a string");
                None
            }
        }
    }

    /// A text that means something.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&'static str, String) -> Result<T, PolicyError>,
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

    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
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
    pub(super) fn number<T: TryFrom<u64>>(&mut self, key: &'static str) -> Option<T> {
        let value = self.take(key)?;
        let read = number(value.get_ref()).and_then(|number| T::try_from(number).ok());
        if read.is_none() {
            self.no_number::<T>(key, &value);
        }
        read
    }

    fn no_number<T>(&self, key: &str, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Integer(_) => self.problems.add(
                &value.span(),
                PolicyError::OutOfRange {
                    field: self.table.full_key(key),
                    most: u64::MAX >> (64 - 8 * size_of::<T>().clamp(1, 8)),
                },
            ),
            _ => self.wrong_type(key, value, "a number"),
        }
    }

    /// A list that is absent, or names at least one accepted value.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&'static str, String) -> Result<T, PolicyError>,
    ) -> Option<Vec<T>> {
        let value = self.take(key)?;
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(key, &value, "a list of strings");
            return Some(Vec::new());
        };
        if items.is_empty() {
            self.problems
                .add(&value.span(), PolicyError::EmptyList(key));
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
    pub(super) fn numbers(&mut self, key: &'static str) -> Vec<(At<String>, u32)> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(key, &value, "a table of numbers");
            return Vec::new();
        };
        if table.is_empty() {
            self.problems
                .add(&value.span(), PolicyError::EmptyList(key));
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

    pub(super) fn table(&mut self, key: &'static str) -> Option<Section<'t, 'p>> {
        let value = self.take(key)?;
        self.section(key, value)
    }

    /// An array of tables, `[[tdx.image]]`.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Section<'t, 'p>> {
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

    fn section(&self, key: &str, value: Spanned<DeValue<'t>>) -> Option<Section<'t, 'p>> {
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

    pub(super) fn refuse(&self, at: &Range<usize>, error: PolicyError) {
        self.problems.add(at, error);
    }
}

fn number(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}
