//! The page, read: of each `## ` section the rows of its tables.

use std::collections::BTreeMap;

/// A row of a table, or the heading of a command.
pub struct Row {
    /// Counted from 1.
    pub line: usize,
    cells: Vec<String>,
    columns: usize,
}

impl Row {
    /// A row that was copied from a finding and not filled in, or does not fit its table.
    pub fn problem(&self) -> Option<String> {
        if self.cells.len() != self.columns {
            return Some(format!(
                "{} cells in a table of {} columns",
                self.cells.len(),
                self.columns
            ));
        }
        let unfilled = |cell: &&String| cell.is_empty() || cell.contains("FILL IN");
        self.cells
            .iter()
            .find(unfilled)
            .map(|cell| format!("the cell {cell:?} is to be filled in"))
    }
}

/// By section, the rows by name. A `### ` heading that is one code span names a command: the heading is an entry, and
/// the names of the rows below it begin with it.
pub fn read(text: &str) -> BTreeMap<String, BTreeMap<String, Row>> {
    let mut sections: BTreeMap<String, BTreeMap<String, Row>> = BTreeMap::new();
    let (mut section, mut command) = (String::new(), String::new());
    let mut columns = None;
    for (index, text) in text.lines().enumerate() {
        let line = index + 1;
        if let Some(heading) = text.strip_prefix("## ") {
            section = heading.trim().to_owned();
            command.clear();
            sections.entry(section.clone()).or_default();
        } else if let Some(heading) = text.strip_prefix("### ") {
            command = code(heading)
                .filter(|_| is_command(heading))
                .unwrap_or_default();
            if !command.is_empty() {
                let row = Row {
                    line,
                    cells: Vec::new(),
                    columns: 0,
                };
                sections
                    .entry(section.clone())
                    .or_default()
                    .insert(command.clone(), row);
            }
        }
        let Some(cells) = cells(text) else {
            columns = None;
            continue;
        };
        let Some(columns) = columns else {
            columns = Some(cells.len());
            continue;
        };
        let Some(name) = cells.first().and_then(|cell| code(cell)) else {
            continue;
        };
        let name = match command.as_str() {
            "" => name,
            command => {
                let flag = name.split(' ').next().unwrap_or_default();
                format!("{command} {flag}")
            }
        };
        let row = Row {
            line,
            cells,
            columns,
        };
        sections
            .entry(section.clone())
            .or_default()
            .insert(name, row);
    }
    sections
}

fn is_command(heading: &str) -> bool {
    heading.trim().starts_with("`sealgate")
}

/// The first code span.
fn code(text: &str) -> Option<String> {
    text.split('`').nth(1).map(str::to_owned)
}

/// The cells of a table's row; a bar inside a cell is written `\|`.
fn cells(text: &str) -> Option<Vec<String>> {
    let inside = text.trim().strip_prefix('|')?.strip_suffix('|')?;
    let inside = inside.replace("\\|", "\u{0}");
    let cells = inside.split('|');
    Some(
        cells
            .map(|cell| cell.trim().replace('\u{0}', "|"))
            .collect(),
    )
}
