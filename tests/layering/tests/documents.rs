//! What the documents say of the code, compared with the code.

use std::collections::BTreeSet;

use layering::tree;

/// The words in backticks of a Markdown text.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// A test is named as a sentence: four words or more, joined by underscores.
fn is_sentence(word: &str) -> bool {
    word.matches('_').count() >= 3
        && word
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Metrics and configuration keys look like sentences too. Those have a page, which another test compares with the
/// programs; of a key its section may be left out.
fn documented_names() -> BTreeSet<String> {
    let page = tree::text(&tree::root().join("docs/reference.md")).expect("the page is UTF-8");
    quoted(&page)
        .map(|word| word.rsplit('.').next().unwrap_or(word).to_owned())
        .collect()
}

/// Every function in our Rust and Python files, and every test of the Node suite in the same spelling.
fn functions() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in tree::files(&tree::root()) {
        let keyword = match path.extension().and_then(|e| e.to_str()) {
            Some("rs") => "fn ",
            Some("py") => "def ",
            _ => continue,
        };
        let text = tree::text(&path).expect("source files are UTF-8");
        for line in text.lines() {
            let name = line
                .split(keyword)
                .nth(1)
                .and_then(|rest| rest.split(['(', '<']).next());
            found.extend(name.map(str::to_owned));
        }
    }
    found
}

#[test]
fn every_test_that_a_document_names_exists() {
    let mut known = functions();
    known.extend(documented_names());
    let mut named = 0;
    for document in [
        "README.md",
        "SECURITY.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "docs/data-path.md",
        "docs/admin.md",
        "docs/audit-log.md",
        "attest/measure/README.md",
        "enclave-image/trusted-base.md",
    ] {
        let text = tree::text(&tree::root().join(document)).expect("documents are UTF-8");
        for word in quoted(&text).filter(|word| is_sentence(word)) {
            assert!(
                known.contains(word),
                "{document} names {word}, which is not there"
            );
            named += 1;
        }
    }
    assert!(
        named > 10,
        "the documents name the tests that show their claims"
    );
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let root = tree::root();
    for path in tree::files(&root) {
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = tree::text(&path).expect("documents are UTF-8");
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = target.split('#').next().unwrap_or("");
            if file.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let folder = path.parent().expect("a file lies in a folder");
            assert!(
                folder.join(file).exists(),
                "{} links to {target}, which is not there",
                path.display()
            );
        }
    }
}
