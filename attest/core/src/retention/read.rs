//! Reading a document, strictly: an unknown key, a value of the wrong shape or a contradiction is an error, since each
//! would otherwise be something kept, or not kept, that its author did not mean. Everything that is wrong is reported.
//!
//! All forms are read by the same code: format 1, and format 2 with names or with commitments. What differs is how a
//! tenant and a recipient are spelled ([`Spelling`]).

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use strict_toml::Table;

use super::canonical::UNITS;
use super::document::Document;
use super::error::{Problems, into_result};
use super::rules::Rules;
use super::written::{WrittenPolicy, WrittenRule, WrittenTerms};
use super::{
    Deletion, Field, Format, InvalidRetentionPolicy, KeptMetadata, OnFailure, PolicySalt,
    PublishedName, PublishedPolicy, Recipient, RecipientError, RetentionError, RetentionMode,
    RetentionPolicy, Rule, Terms, TermsError,
};
use crate::digest::Sha256Digest;
use crate::json::MAX_INTEGER;
use crate::log::Commitment;
use crate::section::{At, Section};

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
    pub fn from_toml(text: &str) -> Result<Self, InvalidRetentionPolicy> {
        if text.len() > MAX_LEN {
            return Err(RetentionError::TooLarge.into());
        }
        let problems = Problems::new(text);
        let policy = match Table::parse(text) {
            Ok(table) => {
                let written = WrittenPolicy::from_toml(Section::new(table, &problems));
                policy(written, &problems)
            }
            // What could be made of the rest is a guess.
            Err(errors) => {
                for error in errors {
                    let at = error.span.unwrap_or_default();
                    problems.add(&at, RetentionError::Syntax(error.message));
                }
                None
            }
        };
        into_result(policy, problems)
    }

    /// Reads what a service keeps: [`stored_text`](Self::stored_text) and nothing else.
    pub fn from_stored(text: &str) -> Result<Self, InvalidRetentionPolicy> {
        let problems = Problems::new("");
        let written = WrittenPolicy::from_json(text, MAX_LEN)?;
        let policy = into_result(policy(written, &problems), problems)?;
        if policy.stored_text() == text {
            Ok(policy)
        } else {
            Err(RetentionError::NotCanonical.into())
        }
    }
}

impl PublishedPolicy {
    /// Reads what a service published: the canonical form and nothing else.
    pub fn parse(text: &str) -> Result<Self, InvalidRetentionPolicy> {
        let written = WrittenPolicy::from_json(text, MAX_PUBLISHED)?;
        let spelling = match written.format() {
            Some(Format::Two) => &COMMITMENTS,
            Some(Format::One) if text.len() > MAX_LEN => {
                return Err(RetentionError::TooLarge.into());
            }
            _ => &PUBLISHED_NAMES,
        };
        if written.salt.is_some() {
            return Err(RetentionError::NotPublished.into());
        }
        let problems = Problems::new("");
        let document = Reader::new(spelling, &problems).document(written);
        let policy = Self::from_document(into_result(document, problems)?);
        if policy.text() == text {
            Ok(policy)
        } else {
            Err(RetentionError::NotCanonical.into())
        }
    }
}

impl WrittenPolicy {
    /// Nothing if it is missing or unknown.
    fn format(&self) -> Option<Format> {
        Format::parse(&self.format.as_ref()?.value)
    }
}

fn policy(written: WrittenPolicy, problems: &Problems<'_>) -> Option<RetentionPolicy> {
    let salt_at = written.salt.as_ref().map(|salt| salt.at.clone());
    let salt = written.salt.as_ref().and_then(|salt| {
        let read = PolicySalt::parse(&salt.value);
        read.map_err(|error| problems.add(&salt.at, error.into()))
            .ok()
    });
    if salt_at.is_none() && written.format() == Some(Format::Two) {
        let at = written.format.as_ref().map(|format| format.at.clone());
        let at = at.unwrap_or_default();
        match names_without_salt(&written) {
            Unsalted::NoNames => {}
            Unsalted::Names => problems.add(&at, RetentionError::SaltMissing),
            // Each of its commitments would be reported again, as a name that is not one.
            Unsalted::Commitments => {
                problems.add(&at, RetentionError::NamesMissing);
                return None;
            }
        }
    }
    let document = Reader::new(&NAMES, problems).document(written)?;
    if let (Some(at), Format::One) = (&salt_at, document.format) {
        problems.add(at, RetentionError::SaltInFormatOne);
    }
    if !problems.is_empty() {
        return None;
    }
    let policy = RetentionPolicy::from_document(document, salt);
    if policy.published().text().len() > MAX_PUBLISHED {
        problems.add(&(0..0), RetentionError::PublishedTooLarge);
    }
    Some(policy)
}

/// What a document of format 2 without a salt has in place of names: commitments, or its author forgot the salt.
enum Unsalted {
    NoNames,
    Names,
    Commitments,
}

