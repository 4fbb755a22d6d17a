//! Reading a document, strictly: an unknown key, a value of the wrong shape or a contradiction is an error, since each
//! would otherwise be something kept, or not kept, that nobody meant.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;

use super::canonical::{FORMAT, UNITS};
use super::policy::Body;
use super::{
    Deletion, Field, KeptMetadata, OnFailure, Recipient, RecipientError, RetentionMode, RetentionPolicy,
    Rule, Terms,
};
use crate::digest::Sha256Digest;
use crate::encoding::EncodingError;
use crate::json::{self, JsonError, MAX_INTEGER};

const MAX_LEN: usize = 64 * 1024;
const MAX_RULES: usize = 256;
const MAX_NAMES: usize = 256;
const MAX_NAME: usize = 128;
const MAX_RECIPIENTS: usize = 16;
const MAX_DESCRIPTION: usize = 1024;
/// A hundred years.
const MAX_TTL: Duration = Duration::from_secs(36_525 * 86_400);

/// Why a text is not a retention policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetentionError {
    /// Larger than any policy.
    #[error("is larger than {MAX_LEN} bytes")]
    TooLarge,
    /// Not TOML, an unknown or missing key, or a value of the wrong type.
    #[error("line {line}: {message}")]
    Toml {
        /// Line of the text, from 1; 0 if the place is not known.
        line: usize,
        /// What is wrong, in the TOML reader's words.
        message: String,
    },
    /// A published document that is not JSON.
    #[error("is not JSON: {0}")]
    Json(#[from] JsonError),
    /// A published document with an unknown or missing member, or a value of the wrong type.
    #[error("is not a retention policy: {0}")]
    Shape(String),
    /// A published document that is not in canonical form.
    #[error("is not in canonical form")]
    NotCanonical,
    /// A format that this version does not know.
    #[error("has the format {0:?}; this version reads \"{FORMAT}\"")]
    Format(String),
    /// Chains begin with 1, and every number is one that JSON can carry.
    #[error("has the epoch {0}; epochs are counted from 1")]
    Epoch(u64),
    /// The first policy has no predecessor, and every other has one.
    #[error("is the policy of epoch {epoch} and {}", if *stated { "must not name a predecessor" } else { "must name its predecessor" })]
    PredecessorMisplaced {
        /// The document's epoch.
        epoch: u64,
        /// Whether it names one.
        stated: bool,
    },
    /// A predecessor that is not a digest.
    #[error("predecessor: {0}")]
    Predecessor(EncodingError),
    /// The description is for people, and short.
    #[error("has a description longer than {MAX_DESCRIPTION} bytes or with control characters")]
    Description,
    /// More rules than anybody could follow.
    #[error("has more than {MAX_RULES} rules")]
    TooManyRules,
    /// Terms that contradict their mode.
    #[error("{place}: mode \"{mode}\" {reason}")]
    Terms {
        /// `default`, or `rule N` counted from 1.
        place: String,
        /// Their mode.
        mode: RetentionMode,
        /// What does not fit.
        reason: TermsError,
    },
    /// A list of tenants or models that is empty, too long, or names something twice or unnameable.
    #[error(
        "{place}: {list} must list 1 to {MAX_NAMES} different names of at most {MAX_NAME} printable characters"
    )]
    Names {
        /// `rule N` counted from 1.
        place: String,
        /// `tenants` or `models`.
        list: &'static str,
    },
    /// Two rules would seal the same request to different people.
    #[error("rules {0} and {1} are both of mode \"content\" and for the same requests")]
    ContentOverlap(usize, usize),
}

/// What does not fit a mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// Nothing is kept, so there is nothing to say about it.
    #[error("keeps nothing, so {0} has no meaning")]
    Meaningless(&'static str),
    /// What is kept must end some day.
    #[error("needs a ttl")]
    NoTtl,
    /// Not a whole number and one of `s`, `m`, `h`, `d`, from one second to a hundred years.
    #[error("has the ttl {0:?}, which is not a duration such as 90m, 24h or 30d")]
    Ttl(String),
    /// A field named twice.
    #[error("names the field \"{}\" twice", .0.as_str())]
    FieldTwice(Field),
    /// Content that nobody could open.
    #[error("needs 1 to {MAX_RECIPIENTS} recipients")]
    Recipients,
    /// A recipient that is not one.
    #[error("recipient {0}: {1}")]
    Recipient(usize, RecipientError),
    /// A recipient listed twice.
    #[error("lists recipient {0} twice")]
    RecipientTwice(usize),
    /// Content is kept for tenants that are named, never by default or for everybody.
    #[error("is only for tenants that its rule names")]
    TenantsRequired,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePolicy {
    format: String,
    epoch: u64,
    predecessor: Option<String>,
    description: Option<String>,
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
        policy(wire)
    }

    /// Reads what a service published: the canonical form and nothing else.
    pub fn from_published(text: &str) -> Result<Self, RetentionError> {
        let value = json::parse(text.as_bytes(), MAX_LEN)?;
        let wire =
            serde_json::from_value(value).map_err(|e| RetentionError::Shape(e.to_string()))?;
        let policy = policy(wire)?;
        if policy.text() == text {
            Ok(policy)
        } else {
            Err(RetentionError::NotCanonical)
        }
    }
}

