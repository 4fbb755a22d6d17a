//! Which modules of a crate name which others, read from the paths in its code.
//!
//! Modules of one crate are ordered by a list, lowest first. A path that begins with `crate` or `super` is an
//! import of the module it leads into, in a `use` declaration, in a group of one, or anywhere else in the code.
//! Documentation may name anything, and so may tests. A path into the crate's root that leads into no listed
//! module is an import of the root, which stands above every module.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use crate::source::{is_test_file, shipped_code};
use crate::tree;

/// What the crate's own root is called in an order.
pub const ROOT: &str = "crate";

/// One path in the code that leads from one module into another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    pub from: String,
    pub to: String,
    pub place: String,
    pub path: String,
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} names {}", self.place, self.from, self.path)
    }
}

/// The imports between the modules of a crate.
#[derive(Clone, Debug)]
pub struct Modules {
    pub imports: Vec<Import>,
    /// Modules that hold code and stand in no order.
    pub unlisted: BTreeSet<String>,
    /// Entries of the order that hold no code.
    pub unknown: BTreeSet<String>,
}

impl Modules {
    /// Reads the crate whose sources lie in `folder`. Each entry of `order` is a module such as `tdx`, or one inside
    /// another, such as `verdict::cause`: then what is left of `verdict` is a module beside it.
    pub fn read(folder: &str, order: &[&str]) -> Self {
        let root = tree::root().join(folder);
        let mut imports = Vec::new();
        let mut unlisted = BTreeSet::new();
        let mut unknown: BTreeSet<_> = order.iter().map(|entry| (*entry).to_owned()).collect();
        for file in tree::rust_files(folder) {
            let own = module_of(file.strip_prefix(&root).expect("a file of this crate"));
            if is_test_file(&file) || own.is_none() {
                continue;
            }
            let own = own.unwrap_or_default();
            let Some(from) = entry(order, &own) else {
                unlisted.insert(own.join("::"));
                continue;
            };
            unknown.remove(&from);
            let code = shipped_code(&tree::text(&file).expect("Rust files are UTF-8"));
            let shown = file
                .strip_prefix(tree::root())
                .unwrap_or(&file)
                .display()
                .to_string();
            for (line, path) in paths(&code, &own) {
                let to = entry(order, &path).unwrap_or_else(|| ROOT.to_owned());
                if to != from {
                    imports.push(Import {
                        from: from.clone(),
                        to,
                        place: format!("{shown}:{line}"),
                        path: format!("crate::{}", path.join("::")),
                    });
                }
            }
        }
        Self {
            imports,
            unlisted,
            unknown,
        }
    }

    /// The imports of a module that does not stand below the importing one.
    pub fn against(&self, order: &[&str]) -> Vec<&Import> {
        let height = |name: &str| order.iter().position(|entry| *entry == name);
        let points_up = |import: &&Import| match height(&import.to) {
            Some(to) => height(&import.from).is_some_and(|from| to > from),
            None => true,
        };
        self.imports.iter().filter(points_up).collect()
    }

    /// Each set of modules that all lead to each other, with the imports that hold it together.
    pub fn circles(&self) -> Vec<Circle<'_>> {
        let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for import in &self.imports {
            edges.entry(&import.from).or_default().insert(&import.to);
        }
        let reach: BTreeMap<&str, BTreeSet<&str>> = edges
            .keys()
            .map(|from| (*from, reached(&edges, from)))
            .collect();
        let leads = |from: &str, to: &str| reach.get(from).is_some_and(|it| it.contains(to));
        let mut circles = Vec::new();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for from in edges.keys().copied() {
            if !leads(from, from) || seen.contains(from) {
                continue;
            }
            let members: BTreeSet<&str> = edges
                .keys()
                .copied()
                .filter(|to| leads(from, to) && leads(to, from))
                .collect();
            seen.extend(&members);
            let inside = |it: &&Import| {
                members.contains(it.from.as_str()) && members.contains(it.to.as_str())
            };
            let imports = self.imports.iter().filter(inside).collect();
            circles.push(Circle { members, imports });
        }
        circles
    }
}

/// Every module that a chain of imports leads to from `start`.
fn reached<'m>(edges: &BTreeMap<&'m str, BTreeSet<&'m str>>, start: &str) -> BTreeSet<&'m str> {
    let mut found = BTreeSet::new();
    let mut todo = vec![start];
    while let Some(next) = todo.pop() {
        for to in edges.get(next).into_iter().flatten() {
            if found.insert(*to) {
                todo.push(*to);
            }
        }
    }
    found
}

/// Modules that all lead to each other.
#[derive(Clone, Debug)]
pub struct Circle<'m> {
    pub members: BTreeSet<&'m str>,
    pub imports: Vec<&'m Import>,
}

impl fmt::Display for Circle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "a circle of {} modules: {:?}",
            self.members.len(),
            self.members
        )?;
        self.imports
            .iter()
            .try_for_each(|import| writeln!(f, "  {import}"))
    }
}

