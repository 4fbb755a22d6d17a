//! A document as it is written, each value with its place in the text: in TOML by an operator, in JSON by a service.
//!
//! What each value means is not checked here (`read.rs`); that it has the right type, and that no other key is there, is.

use std::ops::Range;

use serde::Deserialize;

use super::{Deletion, Field, OnFailure, RetentionError, RetentionMode};
use crate::json;
use crate::section::{At, Section};

/// Required values are none where their absence, or their type, has been reported as a problem.
pub(super) struct WrittenPolicy {
    pub(super) format: Option<At<String>>,
    pub(super) epoch: Option<At<u64>>,
    pub(super) predecessor: Option<At<String>>,
    pub(super) description: Option<At<String>>,
    pub(super) salt: Option<At<String>>,
    pub(super) default: Option<WrittenTerms>,
    pub(super) rules: Vec<WrittenRule>,
}

pub(super) struct WrittenTerms {
    pub(super) at: Range<usize>,
    pub(super) mode: Option<At<RetentionMode>>,
    pub(super) ttl: Option<At<String>>,
    pub(super) fields: Option<At<Vec<At<Field>>>>,
    pub(super) on_failure: Option<At<OnFailure>>,
    pub(super) recipients: Option<At<Vec<At<String>>>>,
    pub(super) deletion: Option<At<Deletion>>,
}

pub(super) struct WrittenRule {
    pub(super) tenants: Option<At<Vec<At<String>>>>,
    pub(super) models: Option<At<Vec<At<String>>>>,
    pub(super) terms: WrittenTerms,
}

impl WrittenPolicy {
    pub(super) fn from_toml(mut whole: Section<'_, '_, RetentionError>) -> Self {
        for key in ["format", "epoch", "default"] {
            whole.require(key);
        }
        let policy = Self {
            format: whole.text("format"),
            epoch: whole.number_at("epoch"),
            predecessor: whole.text("predecessor"),
            description: whole.text("description"),
            salt: whole.text("salt"),
            default: whole.table("default").map(|mut table| {
                let terms = WrittenTerms::from_toml(&mut table);
                table.finish();
                terms
            }),
            rules: whole
                .tables("rule")
                .into_iter()
                .map(WrittenRule::from_toml)
                .collect(),
        };
        whole.finish();
        policy
    }
}

impl WrittenTerms {
    fn from_toml(table: &mut Section<'_, '_, RetentionError>) -> Self {
        table.require("mode");
        let on_failure = [OnFailure::Serve, OnFailure::Refuse];
        let deletion = [Deletion::Operator, Deletion::Caller];
        Self {
            at: table.span().clone(),
            mode: table.word("mode", &RetentionMode::ALL, RetentionMode::as_str),
            ttl: table.text("ttl"),
            fields: table.words("fields", &Field::ALL, Field::as_str),
            on_failure: table.word("on_failure", &on_failure, OnFailure::as_str),
            recipients: table.texts("recipients"),
            deletion: table.word("deletion", &deletion, Deletion::as_str),
        }
    }
}

impl WrittenRule {
    fn from_toml(mut table: Section<'_, '_, RetentionError>) -> Self {
        let rule = Self {
            tenants: table.texts("tenants"),
            models: table.texts("models"),
            terms: WrittenTerms::from_toml(&mut table),
        };
        table.finish();
        rule
    }
}

/// The members of a document in JSON, whose reader reports the first that is wrong.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonPolicy {
    format: String,
    epoch: u64,
    predecessor: Option<String>,
    description: Option<String>,
    salt: Option<String>,
    default: JsonTerms,
    #[serde(default)]
    rule: Vec<JsonRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonTerms {
    mode: RetentionMode,
    ttl: Option<String>,
    fields: Option<Vec<Field>>,
    on_failure: Option<OnFailure>,
    recipients: Option<Vec<String>>,
    deletion: Option<Deletion>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonRule {
    tenants: Option<Vec<String>>,
    models: Option<Vec<String>>,
    mode: RetentionMode,
    ttl: Option<String>,
    fields: Option<Vec<Field>>,
    on_failure: Option<OnFailure>,
    recipients: Option<Vec<String>>,
    deletion: Option<Deletion>,
}

impl WrittenPolicy {
    pub(super) fn from_json(text: &str, max_len: usize) -> Result<Self, RetentionError> {
        let value = json::parse(text.as_bytes(), max_len)?;
        let read: JsonPolicy = serde_json::from_value(value)
            .map_err(|error| RetentionError::Shape(error.to_string()))?;
        Ok(Self {
            format: Some(At::unplaced(read.format)),
            epoch: Some(At::unplaced(read.epoch)),
            predecessor: read.predecessor.map(At::unplaced),
            description: read.description.map(At::unplaced),
            salt: read.salt.map(At::unplaced),
            default: Some(read.default.into()),
            rules: read.rule.into_iter().map(WrittenRule::from).collect(),
        })
    }
}

impl From<JsonTerms> for WrittenTerms {
    fn from(terms: JsonTerms) -> Self {
        Self {
            at: 0..0,
            mode: Some(At::unplaced(terms.mode)),
            ttl: terms.ttl.map(At::unplaced),
            fields: terms.fields.map(unplaced_list),
            on_failure: terms.on_failure.map(At::unplaced),
            recipients: terms.recipients.map(unplaced_list),
            deletion: terms.deletion.map(At::unplaced),
        }
    }
}

impl From<JsonRule> for WrittenRule {
    fn from(rule: JsonRule) -> Self {
        let terms = JsonTerms {
            mode: rule.mode,
            ttl: rule.ttl,
            fields: rule.fields,
            on_failure: rule.on_failure,
            recipients: rule.recipients,
            deletion: rule.deletion,
        };
        Self {
            tenants: rule.tenants.map(unplaced_list),
            models: rule.models.map(unplaced_list),
            terms: terms.into(),
        }
    }
}

fn unplaced_list<T>(items: Vec<T>) -> At<Vec<At<T>>> {
    At::unplaced(items.into_iter().map(At::unplaced).collect())
}
