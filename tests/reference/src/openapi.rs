//! The interface descriptions in `docs/openapi`.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::source;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// `METHOD path` of every operation that a description has.
pub fn described(file: &str) -> BTreeSet<String> {
    let text = source::text(file);
    let description: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    let paths = description["paths"].as_object().into_iter().flatten();
    let one = |(path, operations): (&String, &Value)| -> Vec<String> {
        let methods = METHODS
            .iter()
            .filter(|method| !operations[**method].is_null());
        methods
            .map(|method| format!("{} {path}", method.to_uppercase()))
            .collect()
    };
    paths.flat_map(one).collect()
}

/// A router's list in the same form: what a `*` segment takes is one parameter there.
pub fn routed(paths: Vec<String>) -> BTreeSet<String> {
    paths
        .into_iter()
        .map(|path| path.replace("{*", "{"))
        .collect()
}
