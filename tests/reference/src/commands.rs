//! The command lines, from clap's own tree.

use std::collections::BTreeMap;

use clap::{Arg, Command};

/// Every command that runs, and every argument of it. An argument that several commands have with the same meaning is
/// listed once, under the program itself.
pub fn entries(program: &Command) -> BTreeMap<String, String> {
    let mut commands = Vec::new();
    walk(program, program.get_name(), &mut commands);
    let mut uses: BTreeMap<Argument, usize> = BTreeMap::new();
    for argument in commands.iter().flat_map(|(.., arguments)| arguments) {
        *uses.entry(argument.clone()).or_default() += 1;
    }
    let mut entries = BTreeMap::new();
    let name = program.get_name();
    entries.insert(
        name.to_owned(),
        format!("### `{name}`: arguments of several commands"),
    );
    for (path, about, arguments) in commands {
        entries.insert(path.clone(), format!("### `{path}` and below it: {about}"));
        for argument in arguments {
            let path = match uses.get(&argument) {
                Some(0..=1) => path.as_str(),
                _ => name,
            };
            let Argument { name, shown, help } = argument;
            entries.insert(
                format!("{path} {name}"),
                format!("(below \"### `{path}`\") | `{shown}` | {help} |"),
            );
        }
    }
    entries
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Argument {
    name: String,
    /// With its value.
    shown: String,
    help: String,
}

fn walk(command: &Command, path: &str, found: &mut Vec<(String, String, Vec<Argument>)>) {
    let is_help = |command: &&Command| command.get_name() == "help";
    let mut inner = command
        .get_subcommands()
        .filter(|command| !is_help(command))
        .peekable();
    if inner.peek().is_none() {
        let own = |a: &&Arg| !matches!(a.get_id().as_str(), "help" | "version");
        let arguments = command.get_arguments().filter(own).map(argument);
        let about = text(command.get_about());
        found.push((path.to_owned(), about, arguments.collect()));
    }
    for command in inner {
        walk(command, &format!("{path} {}", command.get_name()), found);
    }
}

fn argument(argument: &Arg) -> Argument {
    let values: Vec<String> = argument
        .get_value_names()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect();
    let values = values.join(" ");
    let (name, shown) = match argument.get_long() {
        None => (values.clone(), values),
        Some(long) if argument.get_action().takes_values() => {
            (format!("--{long}"), format!("--{long} {values}"))
        }
        Some(long) => (format!("--{long}"), format!("--{long}")),
    };
    let help = text(argument.get_help());
    Argument { name, shown, help }
}

fn text(styled: Option<&clap::builder::StyledStr>) -> String {
    let text = styled.map_or_else(|| "FILL IN".to_owned(), ToString::to_string);
    text.replace('|', "\\|")
}
