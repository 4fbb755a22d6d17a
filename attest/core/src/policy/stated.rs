//! What the text of a policy states, as JSON, for those who render it.

use serde_json::{Map, Number, Value};

use strict_toml::{DeTable, DeValue, Table};

/// Before a reader takes the values out.
pub(super) fn stated(table: &Table<'_>) -> Map<String, Value> {
    let keys = table.keys().filter_map(|(key, _)| {
        let value = table.peek(key)?;
        Some((key.to_owned(), json(value.get_ref())))
    });
    keys.collect()
}

fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(is) => Value::Bool(*is),
        DeValue::Integer(integer) => {
            let number = i64::from_str_radix(integer.as_str(), integer.radix());
            number.map_or(Value::Null, |number| Value::Number(Number::from(number)))
        }
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => Value::Object(members(table)),
        // No policy has one that is valid.
        DeValue::Float(_) | DeValue::Datetime(_) => Value::Null,
    }
}

fn members(table: &DeTable<'_>) -> Map<String, Value> {
    let entries = table.iter();
    entries
        .map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref())))
        .collect()
}