fn names_without_salt(written: &WrittenPolicy) -> Unsalted {
    let rules = written.rules.iter();
    let of_rules = rules.flat_map(|rule| [&rule.tenants, &rule.terms.recipients]);
    let of_default = written.default.iter().map(|terms| &terms.recipients);
    let lists = of_rules.chain(of_default).flatten();
    let mut names = lists.flat_map(|list| &list.value).peekable();
    if names.peek().is_none() {
        Unsalted::NoNames
    } else if names.all(|name| commitment(&name.value).is_some()) {
        Unsalted::Commitments
    } else {
        Unsalted::Names
    }
}

/// Checks what each value means. A value that is wrong is reported, and left out of what is returned.
struct Reader<'r, 't, T, R> {
    spelling: &'r Spelling<T, R>,
    problems: &'r Problems<'t>,
}

impl<'r, 't, T: Ord, R: Clone + PartialEq> Reader<'r, 't, T, R> {
    const fn new(spelling: &'r Spelling<T, R>, problems: &'r Problems<'t>) -> Self {
        Self { spelling, problems }
    }

    /// The value, or nothing with the problem reported.
    fn reported<V>(&self, at: &Range<usize>, read: Result<V, RetentionError>) -> Option<V> {
        read.map_err(|error| self.problems.add(at, error)).ok()
    }

    fn document(&self, written: WrittenPolicy) -> Option<Document<T, R>> {
        let format = written.format.and_then(|At { value, at }| {
            let format = Format::parse(&value);
            self.reported(&at, format.ok_or(RetentionError::Format(value)))
        });
        let place = self.place(written.epoch, written.predecessor);
        let description = written.description;
        if let Some(At { value: text, at }) = &description
            && (text.len() > MAX_DESCRIPTION || text.chars().any(char::is_control))
        {
            self.problems.add(at, RetentionError::Description);
        }
        if let Some(one_more) = written.rules.get(MAX_RULES) {
            let at = &one_more.terms.at;
            self.problems.add(at, RetentionError::TooManyRules);
            return None;
        }
        let default = written.default;
        let default = default.and_then(|terms| self.terms("default", terms, false));
        let rules = self.rules(default, written.rules);
        let (epoch, predecessor) = place?;
        Some(Document {
            format: format?,
            epoch,
            predecessor,
            description: description.map(|text| text.value),
            rules: rules?,
        })
    }

    /// Where the document stands in its chain.
    fn place(
        &self,
        epoch: Option<At<u64>>,
        predecessor: Option<At<String>>,
    ) -> Option<(u64, Option<Sha256Digest>)> {
        let At { value: epoch, at } = epoch?;
        let is_one = (1..=MAX_INTEGER).contains(&epoch);
        let stated = predecessor.is_some();
        let digest = match &predecessor {
            None => Some(None),
            Some(text) => {
                let digest = Sha256Digest::parse(&text.value).map_err(RetentionError::Predecessor);
                self.reported(&text.at, digest).map(Some)
            }
        };
        if !is_one {
            self.problems.add(&at, RetentionError::Epoch(epoch));
        } else if stated != (epoch > 1) {
            let at = predecessor.map_or(at, |text| text.at);
            let error = RetentionError::PredecessorMisplaced { epoch, stated };
            self.problems.add(&at, error);
        }
        digest.map(|digest| (epoch, digest))
    }

    fn rules(&self, default: Option<Terms<R>>, written: Vec<WrittenRule>) -> Option<Rules<T, R>> {
        let places: Vec<_> = written.iter().map(|rule| rule.terms.at.clone()).collect();
        let rules = written.into_iter().enumerate();
        let rules: Vec<_> = rules
            .map(|(index, written)| self.rule(index + 1, written))
            .collect();
        let rules = Rules {
            default: default?,
            rules: rules.into_iter().collect::<Option<_>>()?,
        };
        if let Some((one, other)) = rules.content_overlap() {
            let at = places.get(other - 1).cloned().unwrap_or_default();
            let error = RetentionError::ContentOverlap(one, other);
            self.problems.add(&at, error);
        }
        Some(rules)
    }

    fn rule(&self, number: usize, written: WrittenRule) -> Option<Rule<T, R>> {
        let place = format!("rule {number}");
        let for_named = written.tenants.is_some();
        let bad_tenants = || (self.spelling.bad_tenants)(place.clone());
        let tenants = self.list(written.tenants, self.spelling.tenant, bad_tenants);
        let models = self.list(written.models, name, || bad_names(place.clone(), "models"));
        let terms = self.terms(&place, written.terms, for_named);
        Some(Rule {
            tenants: tenants?,
            models: models?,
            terms: terms?,
        })
    }

