//! The claims in `docs/security` and the tests that show them.
//!
//! Each page has a table of numbered claims and, in a comment after it, a line of test names for each number. The
//! appendix `docs/security/tests.md` is generated from both: `SEALGATE_UPDATE_DOCUMENTS=1` writes it again.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use layering::tree;

const FOLDER: &str = "docs/security";
const PAGES: [&str; 4] = ["clients.md", "operators.md", "auditors.md", "reviewers.md"];

/// A page's claims in their order, each with the tests that show it.
struct Page {
    file: &'static str,
    title: String,
    claims: Vec<Claim>,
}

struct Claim {
    number: String,
    text: String,
    tests: Vec<String>,
}

fn page(file: &'static str) -> Page {
    let path = tree::root().join(FOLDER).join(file);
    let text = tree::text(&path).expect("pages are UTF-8");
    let title = text.lines().next().and_then(|line| line.strip_prefix("# "));
    let title = title.expect("a page begins with its title").to_owned();
    let shown = tests_by_number(&text);
    let claims: Vec<Claim> = text
        .lines()
        .filter_map(|line| {
            let (number, rest) = line.strip_prefix("| ")?.split_once(" | ")?;
            let is_number = number.len() >= 2 && number[1..].bytes().all(|b| b.is_ascii_digit());
            let (text, _limit) = rest.rsplit_once(" | ")?;
            is_number.then(|| Claim {
                number: number.to_owned(),
                text: text.to_owned(),
                tests: shown.get(number).cloned().unwrap_or_default(),
            })
        })
        .collect();
    for number in shown.keys() {
        assert!(
            claims.iter().any(|claim| claim.number == *number),
            "{file}: tests for {number}, which is no claim"
        );
    }
    Page {
        file,
        title,
        claims,
    }
}

/// The lines of the comment `<!-- tests: … -->`.
fn tests_by_number(page: &str) -> BTreeMap<String, Vec<String>> {
    let comment = page.split("<!-- tests:").nth(1);
    let comment = comment.and_then(|rest| rest.split("-->").next());
    let lines = comment.expect("a page names its tests").lines().skip(1);
    lines
        .filter_map(|line| line.split_once(": "))
        .map(|(number, tests)| {
            let tests = tests.split(", ").map(str::to_owned).collect();
            (number.to_owned(), tests)
        })
        .collect()
}

/// Every function of a Rust or Python file, by name, with the file.
fn functions() -> BTreeMap<String, String> {
    let root = tree::root();
    let mut found = BTreeMap::new();
    for path in tree::files(&root) {
        let keyword = match path.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => "fn ",
            Some("py") => "def ",
            _ => continue,
        };
        let text = tree::text(&path).expect("source files are UTF-8");
        let file = path.strip_prefix(&root).expect("a file of the repository");
        for rest in text.split(keyword).skip(1) {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            found.insert(name.to_owned(), file.to_string_lossy().into_owned());
        }
    }
    found
}

fn appendix(pages: &[Page]) -> String {
    let functions = functions();
    let makefile = tree::text(&tree::root().join("Makefile")).expect("the Makefile is UTF-8");
    let mut out = "# Security: the tests behind the claims\n\nGenerated from the claims pages by `SEALGATE_UPDATE_DOCUMENTS=1 cargo test -p layering --test claims`; do not edit.\nA name that does not exist fails that test.\n".to_owned();
    for Page {
        file,
        title,
        claims,
    } in pages
    {
        let _ = write!(
            out,
            "\n## {title}\n\n[The claims with their limits]({file}).\n"
        );
        for claim in claims {
            let _ = write!(out, "\n**{}** {}\n\n", claim.number, claim.text);
            assert!(
                !claim.tests.is_empty(),
                "{file}: no test shows {}",
                claim.number
            );
            for test in &claim.tests {
                let line = match (test.strip_prefix("make "), functions.get(test)) {
                    (Some(target), _) => {
                        let is_there = makefile.contains(&format!("\n{target}:"));
                        assert!(is_there, "{file}: {test}: no such target");
                        format!("- `{test}`")
                    }
                    (None, Some(source)) => format!("- [`{test}`](../../{source})"),
                    (None, None) => {
                        panic!("{file}: {} names {test}, which is not there", claim.number)
                    }
                };
                let _ = writeln!(out, "{line}");
            }
        }
    }
    out
}

#[test]
fn the_appendix_of_tests_is_the_one_generated_from_the_claims() {
    let generated = appendix(&PAGES.map(page));
    let path = tree::root().join(FOLDER).join("tests.md");
    if std::env::var_os("SEALGATE_UPDATE_DOCUMENTS").is_some() {
        std::fs::write(&path, &generated).expect("the appendix can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == generated,
        "docs/security/tests.md is not what the claims pages say; write it again with SEALGATE_UPDATE_DOCUMENTS=1"
    );
}
