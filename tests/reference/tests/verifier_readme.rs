//! The verifier's README lists exactly its commands.

use std::collections::BTreeSet;

use clap::CommandFactory;

use reference::source;
use sealgate_verify::cli::Cli;

#[test]
fn the_readme_lists_every_command_once() {
    let page = source::text("verifier/README.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let listed: Vec<String> = rows
        .filter_map(|row| row.split(['`', ' ']).next())
        .map(str::to_owned)
        .collect();
    let program = Cli::command();
    let commands = program.get_subcommands().map(clap::Command::get_name);
    let commands: BTreeSet<String> = commands.map(str::to_owned).collect();
    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), commands);
    assert_eq!(listed.len(), commands.len());
}
