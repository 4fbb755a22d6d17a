//! Changing JSON by its structure: what comes out is JSON, and says something else.

use serde_json::{Number, Value};

use crate::mutate::Numbers;

const WORDS: [&str; 14] = [
    "UpToDate",
    "OutOfDate",
    "Revoked",
    "ConfigurationNeeded",
    "SWHardeningNeeded",
    "OutOfDateConfigurationNeeded",
    "TDRelaunchAdvised",
    "Unheard",
    "TDX",
    "TD_QE",
    "SGX",
    "TDX_01",
    "2020-01-01T00:00:00Z",
    "",
];
const NUMBERS: [u64; 12] = [0, 1, 2, 3, 4, 5, 6, 15, 16, 255, 65_535, 4_294_967_295];

/// The text, changed in one or two places, or a member of it written twice.
pub fn changed(text: &str, numbers: &mut Numbers) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(text) else {
        return text.to_owned();
    };
    for _ in 0..=numbers.below(2) {
        let count = count(&value);
        change(&mut value, numbers.below(count), numbers);
    }
    let text = value.to_string();
    match numbers.below(12) {
        0 => with_a_member_twice(&text, numbers),
        1 => format!(" {text}\n"),
        _ => text,
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// Changes the value at this place, counted from the outermost.
fn change(value: &mut Value, place: usize, numbers: &mut Numbers) {
    let Some(mut place) = place.checked_sub(1) else {
        return replace(value, numbers);
    };
    let children: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(members) => members.values_mut().collect(),
        _ => return,
    };
    for child in children {
        let inside = count(child);
        if place < inside {
            return change(child, place, numbers);
        }
        place -= inside;
    }
}

fn replace(value: &mut Value, numbers: &mut Numbers) {
    match value {
        Value::Object(members) => {
            let name = members.keys().nth(numbers.below(members.len())).cloned();
            let Some(name) = name else { return };
            match numbers.below(4) {
                0 | 1 => drop(members.remove(&name)),
                2 => drop(members.insert("unheard".to_owned(), Value::Bool(true))),
                _ => drop(members.insert(name, Value::Null)),
            }
        }
        Value::Array(items) => {
            let (at, other) = (numbers.below(items.len()), numbers.below(items.len()));
            match numbers.below(4) {
                0 if !items.is_empty() => drop(items.remove(at)),
                1 if !items.is_empty() => items.push(items[at].clone()),
                2 if !items.is_empty() => items.swap(at, other),
                _ => items.clear(),
            }
        }
        Value::Number(number) => *number = Number::from(NUMBERS[numbers.below(NUMBERS.len())]),
        Value::String(text) => *text = string(text, numbers),
        other => *other = Value::Null,
    }
}

fn string(text: &str, numbers: &mut Numbers) -> String {
    let is_hex = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match numbers.below(6) {
        0..=2 if is_hex => {
            let mut digits: Vec<u8> = text.bytes().collect();
            let at = numbers.below(digits.len());
            digits[at] = b"0123456789abcdefF"[numbers.below(17)];
            String::from_utf8(digits).unwrap_or_default()
        }
        3 => text.get(1..).unwrap_or_default().to_owned(),
        4 => text.to_ascii_lowercase(),
        _ => WORDS[numbers.below(WORDS.len())].to_owned(),
    }
}

/// The first member after some place, with its value, once more.
fn with_a_member_twice(text: &str, numbers: &mut Numbers) -> String {
    let ends: Vec<usize> = text.match_indices(',').map(|(at, _)| at).collect();
    let starts = |at: &usize| {
        let before = &text[..*at];
        let start = before.rfind([',', '{']).map_or(0, |at| at + 1);
        let member = &before[start..];
        (member.starts_with('"') && member.contains("\":")).then_some((start, *at))
    };
    let members: Vec<(usize, usize)> = ends.iter().filter_map(starts).collect();
    match members.get(numbers.below(members.len())) {
        None => text.to_owned(),
        Some(&(start, end)) => format!("{},{}", &text[..end], &text[start..]),
    }
}
