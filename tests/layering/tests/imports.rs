//! One order of imports. `SEALGATE_ORDER_IMPORTS=1 cargo test -p layering --test imports && cargo fmt` puts them in order.

use std::collections::BTreeSet;
use std::fs;

use layering::{imports, tree};

/// The crates of the workspace, as code names them.
fn workspace_crates() -> BTreeSet<String> {
    let root = tree::root();
    let manifests = tree::files(&root).into_iter().filter(|path| {
        path.file_name().is_some_and(|name| name == "Cargo.toml") && path.parent() != Some(&*root)
    });
    let names: BTreeSet<String> = manifests
        .filter_map(|path| {
            let text = tree::text(&path)?;
            let line = text.lines().find_map(|line| line.strip_prefix("name = "))?;
            Some(line.trim_matches('"').replace('-', "_"))
        })
        .collect();
    assert!(names.contains("attest_core") && names.contains("testkit"));
    names
}

#[test]
fn imports_are_blocks_of_std_other_crates_and_ours() {
    let (root, ours) = (tree::root(), workspace_crates());
    let mut unordered = Vec::new();
    for path in tree::files(&root) {
        let inside = path.strip_prefix(&root).unwrap_or(&path).to_owned();
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        if !is_rust {
            continue;
        }
        let text = tree::text(&path).expect("Rust files are UTF-8");
        let Some(ordered) = imports::ordered(&text, &ours) else {
            continue;
        };
        if std::env::var_os("SEALGATE_ORDER_IMPORTS").is_some() {
            fs::write(&path, ordered).expect("the file can be written");
        } else {
            unordered.push(inside.display().to_string());
        }
    }
    assert!(
        unordered.is_empty(),
        "order them with SEALGATE_ORDER_IMPORTS=1 cargo test -p layering --test imports && cargo fmt: {unordered:#?}"
    );
}
