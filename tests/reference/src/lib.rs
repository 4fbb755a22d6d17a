//! `docs/reference.md` compared with the programs, both ways.
//!
//! [`inventory`] lists what the programs have, from their own parsers, routers and registries; [`page`] reads what the
//! page documents. What is in one and not in the other is reported with the line to add or to remove.

pub mod commands;
pub mod inventory;
pub mod openapi;
pub mod page;
pub mod source;

use std::collections::BTreeMap;

/// What one section of the page has to document.
pub struct Section {
    /// The page's `## ` heading.
    pub heading: &'static str,
    /// By the first cell of its row, the row to add where there is none.
    pub entries: BTreeMap<String, String>,
}

/// What is wrong with the page, one finding a line; empty if it agrees with the programs.
pub fn differences(text: &str, sections: &[Section]) -> Vec<String> {
    let documented = page::read(text);
    let mut found = Vec::new();
    for section in sections {
        let heading = section.heading;
        let Some(rows) = documented.get(heading) else {
            found.push(format!("add the section: ## {heading}"));
            continue;
        };
        for (name, row) in &section.entries {
            if !rows.contains_key(name) {
                found.push(format!("under \"## {heading}\" add: {row}"));
            }
        }
        for (name, row) in rows {
            if !section.entries.contains_key(name) {
                found.push(format!(
                    "under \"## {heading}\" remove {name:?} (line {}): the program does not have it",
                    row.line
                ));
            }
            if let Some(problem) = row.problem() {
                found.push(format!("line {} ({name}): {problem}", row.line));
            }
        }
    }
    found
}