fn policy(wire: WirePolicy) -> Result<RetentionPolicy, RetentionError> {
    if wire.format != FORMAT {
        return Err(RetentionError::Format(wire.format));
    }
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
    let default = terms("default", wire.default, false)?;
    let rules = wire.rule.into_iter().enumerate();
    let rules = rules.map(|(index, wire)| rule(index + 1, wire));
    let rules = rules.collect::<Result<Vec<_>, _>>()?;
    no_content_overlap(&rules)?;
    Ok(RetentionPolicy::of(Body {
        epoch: wire.epoch,
        predecessor,
        description: wire.description,
        default,
        rules,
    }))
}

fn rule(number: usize, wire: WireRule) -> Result<Rule, RetentionError> {
    let place = format!("rule {number}");
    let tenants = names(&place, "tenants", wire.tenants)?;
    let models = names(&place, "models", wire.models)?;
    let wire = WireTerms {
        mode: wire.mode,
        ttl: wire.ttl,
        fields: wire.fields,
        on_failure: wire.on_failure,
        recipients: wire.recipients,
        deletion: wire.deletion,
    };
    Ok(Rule {
        terms: terms(&place, wire, tenants.is_some())?,
        tenants,
        models,
    })
}

fn names(
    place: &str,
    list: &'static str,
    names: Option<Vec<String>>,
) -> Result<Option<Vec<String>>, RetentionError> {
    let Some(names) = names else { return Ok(None) };
    let good = |name: &String| {
        (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let different: BTreeSet<_> = names.iter().collect();
    let counted = (1..=MAX_NAMES).contains(&names.len()) && different.len() == names.len();
    if counted && names.iter().all(good) {
        Ok(Some(names))
    } else {
        Err(RetentionError::Names {
            place: place.to_owned(),
            list,
        })
    }
}

fn terms(place: &str, wire: WireTerms, for_named: bool) -> Result<Terms, RetentionError> {
    let mode = wire.mode;
    read_terms(wire, for_named).map_err(|reason| RetentionError::Terms {
        place: place.to_owned(),
        mode,
        reason,
    })
}

fn read_terms(wire: WireTerms, for_named: bool) -> Result<Terms, TermsError> {
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
        // Who keeps content keeps it because he must.
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
        recipients: recipients(wire.recipients.unwrap_or_default())?,
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

fn recipients(texts: Vec<String>) -> Result<Vec<Recipient>, TermsError> {
    if !(1..=MAX_RECIPIENTS).contains(&texts.len()) {
        return Err(TermsError::Recipients);
    }
    let mut recipients: Vec<Recipient> = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let recipient =
            Recipient::parse(text).map_err(|error| TermsError::Recipient(index + 1, error))?;
        if recipients.contains(&recipient) {
            return Err(TermsError::RecipientTwice(index + 1));
        }
        recipients.push(recipient);
    }
    Ok(recipients)
}

fn no_content_overlap(rules: &[Rule]) -> Result<(), RetentionError> {
    let content = |rule: &Rule| rule.terms.mode() == RetentionMode::Content;
    for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| content(rule)) {
        for (earlier, other) in rules[..index].iter().enumerate() {
            let meet = meet(rule.tenants.as_deref(), other.tenants.as_deref())
                && meet(rule.models.as_deref(), other.models.as_deref());
            if content(other) && meet {
                return Err(RetentionError::ContentOverlap(earlier + 1, index + 1));
            }
        }
    }
    Ok(())
}

fn meet(one: Option<&[String]>, other: Option<&[String]>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.iter().any(|name| other.contains(name)),
        _ => true,
    }
}
