//! A table of a policy whose keys are taken one by one. What is left over is unknown.

use std::ops::Range;

use strict_toml::{DeValue, Spanned, Table, line_of};

use crate::error::PolicyError;
use crate::limits::MAX_VALUES;

pub(super) type Problems<'t> = strict_toml::Problems<'t, PolicyError>;

/// A value, and where it stands.
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) at: Range<usize>,
}

pub(super) struct Section<'t, 'p> {
    table: Table<'t>,
    problems: &'p Problems<'t>,
}

impl<'t, 'p> Section<'t, 'p> {
    pub(super) fn new(table: Table<'t>, problems: &'p Problems<'t>) -> Self {
        Self { table, problems }
    }

    /// The full name of a key.
    pub(super) fn key(&self, name: &str) -> String {
        self.table.full_key(name)
    }

    /// The line where it begins.
    pub(super) fn line(&self) -> usize {
        self.line_of(self.table.span())
    }

    pub(super) fn line_of(&self, at: &Range<usize>) -> usize {
        line_of(self.problems.text(), at.start)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.table.has(name)
    }

    /// A problem of the table itself.
    pub(super) fn problem(&self, error: PolicyError) {
        self.problems.add(self.table.span(), error);
    }

    /// A problem of one of its keys.
    pub(super) fn problem_of(&self, name: &str, error: PolicyError) {
        self.problems.add(self.table.span_of(name), error);
    }

    pub(super) fn problem_at(&self, at: &Range<usize>, error: PolicyError) {
        self.problems.add(at, error);
    }

    /// A text that `read` accepts.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        read: fn(String, &str) -> Result<T, PolicyError>,
    ) -> Option<T> {
        self.optional_at(name, read).map(|at| at.value)
    }

    pub(super) fn required<T>(
        &mut self,
        name: &'static str,
        read: fn(String, &str) -> Result<T, PolicyError>,
    ) -> Option<T> {
        self.required_at(name, read).map(|at| at.value)
    }

    pub(super) fn required_at<T>(
        &mut self,
        name: &'static str,
        read: fn(String, &str) -> Result<T, PolicyError>,
    ) -> Option<At<T>> {
        self.check_given(name);
        self.optional_at(name, read)
    }

    fn optional_at<T>(
        &mut self,
        name: &'static str,
        read: fn(String, &str) -> Result<T, PolicyError>,
    ) -> Option<At<T>> {
        let value = self.table.take(name)?;
        let at = value.span();
        let value = self.read(name, &value, read)?;
        Some(At { value, at })
    }

    /// A list of such texts, with at least one of them. `None` if it is absent, or has a problem.
    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        read: fn(String, &str) -> Result<T, PolicyError>,
    ) -> Option<Vec<T>> {
        let value = self.table.take(name)?;
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(name, &value, "a list of strings");
            return None;
        };
        let key = self.key(name);
        if items.is_empty() {
            self.problem_at(&value.span(), PolicyError::EmptyList(key));
            return None;
        }
        if items.len() > MAX_VALUES {
            self.problem_at(&value.span(), PolicyError::TooManyValues { key });
            return None;
        }
        let values: Vec<_> = items
            .iter()
            .map(|item| self.read(name, item, read))
            .collect();
        values.into_iter().collect()
    }

    /// A whole number from 1.
    pub(super) fn number(&mut self, name: &'static str) -> Option<u32> {
        self.check_given(name);
        let value = self.table.take(name)?;
        let number = value.get_ref().as_integer().and_then(|number| {
            let number = u32::from_str_radix(number.as_str(), number.radix());
            number.ok().filter(|number| *number > 0)
        });
        if number.is_none() {
            let key = self.key(name);
            self.problem_at(&value.span(), PolicyError::Number { key });
        }
        number
    }

    /// The tables of an array of tables.
    pub(super) fn tables(&mut self, name: &'static str) -> Vec<Self> {
        let Some(value) = self.table.take(name) else {
            return Vec::new();
        };
        if !value.get_ref().is_array() {
            self.wrong_type(name, &value, "a list of tables");
            return Vec::new();
        }
        let DeValue::Array(items) = value.into_inner() else {
            return Vec::new();
        };
        let items = items.into_iter().zip(1..);
        items
            .filter_map(|(item, number)| self.table(name, item, number))
            .collect()
    }

    fn table(&self, name: &str, item: Spanned<DeValue<'t>>, number: usize) -> Option<Self> {
        let at = item.span();
        if !item.get_ref().is_table() {
            self.wrong_type(name, &item, "a list of tables");
            return None;
        }
        match item.into_inner() {
            DeValue::Table(table) => {
                let path = format!("{}[{number}]", self.key(name));
                Some(Section::new(Table::new(path, at, table), self.problems))
            }
            _ => None,
        }
    }

    /// Reports every key that was not read.
    pub(super) fn finish(self) {
        for unknown in self.table.unknown() {
            let error = PolicyError::UnknownKey {
                key: self.key(&unknown.key),
                meant: unknown.meant,
                known: self.table.known().to_vec(),
            };
            self.problem_at(&unknown.span, error);
        }
    }

    fn check_given(&self, name: &'static str) {
        if !self.has(name) {
            self.problem(PolicyError::Missing(self.key(name)));
        }
    }

    fn read<T>(
        &self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        read: fn(String, &str) -> Result<T, PolicyError>,
    ) -> Option<T> {
        let DeValue::String(text) = value.get_ref() else {
            self.wrong_type(name, value, "a string");
            return None;
        };
        let read = read(self.key(name), text);
        read.map_err(|error| self.problem_at(&value.span(), error))
            .ok()
    }

    fn wrong_type(&self, name: &str, found: &Spanned<DeValue<'_>>, wanted: &'static str) {
        let error = PolicyError::WrongType {
            key: self.key(name),
            wanted,
            found: found.get_ref().type_str(),
        };
        self.problem_at(&found.span(), error);
    }
}
