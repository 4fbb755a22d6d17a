//! What the documents say of the code, compared with the code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

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

/// Metrics, configuration keys, policy fields and members of documents look like sentences too. Those have pages and
/// schemas, which other tests compare with the programs; of a key its section may be left out.
fn documented_names() -> BTreeSet<String> {
    let root = tree::root();
    let read = |path: &Path| tree::text(path).expect("the page is UTF-8");
    let mut found = BTreeSet::new();
    for page in ["docs/reference.md", "policies/attestation/README.md"] {
        let text = read(&root.join(page));
        found.extend(quoted(&text).map(|word| word.rsplit('.').next().unwrap_or(word).to_owned()));
    }
    for schema in tree::files(&root.join("docs/schemas")) {
        found.extend(read(&schema).split('"').map(str::to_owned));
    }
    found
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

/// Every Markdown file of the repository.
fn documents() -> Vec<PathBuf> {
    let mut found = tree::files(&tree::root());
    found.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    found
}

#[test]
fn every_test_that_a_document_names_exists() {
    let mut known = functions();
    known.extend(documented_names());
    let mut named = 0;
    for path in documents() {
        let text = tree::text(&path).expect("documents are UTF-8");
        for word in quoted(&text).filter(|word| is_sentence(word)) {
            assert!(
                known.contains(word),
                "{} names {word}, which is not there",
                path.display()
            );
            named += 1;
        }
    }
    assert!(
        named > 10,
        "the documents name the tests that show their claims"
    );
}

/// The headings of a page, as GitHub and mdBook name them in links.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut in_code = false;
    let mut found = BTreeSet::new();
    for line in text.lines() {
        in_code ^= line.trim_start().starts_with("```");
        let heading = line.trim_start_matches('#');
        if in_code || heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let kept = heading.trim().to_lowercase();
        let kept = kept
            .chars()
            .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
        found.insert(kept.collect::<String>().replace(' ', "-"));
    }
    found
}

/// The targets of a page's links within the repository.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    for path in documents() {
        let text = tree::text(&path).expect("documents are UTF-8");
        let folder = path.parent().expect("a file lies in a folder");
        for target in links(&text) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let page = match file {
                "" => path.clone(),
                file => folder.join(file),
            };
            let from = path.display();
            assert!(
                page.exists(),
                "{from} links to {target}, which is not there"
            );
            let is_page = page.extension().is_some_and(|extension| extension == "md");
            if !anchor.is_empty() && is_page {
                let text = tree::text(&page).expect("documents are UTF-8");
                let there = anchors(&text).contains(anchor);
                assert!(there, "{from} links to {target}, which has no such heading");
            }
        }
    }
}

#[test]
fn every_page_below_docs_is_in_the_summary() {
    let folder = tree::root().join("docs");
    let summary = tree::text(&folder.join("SUMMARY.md")).expect("documents are UTF-8");
    let listed: BTreeSet<PathBuf> = links(&summary).map(|link| folder.join(link)).collect();
    for path in documents() {
        let is_ours = path.starts_with(&folder) && !path.ends_with("SUMMARY.md");
        assert!(
            !is_ours || listed.contains(&path),
            "docs/SUMMARY.md does not list {}",
            path.display()
        );
    }
}

/// Blocks of a page that are quoted from a transcript: the name of the transcript and the text.
fn quotations(page: &str) -> Vec<(&str, &str)> {
    const MARK: &str = "<!-- transcript: ";
    page.split(MARK)
        .skip(1)
        .map(|rest| {
            let (name, rest) = rest.split_once(" -->\n```\n").expect("a block follows");
            let (block, _) = rest.split_once("\n```").expect("the block ends");
            (name, block)
        })
        .collect()
}

#[test]
fn every_quotation_of_a_transcript_is_in_it() {
    let mut found = 0;
    for path in documents() {
        let text = tree::text(&path).expect("documents are UTF-8");
        for (name, block) in quotations(&text) {
            let transcript = tree::root().join("verifier/tests/transcripts").join(name);
            let transcript = tree::text(&transcript).expect("transcripts are UTF-8");
            assert!(
                transcript.contains(&format!("{block}\n")),
                "{} quotes what {name} does not have:\n{block}",
                path.display()
            );
            found += 1;
        }
    }
    assert!(found > 0, "the tutorial quotes a transcript");
}

/// The public fields of the structs in a Rust file.
fn public_fields(path: &str) -> BTreeSet<String> {
    let text = tree::text(&tree::root().join(path)).expect("source files are UTF-8");
    let fields = text.lines().filter_map(|line| {
        let (name, _) = line.trim().strip_prefix("pub ")?.split_once(": ")?;
        Some(name.to_owned())
    });
    fields.collect()
}

#[test]
fn the_conformance_kits_page_has_exactly_the_members_of_a_case() {
    let page = tree::root().join("tests/conformance/cases/README.md");
    let page = tree::text(&page).expect("documents are UTF-8");
    let known = public_fields("tests/conformance/src/case.rs");
    let described: BTreeSet<&str> = quoted(&page).collect();
    for field in &known {
        let is_described = described
            .iter()
            .any(|word| word.split('.').any(|part| part == field));
        assert!(is_described, "the page does not describe {field}");
    }
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    for name in rows.filter_map(|row| row.split(" | ").next()) {
        for member in name.split(", ").map(|name| name.trim_matches('`')) {
            let member = member.rsplit('.').next().unwrap_or(member);
            assert!(known.contains(member), "a case has no member {member}");
        }
    }
}

#[test]
fn the_core_crates_module_list_has_every_public_module() {
    let path = tree::root().join("attest/core/src/lib.rs");
    let text = tree::text(&path).expect("source files are UTF-8");
    let (header, code) = text.split_once("\n\n").expect("a header and code");
    let modules = code
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let listed: BTreeSet<&str> = header
        .split("[`")
        .skip(1)
        .filter_map(|rest| rest.split("`]").next())
        .collect();
    assert_eq!(listed, modules.collect::<BTreeSet<_>>());
}
