//! JSON with sorted keys.

use serde_json::Value;

/// JSON with a newline at its end. Keys are sorted, so the form is stable.
pub fn pretty(value: &Value) -> String {
    let mut text =
        serde_json::to_string_pretty(&sorted(value)).unwrap_or_else(|_| "null".to_owned());
    text.push('\n');
    text
}

/// Sorts all keys: whether a map of `serde_json` does depends on features that other crates of a build enable.
pub fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            keys.into_iter()
                .map(|key| (key.clone(), sorted(&map[key])))
                .collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        leaf => leaf.clone(),
    }
}
