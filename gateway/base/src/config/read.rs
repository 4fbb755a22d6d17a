//! Reading a TOML table key by key, collecting every problem instead of stopping at the first.
//!
//! The code that knows a table's keys takes them out of a [`Section`]; keys that remain are unknown and refused. An
//! invalid value is reported and replaced by its default, so that reading can continue. That default is never used,
//! since a configuration with a problem is never returned.

use std::ops::Range;
use std::time::Duration;

use strict_toml::{DeTable, DeValue, Spanned, Table};

use super::hints::{hint_for_placeholder, hint_for_unknown_key};
use super::problem::Problems;
use super::units::{parse_duration, parse_size, show_duration, show_size};
use crate::quota::Money;

/// A value with its position in the file.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub value: T,
    pub span: Range<usize>,
    pub key: String,
}

/// A table whose known keys are taken out one by one.
pub(super) struct Section<'a> {
    table: Table<'a>,
    problems: Problems,
}

impl<'a> Section<'a> {
    pub fn new(table: Table<'a>, problems: &Problems) -> Self {
        for (key, span) in table.keys() {
            problems.add_line(table.full_key(key), span);
        }
        Self {
            table,
            problems: problems.clone(),
        }
    }

    pub fn span(&self) -> &Range<usize> {
        self.table.span()
    }

    /// The full name of a key of this table.
    pub fn key(&self, name: &str) -> String {
        self.table.full_key(name)
    }

    pub fn problem(&self, at: &Range<usize>, name: &str, reason: impl Into<String>) {
        self.problems.add(Some(at), self.key(name), reason);
    }

    fn take(&mut self, name: &'static str) -> Option<Spanned<DeValue<'a>>> {
        // Added whether or not the file has it: the list of known keys, and the reference page, come from the reading
        // itself.
        self.problems.add_known_key(self.key(name));
        self.table.take(name)
    }

    pub fn warn(&self, at: &Range<usize>, name: &str, reason: impl Into<String>) {
        self.problems.warn(Some(at), self.key(name), reason);
    }

    /// Whether a text can be meant literally; reports a placeholder as a problem.
    fn literal(&self, at: &Range<usize>, name: &str, text: &str) -> bool {
        let Some(reason) = hint_for_placeholder(text) else {
            return true;
        };
        self.problem(at, name, format!("{text:?} {reason}"));
        false
    }

    /// Reports a number that lacks its unit. Returns whether it found one.
    fn bare_number(&mut self, name: &'static str, units: &str) -> bool {
        let Some(value) = self.table.peek(name) else {
            return false;
        };
        let DeValue::Integer(number) = value.get_ref() else {
            return false;
        };
        let reason = format!("is a number without a unit; write {units}");
        let reason = reason.replace("N", number.as_str());
        let span = value.span();
        self.problem(&span, name, reason);
        // Taken all the same: it would otherwise be reported once more, as unknown.
        let _ = self.take(name);
        true
    }

    fn wrong_type(&self, name: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let found = value.get_ref().type_str();
        self.problem(
            &value.span(),
            name,
            format!("must be {wanted}, not {} {found}", article(found)),
        );
    }

    /// Reports a missing key.
    pub fn required<T>(&self, name: &'static str, value: Option<T>, present: bool) -> Option<T> {
        if value.is_none() && !present {
            self.problem(self.span(), name, "is missing");
        }
        value
    }

    /// The position of a key, or of its table if the key is absent.
    pub fn place_of(&self, name: &str) -> Range<usize> {
        self.table.span_of(name).clone()
    }

    pub fn has(&self, name: &str) -> bool {
        self.table.has(name)
    }

    pub fn string(&mut self, name: &'static str) -> Option<At<String>> {
        let value = self.take(name)?;
        match value.get_ref() {
            DeValue::String(text) if self.literal(&value.span(), name, text) => {
                Some(self.at(name, &value, text.to_string()))
            }
            DeValue::String(_) => None,
            _ => {
                self.wrong_type(name, &value, "a string");
                None
            }
        }
    }

    pub fn boolean(&mut self, name: &'static str) -> Option<At<bool>> {
        let value = self.take(name)?;
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(self.at(name, &value, *flag)),
            _ => {
                self.wrong_type(name, &value, "true or false");
                None
            }
        }
    }

