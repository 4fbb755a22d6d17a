//! The reference page against the programs, and the comparison against pages that are wrong.

use std::collections::BTreeMap;

use reference::{Section, differences, inventory, source};

#[test]
fn the_reference_page_documents_exactly_what_the_programs_have() {
    let page = source::text("docs/reference.md");
    let found = differences(&page, &inventory::all());
    assert!(
        found.is_empty(),
        "docs/reference.md and the programs differ:\n{}\n",
        found.join("\n")
    );
}

#[test]
fn every_section_has_something_to_document() {
    for Section { heading, entries } in inventory::all() {
        assert!(!entries.is_empty(), "{heading} is empty");
    }
}

fn metrics() -> Vec<Section> {
    let row = |name: &str| (name.to_owned(), format!("| `{name}` | help |"));
    vec![Section {
        heading: "Metrics",
        entries: BTreeMap::from([row("a_total"), row("b")]),
    }]
}

#[test]
fn a_missing_row_is_reported_as_the_line_to_add() {
    let page = "## Metrics\n\n| name | counts |\n|---|---|\n| `a_total` | all |\n";
    assert_eq!(
        differences(page, &metrics()),
        ["under \"## Metrics\" add: | `b` | help |"]
    );
}

#[test]
fn a_row_that_the_program_lost_is_reported_with_its_line() {
    let page =
        "## Metrics\n| name | counts |\n|---|---|\n| `a_total` | x |\n| `b` | x |\n| `c` | x |\n";
    assert_eq!(
        differences(page, &metrics()),
        ["under \"## Metrics\" remove \"c\" (line 6): the program does not have it"]
    );
}

#[test]
fn a_row_that_was_copied_and_not_filled_in_is_reported() {
    let page =
        "## Metrics\n| name | counts |\n|---|---|\n| `a_total` | FILL IN |\n| `b` | x | y |\n";
    assert_eq!(
        differences(page, &metrics()),
        [
            "line 4 (a_total): the cell \"FILL IN\" is to be filled in",
            "line 5 (b): 3 cells in a table of 2 columns",
        ]
    );
}

#[test]
fn a_missing_section_is_reported() {
    assert_eq!(
        differences("# Page\n", &metrics()),
        ["add the section: ## Metrics"]
    );
}
