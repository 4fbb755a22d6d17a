//! Reading a document, strictly: an unknown key, a value of the wrong shape or a contradiction is an error, since each
//! would otherwise be something kept, or not kept, that its author did not mean.
//!
//! All forms are read by the same code: format 1, and format 2 with names or with commitments. What differs is how a
//! tenant and a recipient are spelled ([`Spelling`]).

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;

use super::canonical::UNITS;
use super::document::Document;
use super::rules::Rules;
use super::{
    Deletion, Field, Format, KeptMetadata, OnFailure, PolicySalt, PublishedName, PublishedPolicy,
    Recipient, RecipientError, RetentionError, RetentionMode, RetentionPolicy, Rule, Terms,
    TermsError,
};
use crate::digest::Sha256Digest;
use crate::json::{self, MAX_INTEGER};
use crate::log::Commitment;

pub(super) const MAX_LEN: usize = 64 * 1024;
/// A commitment is longer than most names.
pub(super) const MAX_PUBLISHED: usize = 256 * 1024;
pub(super) const MAX_RULES: usize = 256;
pub(super) const MAX_NAMES: usize = 256;
pub(super) const MAX_NAME: usize = 128;
pub(super) const MAX_RECIPIENTS: usize = 16;
pub(super) const MAX_DESCRIPTION: usize = 1024;
/// A hundred years.
const MAX_TTL: Duration = Duration::from_secs(36_525 * 86_400);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePolicy {
    format: String,
    epoch: u64,
    predecessor: Option<String>,
    description: Option<String>,
    salt: Option<String>,
    default: WireTerms,
    #[serde(default)]
    rule: Vec<WireRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireTerms {
    mode: RetentionMode,
    ttl: Option<String>,
    fields: Option<Vec<Field>>,
    on_failure: Option<OnFailure>,
    recipients: Option<Vec<String>>,
    deletion: Option<Deletion>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireRule {
    tenants: Option<Vec<String>>,
    models: Option<Vec<String>>,
    mode: RetentionMode,
    ttl: Option<String>,
    fields: Option<Vec<Field>>,
    on_failure: Option<OnFailure>,
    recipients: Option<Vec<String>>,
    deletion: Option<Deletion>,
}

/// How a form of the document spells tenants and recipients.
struct Spelling<T, R> {
    tenant: fn(&str) -> Option<T>,
    recipient: fn(&str) -> Result<R, RecipientError>,
    /// What is wrong with a list of tenants that does not read, in `rule N`.
    bad_tenants: fn(String) -> RetentionError,
}

/// By their names, in a policy that a service acts on.
const NAMES: Spelling<String, Recipient> = Spelling {
    tenant: name,
    recipient: Recipient::parse,
    bad_tenants,
};

/// By their names, published.
const PUBLISHED_NAMES: Spelling<PublishedName, PublishedName> = Spelling {
    tenant: |text| name(text).map(PublishedName::Plain),
    recipient: |text| Recipient::parse(text).map(|_| PublishedName::Plain(text.to_owned())),
    bad_tenants,
};

/// By commitments, published.
const COMMITMENTS: Spelling<PublishedName, PublishedName> = Spelling {
    tenant: commitment,
    recipient: |text| commitment(text).ok_or(RecipientError::NotACommitment),
    bad_tenants: |place| RetentionError::Commitments { place },
};

impl RetentionPolicy {
    /// Reads what an operator wrote.
    pub fn from_toml(text: &str) -> Result<Self, RetentionError> {
        if text.len() > MAX_LEN {
            return Err(RetentionError::TooLarge);
        }
        let wire = toml::from_str(text).map_err(|error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            RetentionError::Toml {
                line: before.map_or(0, |before| before.matches('\n').count() + 1),
                message: error.message().to_owned(),
            }
        })?;
        policy(wire).map_err(|error| match error {
            RetentionError::SaltMissing { .. } => RetentionError::SaltMissing {
                line: format_line(text),
            },
            error => error,
        })
    }

    /// Reads what a service keeps: [`stored_text`](Self::stored_text) and nothing else.
    pub fn from_stored(text: &str) -> Result<Self, RetentionError> {
        let policy = policy(wire_of_json(text, MAX_LEN)?)?;
        if policy.stored_text() == text {
            Ok(policy)
        } else {
            Err(RetentionError::NotCanonical)
        }
    }
}

impl PublishedPolicy {
    /// Reads what a service published: the canonical form and nothing else.
    pub fn parse(text: &str) -> Result<Self, RetentionError> {
        let wire = wire_of_json(text, MAX_PUBLISHED)?;
        let spelling = match Format::parse(&wire.format) {
            Some(Format::Two) => &COMMITMENTS,
            Some(Format::One) if text.len() > MAX_LEN => return Err(RetentionError::TooLarge),
            _ => &PUBLISHED_NAMES,
        };
        if wire.salt.is_some() {
            return Err(RetentionError::NotPublished);
        }
        let policy = Self::from_document(document(wire, spelling)?);
        if policy.text() == text {
            Ok(policy)
        } else {
            Err(RetentionError::NotCanonical)
        }
    }
}

fn wire_of_json(text: &str, max: usize) -> Result<WirePolicy, RetentionError> {
    let value = json::parse(text.as_bytes(), max)?;
    serde_json::from_value(value).map_err(|error| RetentionError::Shape(error.to_string()))
}

/// The line of an operator's text that states the format, counted from 1. A salt may follow on it.
fn format_line(text: &str) -> usize {
    let mut lines = text.lines();
    lines
        .position(|line| line.trim_start().starts_with("format"))
        .map_or(0, |place| place + 1)
}

fn policy(wire: WirePolicy) -> Result<RetentionPolicy, RetentionError> {
    let salt = wire.salt.as_deref().map(PolicySalt::parse).transpose()?;
    if salt.is_none() && Format::parse(&wire.format) == Some(Format::Two) {
        needs_no_salt(&wire)?;
    }
    let document = document(wire, &NAMES)?;
    if salt.is_some() && document.format == Format::One {
        return Err(RetentionError::SaltInFormatOne);
    }
    let policy = RetentionPolicy::from_document(document, salt);
    if policy.published().text().len() > MAX_PUBLISHED {
        return Err(RetentionError::PublishedTooLarge);
    }
    Ok(policy)
}

/// A document of format 2 without a salt has no names: it has commitments in their place, or its author forgot the salt.
fn needs_no_salt(wire: &WirePolicy) -> Result<(), RetentionError> {
    let of_rules = wire
        .rule
        .iter()
        .flat_map(|rule| [&rule.tenants, &rule.recipients]);
    let lists = of_rules.chain([&wire.default.recipients]).flatten();
    let mut names = lists.flatten().peekable();
    if names.peek().is_none() {
        Ok(())
    } else if names.all(|name| commitment(name).is_some()) {
        Err(RetentionError::NamesMissing)
    } else {
        Err(RetentionError::SaltMissing { line: 0 })
    }
}

fn document<T: Ord, R: PartialEq>(
    wire: WirePolicy,
    spelling: &Spelling<T, R>,
) -> Result<Document<T, R>, RetentionError> {
    let Some(format) = Format::parse(&wire.format) else {
        return Err(RetentionError::Format(wire.format));
    };
    if !(1..=MAX_INTEGER).contains(&wire.epoch) {
        return Err(RetentionError::Epoch(wire.epoch));
    }
    let predecessor = wire.predecessor.as_deref().map(Sha256Digest::parse);
    let predecessor = predecessor
        .transpose()
        .map_err(RetentionError::Predecessor)?;
    if predecessor.is_some() != (wire.epoch > 1) {
        return Err(RetentionError::PredecessorMisplaced {
            epoch: wire.epoch,
            stated: predecessor.is_some(),
        });
    }
    let described = wire.description.as_deref().unwrap_or_default();
    if described.len() > MAX_DESCRIPTION || described.chars().any(char::is_control) {
        return Err(RetentionError::Description);
    }
    if wire.rule.len() > MAX_RULES {
        return Err(RetentionError::TooManyRules);
    }
    let default = terms("default", wire.default, false, spelling)?;
    let rules = wire.rule.into_iter().enumerate();
    let rules = rules.map(|(index, wire)| rule(index + 1, wire, spelling));
    let rules = Rules {
        default,
        rules: rules.collect::<Result<_, _>>()?,
    };
    if let Some((one, other)) = rules.content_overlap() {
        return Err(RetentionError::ContentOverlap(one, other));
    }
    Ok(Document {
        format,
        epoch: wire.epoch,
        predecessor,
        description: wire.description,
        rules,
    })
}

fn rule<T: Ord, R: PartialEq>(
    number: usize,
    wire: WireRule,
    spelling: &Spelling<T, R>,
) -> Result<Rule<T, R>, RetentionError> {
    let place = format!("rule {number}");
    let tenants = list(wire.tenants, spelling.tenant)
        .map_err(|NotAList| (spelling.bad_tenants)(place.clone()))?;
    let models = list(wire.models, name).map_err(|NotAList| bad_names(place.clone(), "models"))?;
    let wire = WireTerms {
        mode: wire.mode,
        ttl: wire.ttl,
        fields: wire.fields,
        on_failure: wire.on_failure,
        recipients: wire.recipients,
        deletion: wire.deletion,
    };
    Ok(Rule {
        terms: terms(&place, wire, tenants.is_some(), spelling)?,
        tenants,
        models,
    })
}

/// A list that is empty, too long, or has an element twice or one that does not read.
struct NotAList;

fn list<N: Ord>(
    texts: Option<Vec<String>>,
    read: fn(&str) -> Option<N>,
) -> Result<Option<Vec<N>>, NotAList> {
    let Some(texts) = texts else { return Ok(None) };
    let names = texts.iter().map(|text| read(text));
    let names: Vec<N> = names.collect::<Option<_>>().ok_or(NotAList)?;
    let different: BTreeSet<&N> = names.iter().collect();
    if (1..=MAX_NAMES).contains(&names.len()) && different.len() == names.len() {
        Ok(Some(names))
    } else {
        Err(NotAList)
    }
}

fn name(text: &str) -> Option<String> {
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    ((1..=MAX_NAME).contains(&text.len()) && printable).then(|| text.to_owned())
}

fn commitment(text: &str) -> Option<PublishedName> {
    let digest = Sha256Digest::parse(text).ok()?;
    Some(PublishedName::Commitment(Commitment::from_digest(digest)))
}

fn bad_tenants(place: String) -> RetentionError {
    bad_names(place, "tenants")
}

fn bad_names(place: String, list: &'static str) -> RetentionError {
    RetentionError::Names { place, list }
}

fn terms<T, R: PartialEq>(
    place: &str,
    wire: WireTerms,
    for_named: bool,
    spelling: &Spelling<T, R>,
) -> Result<Terms<R>, RetentionError> {
    let mode = wire.mode;
    read_terms(wire, for_named, spelling).map_err(|reason| RetentionError::Terms {
        place: place.to_owned(),
        mode,
        reason,
    })
}

fn read_terms<T, R: PartialEq>(
    wire: WireTerms,
    for_named: bool,
    spelling: &Spelling<T, R>,
) -> Result<Terms<R>, TermsError> {
    let stated = [
        ("ttl", wire.ttl.is_some(), RetentionMode::Metadata),
        ("fields", wire.fields.is_some(), RetentionMode::Metadata),
        (
            "on_failure",
            wire.on_failure.is_some(),
            RetentionMode::Metadata,
        ),
        (
            "recipients",
            wire.recipients.is_some(),
            RetentionMode::Content,
        ),
        ("deletion", wire.deletion.is_some(), RetentionMode::Content),
    ];
    for (name, is_stated, from) in stated {
        if is_stated && wire.mode < from {
            return Err(TermsError::Meaningless(name));
        }
    }
    if wire.mode == RetentionMode::Zero {
        return Ok(Terms::Zero);
    }
    let kept = KeptMetadata {
        ttl: ttl(wire.ttl.ok_or(TermsError::NoTtl)?)?,
        fields: fields(wire.fields)?,
        // Content is kept because it must be, for example by law.
        on_failure: wire.on_failure.unwrap_or(match wire.mode {
            RetentionMode::Content => OnFailure::Refuse,
            _ => OnFailure::Serve,
        }),
    };
    if wire.mode == RetentionMode::Metadata {
        return Ok(Terms::Metadata(kept));
    }
    if !for_named {
        return Err(TermsError::TenantsRequired);
    }
    Ok(Terms::Content {
        kept,
        recipients: recipients(wire.recipients.unwrap_or_default(), spelling.recipient)?,
        deletion: wire.deletion.unwrap_or(Deletion::Caller),
    })
}

fn ttl(text: String) -> Result<Duration, TermsError> {
    let read = |text: &str| {
        let (unit, factor) = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
        let number = text.strip_suffix(unit)?;
        let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = plain.then(|| number.parse().ok())??;
        Some(Duration::from_secs(number.checked_mul(*factor)?))
            .filter(|ttl| !ttl.is_zero() && *ttl <= MAX_TTL)
    };
    read(&text).ok_or(TermsError::Ttl(text))
}

fn fields(fields: Option<Vec<Field>>) -> Result<BTreeSet<Field>, TermsError> {
    let Some(fields) = fields else {
        return Ok(Field::ALL.into());
    };
    let mut set = BTreeSet::new();
    for field in fields {
        if !set.insert(field) {
            return Err(TermsError::FieldTwice(field));
        }
    }
    Ok(set)
}

fn recipients<R: PartialEq>(
    texts: Vec<String>,
    read: fn(&str) -> Result<R, RecipientError>,
) -> Result<Vec<R>, TermsError> {
    if !(1..=MAX_RECIPIENTS).contains(&texts.len()) {
        return Err(TermsError::Recipients);
    }
    let mut recipients: Vec<R> = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let recipient = read(text).map_err(|error| TermsError::Recipient(index + 1, error))?;
        if recipients.contains(&recipient) {
            return Err(TermsError::RecipientTwice(index + 1));
        }
        recipients.push(recipient);
    }
    Ok(recipients)
}
