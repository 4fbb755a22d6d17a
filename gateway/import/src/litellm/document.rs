//! A YAML document, taken apart key by key. What is not taken is reported.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::reasons::reason;
use super::{ImportError, Notes};

/// A mapping, and where it is. serde_json keeps the order of members or sorts them, by what else is compiled with it:
/// everything that depends on an order sorts.
pub struct Section {
    pub place: String,
    members: Map<String, Value>,
}

/// Reads the whole file.
pub fn read(text: &str) -> Result<Section, ImportError> {
    // Without a snippet: it would show what stands there, perhaps a secret.
    let options = serde_saphyr::options! { with_snippet: false };
    let value: Value = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map(|location| location.line());
        ImportError::NotYaml { line }
    })?;
    match value {
        Value::Object(members) => Ok(Section {
            place: String::new(),
            members,
        }),
        _ => Err(ImportError::NotAMapping),
    }
}

impl Section {
    pub fn place_of(&self, name: &str) -> String {
        match self.place.as_str() {
            "" => name.to_owned(),
            place => format!("{place}.{name}"),
        }
    }

    /// A member that is not null.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !value.is_null())
    }

    pub fn string(&mut self, name: &str, notes: &mut Notes) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            _ => {
                notes.not_imported(&self.place_of(name), "is not a string");
                None
            }
        }
    }

    /// A whole number above zero.
    pub fn count(&mut self, name: &str, notes: &mut Notes) -> Option<u64> {
        let value = self.take(name)?;
        let count = match &value {
            Value::Number(number) => number.as_u64().or_else(|| {
                number
                    .as_f64()
                    .filter(|n| n.fract() == 0.0 && *n > 0.0 && *n < 1e15)
                    .map(|n| n as u64)
            }),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let count = count.filter(|count| *count > 0);
        if count.is_none() {
            notes.not_imported(&self.place_of(name), "is not a whole number above zero");
        }
        count
    }

    pub fn section(&mut self, name: &str, notes: &mut Notes) -> Option<Section> {
        let place = self.place_of(name);
        match self.take(name)? {
            Value::Object(members) => Some(Section { place, members }),
            _ => {
                notes.not_imported(&place, "is not a mapping");
                None
            }
        }
    }

    /// The mappings of a list.
    pub fn sections(&mut self, name: &str, notes: &mut Notes) -> Vec<Section> {
        let list = self.place_of(name);
        let values = match self.take(name) {
            None => return Vec::new(),
            Some(Value::Array(values)) => values,
            Some(_) => {
                notes.not_imported(&list, "is not a list");
                return Vec::new();
            }
        };
        let mut sections = Vec::with_capacity(values.len());
        for (index, value) in values.into_iter().enumerate() {
            let place = format!("{list}[{index}]");
            match value {
                Value::Object(members) => sections.push(Section { place, members }),
                _ => notes.not_imported(&place, "is not a mapping"),
            }
        }
        sections
    }

    /// Reports every member that was not taken.
    pub fn finish(self, notes: &mut Notes) {
        let members = self.members.iter().collect::<BTreeMap<_, _>>();
        for (name, value) in members {
            // `key:` without a value sets nothing.
            if !value.is_null() {
                notes.not_imported(&self.place_of(name), reason(name));
            }
        }
    }

    /// Its members, sorted, for a mapping whose keys are names.
    pub fn into_members(self) -> (String, BTreeMap<String, Value>) {
        (self.place, self.members.into_iter().collect())
    }
}
