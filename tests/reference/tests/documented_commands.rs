//! Commands and configurations that the documents show are accepted by the programs.

use std::path::{Path, PathBuf};

use clap::CommandFactory;

use gateway_base::config::Config;
use reference::source;

/// Every page of the repository's root, of `docs` and beside the programs.
fn pages() -> Vec<PathBuf> {
    let root = source::root();
    let mut found: Vec<PathBuf> = ["README.md", "examples/README.md", "verifier/README.md"]
        .map(|page| root.join(page))
        .to_vec();
    add_pages(&root.join("docs"), &mut found);
    found
}

fn add_pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of pages") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            add_pages(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The code blocks of a page: the language, and the text.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let fenced = page.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.split_once('\n')).collect()
}

/// The words of a command as a shell would pass them, without what follows a pipe, a redirection or a comment. Nothing
/// for a line that leaves something out.
fn words(line: &str) -> Option<Vec<String>> {
    if line.contains('…') || line.contains("show | history") {
        return None;
    }
    let line = line.split(" #").next().unwrap_or(line);
    let line = line.split([';', '&']).next().unwrap_or(line);
    let before_redirection = line.split_whitespace().take_while(|word| {
        !word.starts_with('>') && !word.starts_with("2>") && *word != "|" && *word != "<"
    });
    Some(
        before_redirection
            .map(|word| word.trim_matches('\'').to_owned())
            .collect(),
    )
}

#[test]
fn every_command_in_a_code_block_is_accepted_by_its_program() {
    let mut tried = 0;
    let mut refused = Vec::new();
    for path in pages() {
        let page = std::fs::read_to_string(&path).expect("pages are UTF-8");
        for line in blocks(&page).iter().flat_map(|(_, text)| text.lines()) {
            let line = line.trim();
            let line = line.strip_prefix("$ ").unwrap_or(line);
            let program = match line.split(' ').next() {
                Some("sealgate") => sealgate::cli::command(),
                Some("sealgate-verify") => sealgate_verify::cli::Cli::command(),
                _ => continue,
            };
            let Some(words) = words(line) else { continue };
            tried += 1;
            if let Err(error) = program.try_get_matches_from(&words) {
                refused.push(format!("{}: {line}\n{error}", path.display()));
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(tried > 30, "only {tried} commands were found");
}

#[test]
fn every_whole_configuration_in_a_code_block_is_accepted() {
    let mut tried = 0;
    for path in pages() {
        let page = std::fs::read_to_string(&path).expect("pages are UTF-8");
        for (language, text) in blocks(&page) {
            if language != "toml" || !text.contains("[server]") {
                continue;
            }
            // An operator's files are not here: the example's policy stands for theirs.
            let kept: Vec<&str> = text
                .lines()
                .filter(|line| !line.starts_with("api_key_file"))
                .collect();
            let text = kept.join("\n").replace("/etc/sealgate/", "examples/");
            let file = source::root().join("sealgate.toml");
            if let Err(error) = Config::parse(&file, &text) {
                panic!("{}: {error}", path.display());
            }
            tried += 1;
        }
    }
    assert!(tried >= 2, "only {tried} configurations were found");
}
