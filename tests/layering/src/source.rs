//! A Rust file reduced to the code that ships: comments, string and character literals and `#[cfg(test)]`
//! items are blanked, so that a search finds what the code *does*, not what it talks about.

use std::path::Path;

use crate::tree;

/// Whether a file of a shipped crate is only built for its tests: `tests.rs`, `…_tests.rs`, anything below `tests/`.
pub fn is_test_file(path: &Path) -> bool {
    let inside = path.strip_prefix(tree::root()).unwrap_or(path);
    let stem = path
        .file_stem()
        .map(|stem| stem.to_string_lossy())
        .unwrap_or_default();
    stem == "tests"
        || stem.ends_with("_tests")
        || inside.components().any(|part| part.as_os_str() == "tests")
}

/// The code of `source`, byte positions and line numbers kept.
pub fn shipped_code(source: &str) -> String {
    without_test_items(&without_comments_and_literals(source))
}

/// The lines of shipped code that hold `word` as a whole path segment sequence (`std::fs`, `Prompt`).
pub fn lines_naming(source: &str, word: &str) -> Vec<usize> {
    shipped_code(source)
        .lines()
        .enumerate()
        .filter(|(_, line)| names(line, word))
        .map(|(index, _)| index + 1)
        .collect()
}

fn names(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(in_word) && !after.is_some_and(in_word)
    })
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn without_comments_and_literals(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = skipped(bytes, at);
        if end > at {
            out.extend(
                bytes[at..end]
                    .iter()
                    .map(|b| if *b == b'\n' { b'\n' } else { b' ' }),
            );
            at = end;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(out).expect("only whole characters or whole literals are replaced")
}

/// Where the comment or literal that starts at `at` ends; `at` itself when none starts there.
fn skipped(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let fresh = at == 0 || !in_word(bytes[at - 1] as char);
    if rest.starts_with(b"//") {
        at + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len())
    } else if rest.starts_with(b"/*") {
        block_comment(bytes, at)
    } else if rest[0] == b'"' {
        string(bytes, at)
    } else if fresh && (rest[0] == b'r' || rest.starts_with(b"br")) {
        raw_string(bytes, at)
    } else if rest[0] == b'\'' {
        character(bytes, at)
    } else {
        at
    }
}

fn block_comment(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0usize;
    let mut at = start;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn raw_string(bytes: &[u8], start: usize) -> usize {
    let open = start + if bytes[start] == b'b' { 2 } else { 1 };
    let hashes = bytes[open..].iter().take_while(|b| **b == b'#').count();
    if bytes.get(open + hashes) != Some(&b'"') {
        return start;
    }
    let close = [b"\"".as_slice(), "#".repeat(hashes).as_bytes()].concat();
    let body = open + hashes + 1;
    bytes[body..]
        .windows(close.len())
        .position(|window| window == close)
        .map_or(bytes.len(), |end| body + end + close.len())
}

/// `'x'` and `'\n'` are literals; `'a` in `&'a str` is a lifetime.
fn character(bytes: &[u8], start: usize) -> usize {
    let rest = &bytes[start + 1..];
    if rest.first() == Some(&b'\\') {
        // '\'' and '\\' : the escaped byte never closes the literal.
        let close = rest.iter().skip(2).position(|b| *b == b'\'');
        return close.map_or(start, |end| start + 1 + 2 + end + 1);
    }
    let width =
        std::str::from_utf8(&rest[..rest.len().min(4)]).map_or_else(|e| e.valid_up_to(), str::len);
    let first = std::str::from_utf8(&rest[..width])
        .ok()
        .and_then(|text| text.chars().next());
    match first {
        Some(c) if rest.get(c.len_utf8()) == Some(&b'\'') => start + 1 + c.len_utf8() + 1,
        _ => start,
    }
}

/// Blanks each item behind `#[cfg(test)]`: to its closing brace, or to its semicolon when it has none.
fn without_test_items(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        out.push_str(&rest[..at]);
        let end = at + item_end(&rest[at + MARK.len()..]) + MARK.len();
        out.extend(
            rest[at..end]
                .chars()
                .map(|c| if c == '\n' { '\n' } else { ' ' }),
        );
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

fn item_end(code: &str) -> usize {
    let mut depth = 0usize;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_in_a_comment_or_a_literal_is_not_code() {
        let source = "// std::fs\n/* std::fs /* std::fs */ */ let a = \"std::fs \\\" std::fs\"; let b = r#\"std::fs\"#;\nlet c = '\"'; let d = b'\\''; f::<'a>(\"std::fs\")";
        assert_eq!(lines_naming(source, "std::fs"), Vec::<usize>::new());
    }

    #[test]
    fn a_word_in_code_is_found_on_its_line() {
        let source = "fn f<'a>(x: &'a str) {\n  let q = '\"';\n  std::fs::read(x) }";
        assert_eq!(lines_naming(source, "std::fs"), vec![3]);
    }

    #[test]
    fn a_word_inside_a_longer_word_is_not_that_word() {
        assert_eq!(
            lines_naming("PromptTokens prompt_Prompt", "Prompt"),
            Vec::<usize>::new()
        );
        assert_eq!(
            lines_naming("use crate::request::Prompt;", "Prompt"),
            vec![1]
        );
    }

    #[test]
    fn test_items_are_left_out_and_what_follows_them_is_kept() {
        let source = "#[cfg(test)]\nuse std::fs;\n#[cfg(test)]\nmod tests { fn f() { std::fs::read(\"}\") } }\nfn g() { std::fs::read() }";
        assert_eq!(lines_naming(source, "std::fs"), vec![5]);
    }
}