    /// A list with something in it, not too much, nothing twice and nothing that does not read.
    fn list<N: Ord>(
        &self,
        texts: Option<At<Vec<At<String>>>>,
        read: fn(&str) -> Option<N>,
        error: impl FnOnce() -> RetentionError,
    ) -> Option<Option<Vec<N>>> {
        let Some(At { value: texts, at }) = texts else {
            return Some(None);
        };
        let names = texts.iter().map(|text| read(&text.value));
        let names = names.collect::<Option<Vec<N>>>().filter(|names| {
            let different: BTreeSet<&N> = names.iter().collect();
            (1..=MAX_NAMES).contains(&names.len()) && different.len() == names.len()
        });
        self.reported(&at, names.ok_or_else(error)).map(Some)
    }

    /// Nothing if the mode is not known: what the terms may state depends on it.
    fn terms(&self, place: &str, written: WrittenTerms, for_named: bool) -> Option<Terms<R>> {
        let At { value: mode, at } = written.mode?;
        let wrong = |at: &Range<usize>, reason| {
            let place = place.to_owned();
            let error = RetentionError::Terms {
                place,
                mode,
                reason,
            };
            self.problems.add(at, error);
        };
        use RetentionMode::{Content, Metadata};
        let stated = [
            ("ttl", place_of(&written.ttl), Metadata),
            ("fields", place_of(&written.fields), Metadata),
            ("on_failure", place_of(&written.on_failure), Metadata),
            ("recipients", place_of(&written.recipients), Content),
            ("deletion", place_of(&written.deletion), Content),
        ];
        for (name, stated, from) in stated {
            if let Some(at) = stated.filter(|_| mode < from) {
                wrong(at, TermsError::Meaningless(name));
            }
        }
        if mode == RetentionMode::Zero {
            return Some(Terms::Zero);
        }
        let ttl = match &written.ttl {
            None => Err((&at, TermsError::NoTtl)),
            Some(text) => ttl(&text.value).map_err(|reason| (&text.at, reason)),
        };
        let ttl = ttl.map_err(|(at, reason)| wrong(at, reason)).ok();
        let fields = fields(written.fields, &wrong);
        // Content is kept because it must be, for example by law.
        let on_failure = written.on_failure.map_or(
            match mode {
                Content => OnFailure::Refuse,
                _ => OnFailure::Serve,
            },
            |stated| stated.value,
        );
        let kept = ttl.zip(fields).map(|(ttl, fields)| KeptMetadata {
            ttl,
            fields,
            on_failure,
        });
        if mode == Metadata {
            return kept.map(Terms::Metadata);
        }
        if !for_named {
            wrong(&at, TermsError::TenantsRequired);
        }
        let none = At {
            value: Vec::new(),
            at,
        };
        let recipients = self.recipients(written.recipients.unwrap_or(none), &wrong);
        Some(Terms::Content {
            kept: kept?,
            recipients: recipients?,
            deletion: written
                .deletion
                .map_or(Deletion::Caller, |stated| stated.value),
        })
    }

    fn recipients(
        &self,
        written: At<Vec<At<String>>>,
        wrong: &impl Fn(&Range<usize>, TermsError),
    ) -> Option<Vec<R>> {
        let At { value: texts, at } = written;
        if !(1..=MAX_RECIPIENTS).contains(&texts.len()) {
            wrong(&at, TermsError::Recipients);
            return None;
        }
        let mut recipients: Vec<R> = Vec::with_capacity(texts.len());
        for (index, At { value: text, at }) in texts.iter().enumerate() {
            match (self.spelling.recipient)(text) {
                Err(error) => wrong(at, TermsError::Recipient(index + 1, error)),
                Ok(recipient) if recipients.contains(&recipient) => {
                    wrong(at, TermsError::RecipientTwice(index + 1));
                }
                Ok(recipient) => recipients.push(recipient),
            }
        }
        (recipients.len() == texts.len()).then_some(recipients)
    }
}

fn place_of<V>(stated: &Option<At<V>>) -> Option<&Range<usize>> {
    stated.as_ref().map(|stated| &stated.at)
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

fn ttl(text: &str) -> Result<Duration, TermsError> {
    let read = || {
        let (unit, factor) = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
        let number = text.strip_suffix(unit)?;
        let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = plain.then(|| number.parse().ok())??;
        Some(Duration::from_secs(number.checked_mul(*factor)?))
            .filter(|ttl| !ttl.is_zero() && *ttl <= MAX_TTL)
    };
    read().ok_or_else(|| TermsError::Ttl(text.to_owned()))
}

fn fields(
    written: Option<At<Vec<At<Field>>>>,
    wrong: &impl Fn(&Range<usize>, TermsError),
) -> Option<BTreeSet<Field>> {
    let Some(At { value: fields, .. }) = written else {
        return Some(Field::ALL.into());
    };
    let mut set = BTreeSet::new();
    let mut twice = false;
    for At { value: field, at } in fields {
        if !set.insert(field) {
            wrong(&at, TermsError::FieldTwice(field));
            twice = true;
        }
    }
    (!twice).then_some(set)
}
