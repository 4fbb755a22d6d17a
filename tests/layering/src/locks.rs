//! Finds state that several threads share, and whether a comment says who owns it.
//!
//! A lock's type says that a value is shared, and not who writes it, who reads it, and what must not happen while it
//! is held. The compiler cannot check that either, so it has to be written beside the declaration.

use crate::source::shipped_code;

const SHARED: [&str; 5] = ["Mutex", "RwLock", "Condvar", "OnceLock", "LazyLock"];

/// The lines of shipped code on which a static or a field has such a type, and neither a comment directly above nor one
/// on the line.
pub fn without_comment(source: &str) -> Vec<usize> {
    let code = shipped_code(source);
    let code: Vec<&str> = code.lines().collect();
    let source: Vec<&str> = source.lines().collect();
    let mut found = Vec::new();
    let mut line = 0;
    while line < code.len() {
        let Some(end) = declaration_end(&code, line) else {
            line += 1;
            continue;
        };
        for at in line..=end {
            let start = field_start(&code, line, at);
            if names_shared_state(code[at]) && !(start..=at).any(|at| has_comment(&source, at)) {
                found.push(at + 1);
            }
        }
        line = end + 1;
    }
    found
}

/// The last line of the static, struct or enum that begins on this line: for a static the line with its `=`.
fn declaration_end(code: &[&str], line: usize) -> Option<usize> {
    let declared = after_visibility(code[line]);
    let is_static = declared.starts_with("static ");
    let is_type = declared.starts_with("struct ") || declared.starts_with("enum ");
    let mut depth = 0_usize;
    for (at, text) in code.iter().enumerate().skip(line) {
        for c in text.chars() {
            match c {
                '=' if is_static => return Some(at),
                _ if !is_type => {}
                '{' | '(' => depth += 1,
                ';' if depth == 0 => return Some(at),
                '}' if depth == 1 => return Some(at),
                '}' | ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        if !is_static && !is_type {
            return None;
        }
    }
    None
}

/// The line on which the field begins whose type stands on line `at`; that line for a field without a name.
fn field_start(code: &[&str], declaration: usize, at: usize) -> usize {
    let begins_field = |line: &usize| {
        let text = after_visibility(code[*line]);
        let name: usize = text.chars().take_while(|c| is_in_name(*c)).count();
        let rest = &text[name..];
        name > 0 && rest.starts_with(':') && !rest.starts_with("::")
    };
    (declaration..=at).rev().find(begins_field).unwrap_or(at)
}

fn after_visibility(line: &str) -> &str {
    let line = line.trim_start();
    match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest
            .split_once(')')
            .map_or(rest, |(_, rest)| rest.trim_start()),
        Some(rest) if rest.starts_with(' ') => rest.trim_start(),
        _ => line,
    }
}

fn names_shared_state(line: &str) -> bool {
    line.split(|c| !is_in_name(c))
        .any(|name| SHARED.contains(&name) || (name.starts_with("Atomic") && name != "Atomic"))
}

fn is_in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// A comment on the line, or directly above it and its attributes.
fn has_comment(source: &[&str], at: usize) -> bool {
    let above = source[..at]
        .iter()
        .map(|line| line.trim_start())
        .rfind(|line| !line.starts_with("#["));
    source[at].contains("//") || above.is_some_and(|line| line.starts_with("//"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_field_a_static_and_a_tuple_without_comments() {
        let source = "struct A {\n    /// Said.\n    a: u8,\n    b: Mutex<u8>,\n}\nstatic N: AtomicU8 =\n    AtomicU8::new(0);\npub(crate) struct B(Arc<RwLock<u8>>);\nstruct C(\n    OnceLock<u8>,\n);\n";
        assert_eq!(without_comment(source), [4, 6, 8, 10]);
    }

    #[test]
    fn accepts_a_comment_above_on_the_line_and_above_attributes() {
        let source = "struct A {\n    // Written by one task.\n    b: Mutex<u8>,\n    c: Mutex<u8>, // Read by all.\n    /// Long.\n    d: Arc<\n        Mutex<u8>,\n    >,\n}\n/// Shared.\n#[derive(Default)]\nstruct B(Arc<AtomicBool>);\nstruct C(\n    /// By name.\n    Mutex<u8>,\n);\n";
        assert_eq!(without_comment(source), Vec::<usize>::new());
    }

    #[test]
    fn ignores_guards_arguments_values_and_tests() {
        let source = "struct A<'a> {\n    guard: MutexGuard<'a, u8>,\n}\nfn f(a: &Mutex<u8>) {\n    let b = Mutex::new(0);\n}\n#[cfg(test)]\nmod tests {\n    static C: AtomicU8 = AtomicU8::new(0);\n}\n";
        assert_eq!(without_comment(source), Vec::<usize>::new());
    }
}
