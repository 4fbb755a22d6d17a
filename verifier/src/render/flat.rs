//! Renders JSON as one line per value, for inspection. Long values are shortened, with their length.

use serde_json::Value;

use super::json::sorted;
use super::paint::printable;

/// Printed in place of `null`.
pub const ABSENT: &str = "–";
const LONGEST: usize = 100;
const SHOWN: usize = 60;

/// `path  value`, in the order of the keys.
pub fn lines(value: &Value) -> Vec<(String, String)> {
    let mut out = Vec::new();
    walk(&mut out, String::new(), &sorted(value));
    out
}

fn walk(out: &mut Vec<(String, String)>, path: String, value: &Value) {
    let below = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, inner) in map {
                walk(out, below(&printable(key)), inner);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, inner) in items.iter().enumerate() {
                walk(out, below(&index.to_string()), inner);
            }
        }
        leaf => out.push((path, text(leaf))),
    }
}

fn text(leaf: &Value) -> String {
    match leaf {
        Value::Null => ABSENT.to_owned(),
        Value::String(s) if s.chars().count() > LONGEST => {
            let head: String = s.chars().take(SHOWN).collect();
            format!("{}… ({} characters)", printable(&head), s.chars().count())
        }
        Value::String(s) => printable(s),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_leaf_has_a_line_and_long_values_are_shortened() {
        let value = json!({"a": {"b": [1, null], "c": {}}, "d": "x".repeat(101), "e": "\u{1b}[1m"});
        let flat = lines(&value);
        assert_eq!(flat[0], ("a.b.0".to_owned(), "1".to_owned()));
        assert_eq!(flat[1], ("a.b.1".to_owned(), "–".to_owned()));
        assert_eq!(flat[2], ("a.c".to_owned(), "{}".to_owned()));
        assert!(flat[3].1.ends_with("x… (101 characters)"));
        assert_eq!(flat[4].1, "\\u{1b}[1m");
    }
}
