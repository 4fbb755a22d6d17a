//! A policy from flags: one for each field. Flags and values become the JSON form of a policy, and
//! that its text, which the core reads as it reads any.

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches};
use serde_json::{Map, Value, json};

use super::fields::{FIELDS, Field, Kind, TD_MEASUREMENTS};
use crate::failure::Failure;
use crate::inputs;

const HEADING: &str =
    "A policy in flags (fields of policies/attestation/README.md; values may be @FILE)";

/// What was pinned, in the order of the fields.
#[derive(Clone, Debug, Default)]
pub struct PinArgs(Vec<(&'static str, Vec<String>)>);

impl Args for PinArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        FIELDS.iter().fold(command, |command, field| {
            command.arg(argument(field).help_heading(HEADING))
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

fn argument(field: &Field) -> Arg {
    let arg = Arg::new(field.flag).long(field.flag).hide_short_help(true);
    let name = format!("{}.{}", field.section, field.field);
    match field.kind {
        Kind::Accepted => arg
            .action(ArgAction::Append)
            .value_name("VALUE")
            .help(format!("Accepted: {name}; repeatable")),
        Kind::Text => arg.value_name("VALUE").help(name),
        Kind::Number => arg.value_name("NUMBER").help(name),
        Kind::Turned(to) => arg
            .action(ArgAction::SetTrue)
            .help(format!("{name} = {to}")),
        Kind::Entry => arg
            .action(ArgAction::Append)
            .value_name("NAME=NUMBER")
            .help(format!("{name}; repeatable")),
    }
}

impl FromArgMatches for PinArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = FIELDS.iter().filter_map(|field| {
            let values = match field.kind {
                Kind::Turned(_) => matches.get_flag(field.flag).then(Vec::new),
                _ => matches
                    .get_many::<String>(field.flag)
                    .map(|values| values.cloned().collect()),
            };
            Some((field.flag, values?))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl PinArgs {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first flag, to be named.
    pub(super) fn first(&self) -> &'static str {
        self.0.first().map_or("", |(flag, _)| flag)
    }

    /// As a policy with a section for each kind of evidence that is presented or pinned.
    pub(super) fn policy(&self, presented: &[&'static str]) -> Result<Value, Failure> {
        let mut policy = Map::new();
        policy.insert("name".to_owned(), json!("pins of the command line"));
        for section in presented {
            policy.insert((*section).to_owned(), json!({}));
        }
        for (flag, values) in &self.0 {
            let field = FIELDS.iter().find(|field| field.flag == *flag);
            if let Some(field) = field {
                enter(&mut policy, field, values)?;
            }
        }
        complete(&mut policy);
        Ok(Value::Object(policy))
    }
}

fn enter(policy: &mut Map<String, Value>, field: &Field, values: &[String]) -> Result<(), Failure> {
    let read = |text: &String| Ok(inputs::text_or_file(text)?.trim().to_owned());
    let values: Vec<String> = values.iter().map(read).collect::<Result<_, Failure>>()?;
    let section = policy.entry(field.section).or_insert_with(|| json!({}));
    let value = match (field.kind, values.first()) {
        (Kind::Accepted, _) => json!(values),
        (Kind::Turned(to), _) => json!(to),
        (Kind::Text, Some(text)) => json!(text),
        (Kind::Number, Some(text)) => number(field, text)?,
        (Kind::Entry, _) => entries(field, &values)?,
        (Kind::Text | Kind::Number, None) => return Ok(()),
    };
    match field.field.split_once('.') {
        Some((table, inner)) => section[table][inner] = value,
        None => section[field.field] = value,
    }
    Ok(())
}

fn number(field: &Field, text: &str) -> Result<Value, Failure> {
    let number: u64 = text
        .parse()
        .map_err(|_| Failure::Usage(format!("--{} {text}: not a number", field.flag)))?;
    Ok(json!(number))
}

fn entries(field: &Field, values: &[String]) -> Result<Value, Failure> {
    let mut table = Map::new();
    for value in values {
        let (name, text) = value.split_once('=').ok_or_else(|| {
            Failure::Usage(format!("--{} {value}: expected NAME=NUMBER", field.flag))
        })?;
        table.insert(name.to_owned(), number(field, text)?);
    }
    Ok(Value::Object(table))
}

/// What a policy has to say of itself: how much of the image it pins, and that what is pinned must
/// be there.
fn complete(policy: &mut Map<String, Value>) {
    if let Some(tdx) = policy.get_mut("tdx") {
        let pins = TD_MEASUREMENTS.iter().any(|it| tdx.get(it).is_some());
        tdx["measurements"] = json!(if pins { "partial" } else { "any" });
    }
    if let Some(snp) = policy.get_mut("snp") {
        let pins = snp.get("measurement").is_some();
        snp["measurements"] = json!(if pins { "pinned" } else { "any" });
    }
    for section in ["nvidia", "event_log"] {
        if let Some(section) = policy.get_mut(section) {
            section["required"] = json!(true);
        }
    }
}
