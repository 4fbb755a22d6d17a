//! The words by which the verification library's refusals are told apart are read again from that
//! library's own source, in the version that is locked.

use std::path::{Path, PathBuf};

/// The version whose sentences the table holds. Another one may speak differently: go through
/// `verify_impl` and what it calls, then change the table and this line together.
const VERSION: &str = "0.7.1";

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The first string of every row of the table in `tdx/refusal.rs`.
fn sentences() -> Vec<String> {
    let source = std::fs::read_to_string(here().join("src/tdx/refusal.rs")).unwrap();
    let (_, table) = source.split_once("const SENTENCES").expect("the table");
    let (table, _) = table.split_once("pub(super) fn classify").expect("its end");
    let rows = table.split("(\"").skip(1).chain(
        // Rows that rustfmt broke into lines.
        table
            .split("(\n")
            .skip(1)
            .filter_map(|row| row.trim_start().strip_prefix('"')),
    );
    rows.filter_map(|row| row.split('"').next())
        .filter(|text| !["TCB info", "QE identity"].contains(text))
        .map(str::to_owned)
        .collect()
}

fn library_source() -> Option<String> {
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    let registry = cargo_home.or_else(home)?.join("registry/src");
    let mut text = String::new();
    for index in std::fs::read_dir(registry).ok()?.flatten() {
        let source = index.path().join(format!("dcap-qvl-{VERSION}/src"));
        for file in ["verify.rs", "utils.rs", "tcb_info.rs", "intel.rs"] {
            text += &std::fs::read_to_string(source.join(file)).unwrap_or_default();
        }
    }
    // Continued string literals and comments apart, the source is compared as it stands.
    (!text.is_empty()).then_some(text)
}

#[test]
fn the_library_is_the_one_whose_sentences_are_known() {
    let lock = std::fs::read_to_string(here().join("../../Cargo.lock")).unwrap();
    let package = lock
        .split("[[package]]")
        .find(|package| package.contains("name = \"dcap-qvl\"\n"))
        .expect("dcap-qvl is locked");
    assert!(
        package.contains(&format!("version = \"{VERSION}\"")),
        "{package}"
    );
}

#[test]
fn every_sentence_is_one_the_library_says() {
    let sentences = sentences();
    assert!(sentences.len() > 40, "{}", sentences.len());
    let Some(source) = library_source() else {
        println!("skipped: sentences of dcap-qvl: its source is not in cargo's registry");
        return;
    };
    for sentence in sentences {
        // The library writes the name of the structure into this one.
        let literal = match sentence.as_str() {
            "in QE Identity" => "Unrecognized TCB status {status} in {structure}",
            "TCB status is invalid: Revoked" => "\"TCB status is invalid: Revoked\"",
            other => other,
        };
        assert!(
            source.contains(literal),
            "the library does not say: {sentence}"
        );
    }
}
