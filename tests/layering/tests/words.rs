//! Words that our prose and our names do not use, because readers had to guess what they mean.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use layering::tree;
use layering::words::{lines_with, words};

/// Write instead what the field says: *reported*, *no client*, *again*, *abandoned after the timeout*, *read*, *separate*,
/// *active*, *permanently*, *expired*, *removed*, *idle timeout*.
const REFUSED: [&str; 16] = [
    "told",
    "nobody",
    "somebody",
    "whoever",
    "anew",
    "given up",
    "looked at",
    "of its own",
    "of their own",
    "in force",
    "for good",
    "had its time",
    "is gone",
    "are gone",
    "patience",
    "patiently",
];

/// What people write or read in these files.
const EXTENSIONS: [&str; 8] = ["rs", "md", "toml", "sh", "py", "mjs", "html", "js"];

/// Folders and files that still use these words. A line leaves when its folder is finished; none is added.
const STILL_EXEMPT: &[&str] = &[];

/// Where these words stay: a file or folder, and why.
const ALLOWED_FILES: &[(&str, &str)] = &[
    ("tests/layering/tests/words.rs", "lists the words"),
    ("tests/layering/src/words.rs", "tests the search with them"),
];

/// Where one phrase stays: a file or folder, the phrase, and why. For example a member of a wire format.
const ALLOWED_PHRASES: &[(&str, &str, &str)] = &[
    (
        "docs/adr/0022-names-are-resolved-by-a-separate-process.md",
        "nobody",
        "the name of a user",
    ),
    (
        "enclave-image/images/base.toml",
        "nobody",
        "the name of a user in /etc/passwd",
    ),
    (
        "enclave-image/CONTRACT.md",
        "nobody",
        "the name of a user in /etc/passwd",
    ),
    ("gateway/admin", "in force", "member of the admin API"),
    ("tests/blackbox", "in force", "member of the admin API"),
    ("tests/console", "in force", "member of the admin API"),
    (
        "tests/conformance/src",
        "nobody",
        "descriptions of published cases",
    ),
    (
        "tests/conformance/src",
        "whoever",
        "descriptions of published cases",
    ),
];

static OCCURRENCES: LazyLock<BTreeMap<String, Vec<String>>> = LazyLock::new(occurrences);

/// `path:line: phrase` of each occurrence, by the entry of the lists above that it falls under, or by its folder.
fn occurrences() -> BTreeMap<String, Vec<String>> {
    let root = tree::root();
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in tree::files(&root) {
        let inside = path
            .strip_prefix(&root)
            .expect("the file lies below the root");
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        if !EXTENSIONS.contains(&extension.as_ref())
            || ALLOWED_FILES
                .iter()
                .any(|(allowed, _)| inside.starts_with(allowed))
        {
            continue;
        }
        let text = tree::text(&path).expect("files of these kinds are UTF-8");
        let words = words(&text);
        for phrase in REFUSED {
            let allowed = |(path, allowed, _): &(&str, &str, &str)| {
                inside.starts_with(path) && *allowed == phrase
            };
            if ALLOWED_PHRASES.iter().any(allowed) {
                continue;
            }
            let lines = lines_with(&words, phrase);
            let places = lines
                .iter()
                .map(|line| format!("{}:{line}: {phrase}", inside.display()));
            found.entry(folder(inside)).or_default().extend(places);
        }
    }
    found.retain(|_, places| !places.is_empty());
    found
}

/// The exempt entry that a file falls under, otherwise its two outermost folders.
fn folder(inside: &Path) -> String {
    match STILL_EXEMPT
        .iter()
        .find(|exempt| inside.starts_with(exempt))
    {
        Some(exempt) => (*exempt).to_owned(),
        None => {
            let parent = inside.parent().unwrap_or(inside);
            let outermost: Vec<_> = parent
                .iter()
                .take(2)
                .map(|part| part.to_string_lossy())
                .collect();
            outermost.join("/")
        }
    }
}
/// Shown with `cargo test -p layering --test words -- --nocapture`.
fn print_table(found: &BTreeMap<String, Vec<String>>) {
    println!("{:<28} {:>6}  ", "folder", "words");
    for (folder, places) in found {
        let exempt = match STILL_EXEMPT.contains(&folder.as_str()) {
            true => "still exempt",
            false => "",
        };
        println!("{folder:<28} {:>6}  {exempt}", places.len());
    }
    println!(
        "{:<28} {:>6}",
        "sum",
        found.values().map(Vec::len).sum::<usize>()
    );
}
#[test]
fn only_exempt_folders_use_refused_words() {
    let found = &*OCCURRENCES;
    print_table(found);
    let refused: Vec<_> = found
        .iter()
        .filter(|(folder, _)| !STILL_EXEMPT.contains(&folder.as_str()))
        .flat_map(|(_, places)| places)
        .collect();
    assert!(refused.is_empty(), "say it in plainer words: {refused:#?}");
}
#[test]
fn every_exemption_is_needed() {
    let found = &*OCCURRENCES;
    let unneeded: Vec<_> = STILL_EXEMPT
        .iter()
        .filter(|exempt| !found.contains_key(**exempt))
        .collect();
    assert!(
        unneeded.is_empty(),
        "these folders are finished, remove their lines: {unneeded:?}"
    );
    for (path, _) in ALLOWED_FILES {
        assert!(
            tree::root().join(path).exists(),
            "{path} is part of the repository"
        );
    }
}
