//! The order of a file's imports: the standard library, other crates, ours, as blocks with a blank line between them.
//!
//! rustfmt sorts the imports of a block and leaves the blocks as they are; grouping them needs its nightly version. "Ours"
//! is `crate`, `super`, the file's own modules and every crate of this workspace.

use std::collections::BTreeSet;

/// Where an imported path begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Block {
    Std,
    Others,
    Ours,
}

/// One `use` on the top level of a file, without `pub` and without attributes: the lines from `first` to `last`.
struct Import {
    block: Block,
    first: usize,
    last: usize,
}

/// The same file with its imports in order; `None` if they are. `ours` are the workspace's crates, as code names them.
/// Re-exports stay where they are. Within a block the order is rustfmt's.
pub fn ordered(source: &str, ours: &BTreeSet<String>) -> Option<String> {
    let lines: Vec<&str> = source.lines().collect();
    let imports = imports(&lines, ours);
    let in_order = imports.is_sorted_by_key(|import| import.block);
    let separated = imports
        .windows(2)
        .all(|pair| pair[0].block == pair[1].block || pair[1].first > pair[0].last + 1);
    if in_order && separated {
        return None;
    }
    let is_import = |line: usize| {
        imports
            .iter()
            .any(|import| (import.first..=import.last).contains(&line))
    };
    let mut text = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        if imports.first().is_some_and(|first| first.first == number) {
            for block in [Block::Std, Block::Others, Block::Ours] {
                let of_block = imports.iter().filter(|import| import.block == block);
                text.extend(of_block.flat_map(|import| &lines[import.first..=import.last]));
                text.push(&"");
            }
        }
        if !is_import(number) {
            text.push(line);
        }
    }
    // Where a block was removed, or had no import, blank lines follow each other.
    text.dedup_by(|line, before| line.is_empty() && before.is_empty());
    let mut text: String = text.iter().flat_map(|line| [**line, "\n"]).collect();
    if !source.ends_with('\n') {
        text.pop();
    }
    Some(text)
}

fn imports(lines: &[&str], ours: &BTreeSet<String>) -> Vec<Import> {
    let modules: BTreeSet<&str> = lines.iter().filter_map(|line| module(line)).collect();
    let mut found = Vec::new();
    for (first, line) in lines.iter().enumerate() {
        let Some(path) = line.strip_prefix("use ") else {
            continue;
        };
        if first > 0 && lines[first - 1].starts_with("#[") {
            continue;
        }
        let root = path.trim_start_matches("::");
        let root = root
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .next();
        let root = root.unwrap_or_default();
        let block = match root {
            "std" | "core" | "alloc" => Block::Std,
            "crate" | "super" | "self" => Block::Ours,
            name if ours.contains(name) || modules.contains(name) => Block::Ours,
            _ => Block::Others,
        };
        let length = lines[first..].iter().position(|line| line.ends_with(';'));
        let last = first + length.unwrap_or(0);
        found.push(Import { block, first, last });
    }
    found
}

/// The name in a line that declares a module.
fn module(line: &str) -> Option<&str> {
    let declared = match line.strip_prefix("pub") {
        Some(rest) => rest.split_once(' ')?.1,
        None => line,
    };
    let name = declared.strip_prefix("mod ")?;
    name.split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> BTreeSet<String> {
        ["attest_core".to_owned()].into()
    }

    #[test]
    fn orders_blocks_and_separates_them() {
        let source = "//! A file.\n\nmod near;\n\nuse bytes::Bytes;\nuse std::fmt;\nuse attest_core::{\n    Nonce,\n};\nuse near::Thing;\n\nstruct A;\n";
        let expected = "//! A file.\n\nmod near;\n\nuse std::fmt;\n\nuse bytes::Bytes;\n\nuse attest_core::{\n    Nonce,\n};\nuse near::Thing;\n\nstruct A;\n";
        assert_eq!(ordered(source, &ours()).as_deref(), Some(expected));
        assert_eq!(ordered(expected, &ours()), None);
    }

    #[test]
    fn joins_a_block_that_was_divided_and_leaves_re_exports_and_attributes_in_place() {
        let source = "use std::fmt;\n\nuse super::A;\npub use other::B;\n\n#[cfg(test)]\nuse std::fs;\nuse bytes::Bytes;\n";
        let expected = "use std::fmt;\n\nuse bytes::Bytes;\n\nuse super::A;\n\npub use other::B;\n\n#[cfg(test)]\nuse std::fs;\n";
        assert_eq!(ordered(source, &ours()).as_deref(), Some(expected));
    }

    #[test]
    fn leaves_ordered_imports_and_files_without_any() {
        for source in [
            "fn f() {}\n",
            "use std::fmt;\nuse std::io;\n\nuse crate::A;\n",
            "use attest_core::Nonce;\n",
        ] {
            assert_eq!(ordered(source, &ours()), None);
        }
    }
}