/// `a/b.rs` and `a/b/mod.rs` are the module `a::b`; the crate's roots and binaries are none.
fn module_of(inside: &Path) -> Option<Vec<String>> {
    let mut parts: Vec<String> = inside
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    let is_root =
        parts == ["lib"] || parts == ["main"] || parts.first().is_some_and(|it| it == "bin");
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    (!is_root).then_some(parts)
}

/// The longest entry of the order that a path leads into.
fn entry(order: &[&str], path: &[String]) -> Option<String> {
    let holds = |entry: &&&str| {
        let entry: Vec<&str> = entry.split("::").collect();
        path.len() >= entry.len() && entry.iter().zip(path).all(|(a, b)| a == b)
    };
    order
        .iter()
        .filter(holds)
        .max_by_key(|entry| entry.len())
        .map(|entry| (*entry).to_owned())
}

/// Every path in `code` that begins with `crate` or `super`, from the crate's root, with the line it begins on.
fn paths(code: &str, own: &[String]) -> Vec<(usize, Vec<String>)> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is_start = matches!(tokens[at].text, "crate" | "super");
        let is_path = tokens.get(at + 1).is_some_and(|next| next.text == "::");
        let continues = at > 0 && tokens[at - 1].text == "::";
        if is_start && is_path && !continues {
            at = tree_of(&tokens, at, own, &[], &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one path or tree of paths that begins at `at`; returns where it ends.
fn tree_of(
    tokens: &[Token<'_>],
    mut at: usize,
    own: &[String],
    before: &[String],
    found: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let line = tokens.get(at).map_or(0, |token| token.line);
    let mut path = before.to_vec();
    while let Some(token) = tokens.get(at) {
        match token.text {
            "crate" => path = Vec::new(),
            "super" if path.is_empty() && before.is_empty() => {
                path = own[..own.len().saturating_sub(1)].to_vec();
            }
            "super" => {
                path.pop();
            }
            "self" | "*" => {}
            "{" => return group_of(tokens, at + 1, own, &path, found),
            name if is_name(name) => path.push(name.to_owned()),
            _ => break,
        }
        at += 1;
        if tokens.get(at).is_none_or(|next| next.text != "::") {
            break;
        }
        at += 1;
    }
    found.push((line, path));
    at
}

fn group_of(
    tokens: &[Token<'_>],
    mut at: usize,
    own: &[String],
    path: &[String],
    found: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    while let Some(token) = tokens.get(at) {
        match token.text {
            "}" => return at + 1,
            "," => at += 1,
            // The new name is none of the path.
            "as" => at += 2,
            _ => at = tree_of(tokens, at, own, path, found).max(at + 1),
        }
    }
    at
}

struct Token<'c> {
    text: &'c str,
    line: usize,
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::`, and each other character by itself.
fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    for (index, text) in code.lines().enumerate() {
        let line = index + 1;
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let in_name = |c: char| c.is_alphanumeric() || c == '_';
            let len = if in_name(first) {
                rest.find(|c| !in_name(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            found.push(Token {
                text: &rest[..len],
                line,
            });
            rest = rest[len..].trim_start();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(code: &str) -> Vec<String> {
        let own = ["a".to_owned(), "b".to_owned()];
        paths(code, &own)
            .into_iter()
            .map(|(line, path)| format!("{line} {}", path.join("::")))
            .collect()
    }

    #[test]
    fn reads_nested_groups_renames_and_globs() {
        let code =
            "use crate::{x::{Y, z::*}, self as me,\n super_name::Q};\nuse super::{c, super::d::E};";
        assert_eq!(
            found(code),
            [
                "1 x::Y",
                "1 x::z",
                "1 ",
                "2 super_name::Q",
                "3 a::c",
                "3 d::E"
            ]
        );
    }

    #[test]
    fn reads_paths_in_expressions_and_types() {
        let code =
            "fn f(x: &crate::t::T) -> super::super::u::U { crate::v::<u8>(1); std::super_(x) }";
        assert_eq!(found(code), ["1 t::T", "1 u::U", "1 v"]);
    }

    #[test]
    fn pub_in_a_path_does_not_count_as_naming_a_module() {
        assert_eq!(
            found("pub(crate) fn f() {} pub(super) struct S; pub(in crate::a) fn g() {}"),
            ["1 a"]
        );
    }

    #[test]
    fn names_the_imports_that_hold_a_circle_together() {
        let import = |from: &str, to: &str| Import {
            from: from.to_owned(),
            to: to.to_owned(),
            place: format!("{from}.rs:1"),
            path: format!("crate::{to}"),
        };
        let modules = Modules {
            imports: vec![
                import("a", "b"),
                import("b", "c"),
                import("c", "a"),
                import("d", "a"),
            ],
            unlisted: BTreeSet::new(),
            unknown: BTreeSet::new(),
        };
        let circles = modules.circles();
        assert_eq!(circles.len(), 1);
        assert_eq!(circles[0].members, BTreeSet::from(["a", "b", "c"]));
        assert!(
            circles[0].to_string().contains("c.rs:1: c names crate::a"),
            "{}",
            circles[0]
        );
        assert_eq!(modules.against(&["c", "b", "a", "d"]).len(), 1);
    }
}