    pub fn strings(&mut self, name: &'static str) -> Option<Vec<At<String>>> {
        let value = self.take(name)?;
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(name, &value, "a list of strings");
            return None;
        };
        let mut strings = Vec::with_capacity(items.len());
        let mut readable = true;
        for (index, item) in items.iter().enumerate() {
            let place = format!("{name}[{}]", index + 1);
            match item.get_ref() {
                DeValue::String(text) => {
                    readable &= self.literal(&item.span(), &place, text);
                    strings.push(self.at(&place, item, text.to_string()));
                }
                _ => {
                    readable = false;
                    self.wrong_type(&place, item, "a string");
                }
            }
        }
        readable.then_some(strings)
    }

    /// A string that must satisfy `read`.
    pub fn parsed<T, E: std::fmt::Display>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<At<T>> {
        let text = self.string(name)?;
        match read(&text.value) {
            Ok(value) => Some(At {
                value,
                span: text.span,
                key: text.key,
            }),
            Err(reason) => {
                self.problem(&text.span, name, reason.to_string());
                None
            }
        }
    }

    /// An amount of money from zero to `most`, written as a string.
    pub fn money(&mut self, name: &'static str, most: Money) -> Option<At<Money>> {
        let number = self
            .table
            .peek(name)
            .and_then(|value| match value.get_ref() {
                DeValue::Float(number) => Some((value.span(), number.as_str().to_owned())),
                DeValue::Integer(number) => Some((value.span(), number.as_str().to_owned())),
                _ => None,
            });
        if let Some((span, number)) = number {
            let reason = format!("is a number, and a number could lose digits; write \"{number}\"");
            self.problem(&span, name, reason);
            // Taken all the same: it would otherwise be reported once more, as unknown.
            let _ = self.take(name);
            return None;
        }
        self.parsed(name, |text| {
            let money: Money = text.parse().map_err(|error| format!("{text:?} {error}"))?;
            match money {
                money if money < Money::ZERO => Err(format!("is {money}; must not be negative")),
                money if money > most => Err(format!("is {money}; must be {most} at most")),
                money => Ok(money),
            }
        })
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Option<At<T>> {
        self.parsed(name, |text| {
            match choices.iter().find(|(word, _)| *word == text) {
                Some((_, value)) => Ok(*value),
                None => {
                    let words: Vec<String> = choices
                        .iter()
                        .map(|(word, _)| format!("{word:?}"))
                        .collect();
                    Err(format!("is {text:?}; must be {}", words.join(" or ")))
                }
            }
        })
    }

    pub fn duration(
        &mut self,
        name: &'static str,
        default: Duration,
        range: (Duration, Duration),
    ) -> Duration {
        if self.bare_number(name, "\"Ns\" for seconds; other units are ms, m, h and d") {
            return default;
        }
        let read = self.parsed(name, |text| {
            parse_duration(text).map_err(|e| format!("{text:?} {e}"))
        });
        // Reported already. The default lets the rest be read, so that one run lists every problem.
        let Some(read) = read else { return default };
        if read.value < range.0 || read.value > range.1 {
            let (low, high) = (show_duration(range.0), show_duration(range.1));
            self.problem(
                &read.span,
                name,
                format!(
                    "is {}; must be from {low} to {high}",
                    show_duration(read.value)
                ),
            );
        }
        read.value
    }

    pub fn size(&mut self, name: &'static str, default: u64, range: (u64, u64)) -> u64 {
        if self.bare_number(name, "\"NB\" for bytes; other units are KiB, MiB and GiB") {
            return default;
        }
        let read = self.parsed(name, |text| {
            parse_size(text).map_err(|e| format!("{text:?} {e}"))
        });
        let Some(read) = read else { return default };
        if read.value < range.0 || read.value > range.1 {
            let (low, high) = (show_size(range.0), show_size(range.1));
            self.problem(
                &read.span,
                name,
                format!("is {}; must be from {low} to {high}", show_size(read.value)),
            );
        }
        read.value
    }

    pub fn count(&mut self, name: &'static str, default: usize, range: (usize, usize)) -> usize {
        let Some(value) = self.take(name) else {
            return default;
        };
        let DeValue::Integer(number) = value.get_ref() else {
            self.wrong_type(name, &value, "a whole number");
            return default;
        };
        match usize::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if number >= range.0 && number <= range.1 => number,
            _ => {
                let (low, high) = range;
                self.problem(
                    &value.span(),
                    name,
                    format!("must be a whole number from {low} to {high}"),
                );
                default
            }
        }
    }

    /// A sub-table; an absent one reads as empty.
    pub fn section(&mut self, name: &'static str) -> Section<'a> {
        let path = self.key(name);
        match self.take(name) {
            Some(value) => {
                let span = value.span();
                match value.into_inner() {
                    DeValue::Table(table) => {
                        Section::new(Table::new(path, span, table), &self.problems)
                    }
                    other => {
                        let found = other.type_str();
                        self.problem(
                            &span,
                            name,
                            format!(
                                "must be a table, written [{path}], not {} {found}",
                                article(found)
                            ),
                        );
                        Section::new(Table::new(path, span, DeTable::new()), &self.problems)
                    }
                }
            }
            None => {
                let empty = Table::new(path, self.span().clone(), DeTable::new());
                Section::new(empty, &self.problems)
            }
        }
    }

    /// The tables of an array of tables.
    pub fn sections(&mut self, name: &'static str) -> Vec<Section<'a>> {
        let path = self.key(name);
        let Some(value) = self.take(name) else {
            return Vec::new();
        };
        let span = value.span();
        let DeValue::Array(items) = value.into_inner() else {
            self.problem(&span, name, format!("must be written as [[{path}]]"));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let place = format!("{path}[{}]", index + 1);
            let span = item.span();
            match item.into_inner() {
                DeValue::Table(table) => {
                    sections.push(Section::new(Table::new(place, span, table), &self.problems))
                }
                _ => self.problems.add(
                    Some(&span),
                    place,
                    format!("must be a table, written [[{path}]]"),
                ),
            }
        }
        sections
    }

    /// All tables below this one, with their names.
    pub fn named_sections(&mut self) -> Vec<(At<String>, Section<'a>)> {
        let mut sections = Vec::new();
        for (name, key_span, value) in self.table.take_rest() {
            let path = self.key(&name);
            let span = value.span();
            match value.into_inner() {
                DeValue::Table(table) => {
                    let at = At {
                        value: name,
                        span: key_span,
                        key: path.clone(),
                    };
                    let table = Table::new(path, span, table);
                    sections.push((at, Section::new(table, &self.problems)));
                }
                _ => self.problems.add(
                    Some(&span),
                    path.clone(),
                    format!("must be a table, written [{path}]"),
                ),
            }
        }
        sections
    }

    /// Reports every key that the reader did not request.
    pub fn finish(self) {
        for unknown in self.table.unknown() {
            let advice = hint_for_unknown_key(&without_indexes(&self.key(&unknown.key)));
            let reason = match (advice, unknown.meant) {
                (Some(advice), _) => format!("is not a key here: {advice}"),
                (None, Some(meant)) => format!("is not a key here; did you mean {meant:?}?"),
                (None, None) => format!(
                    "is not a key here; known keys: {}",
                    self.table.known().join(", ")
                ),
            };
            self.problem(&unknown.span, &unknown.key, reason);
        }
    }

    fn at<T>(&self, name: &str, value: &Spanned<DeValue<'_>>, inner: T) -> At<T> {
        At {
            value: inner,
            span: value.span(),
            key: self.key(name),
        }
    }
}

/// A full key without the `[1]` of lists.
pub(super) fn without_indexes(key: &str) -> String {
    let mut parts = key.split('[');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once(']').map_or("", |(_, rest)| rest));
    }
    plain
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    }
}
