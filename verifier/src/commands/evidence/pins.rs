//! A policy from flags, one for each field. Flags and values become the JSON form of a policy, and
//! that becomes the text of a policy, which the core parses like any other.

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches};
use serde_json::{Map, Value, json};

use super::fields::{FIELDS, Field, Kind, PINS_A_WORKLOAD, TD_MEASUREMENTS};
use crate::failure::Failure;
use crate::inputs;

const HEADING: &str =
    "A policy in flags (fields of policies/attestation/README.md; values may be @FILE)";

/// The sections about CPUs: a machine has one of them.
const TEES: [&str; 2] = ["tdx", "snp"];
/// The only flag that makes any workload acceptable.
const ANY_MEASUREMENT: &str = "any-measurement";

/// The given flags, in the order of the fields.
#[derive(Clone, Debug, Default)]
pub struct PinArgs {
    fields: Vec<(&'static Field, Vec<String>)>,
    any_measurement: bool,
}

impl Args for PinArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        let any = Arg::new(ANY_MEASUREMENT)
            .long(ANY_MEASUREMENT)
            .action(ArgAction::SetTrue)
            .help_heading(HEADING)
            .help("Accept any workload, whatever the other flags demand of it");
        FIELDS.iter().fold(command.arg(any), |command, field| {
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
            Some((field, values?))
        });
        Ok(Self {
            fields: given.collect(),
            any_measurement: matches.get_flag(ANY_MEASUREMENT),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl PinArgs {
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty() && !self.any_measurement
    }

    /// The first flag, for messages.
    pub(super) fn first(&self) -> &'static str {
        let first = self.fields.first();
        first.map_or(ANY_MEASUREMENT, |(field, _)| field.flag)
    }

    /// The policy's name in messages, with the files that values are read from.
    pub(super) fn described(&self) -> String {
        let values = self.fields.iter().flat_map(|(_, values)| values);
        let files: Vec<_> = values.filter_map(|value| value.strip_prefix('@')).collect();
        match files.is_empty() {
            true => "the flags' policy".to_owned(),
            false => format!("the flags' policy, with values from {}", files.join(", ")),
        }
    }

    /// Whether the flags state which workload is accepted, for evidence with these sections: they pin a
    /// measurement of its CPU, or of its devices if there is no CPU; or they accept any.
    pub(super) fn pin_a_workload(&self, presented: &[&'static str]) -> bool {
        let tee = presented.iter().find(|section| TEES.contains(*section));
        let subject = tee.or(presented.first());
        let pins = |field: &Field| {
            Some(&field.section) == subject && PINS_A_WORKLOAD.contains(&field.flag)
        };
        self.any_measurement || self.fields.iter().any(|(field, _)| pins(field))
    }

    /// A policy with a section for each kind of evidence that is presented or pinned.
    pub(super) fn policy(&self, presented: &[&'static str]) -> Result<Value, Failure> {
        let mut policy = Map::new();
        policy.insert("name".to_owned(), json!("pins of the command line"));
        for section in presented {
            policy.insert((*section).to_owned(), json!({}));
        }
        for (field, values) in &self.fields {
            if TEES.contains(&field.section) && !presented.contains(&field.section) {
                return Err(Failure::Usage(format!(
                    "--{}: is about [{}], and no such evidence is given",
                    field.flag, field.section
                )));
            }
            enter(&mut policy, field, values)?;
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

/// Adds the fields that follow from the pins: how much of the image is pinned, and that pinned evidence is
/// required.
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
