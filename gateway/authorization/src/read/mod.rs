//! Reading a policy, strictly: an unknown key or word would be a condition that is silently left out. Everything that is
//! wrong is reported, with its line.

mod section;
mod values;

use std::collections::HashMap;

use attest_core::Sha256Digest;
use attest_core::retention::RetentionMode;
use gateway_base::request::{Endpoint, Name};
use strict_toml::{Located, Table};

use crate::condition::Class;
use crate::error::{InvalidPolicy, PolicyError};
use crate::example::Example;
use crate::limits::{MAX_BYTES, MAX_EXAMPLES};
use crate::policy::Policy;
use crate::rule::{Conditions, Effect, NO_RULE_MATCHED, Rule};
use crate::rule_set::MAX_RULES;
use crate::schedule::{Day, Schedule};
use crate::served::Candidate;
use section::{At, Problems, Section};
use values::{code, hours, key_id, model, name, offset, time, user, word};

impl Policy {
    /// Reads a policy, or returns everything that is wrong with it. Its examples are read and not tried.
    pub fn parse(text: &str) -> Result<Self, InvalidPolicy> {
        policy(text)
    }

    /// Reads a policy that decides all its examples as stated.
    pub fn parse_and_try(text: &str) -> Result<Self, InvalidPolicy> {
        let policy = Self::parse(text)?;
        let failures = policy.failing_examples();
        if failures.is_empty() {
            Ok(policy)
        } else {
            Err(InvalidPolicy::from_failures(failures))
        }
    }
}

fn policy(text: &str) -> Result<Policy, InvalidPolicy> {
    if text.len() > MAX_BYTES {
        return Err(InvalidPolicy::from_problems(vec![Located {
            line: 1,
            problem: PolicyError::TooLarge,
        }]));
    }
    let problems = Problems::new(text);
    let policy = match Table::parse(text) {
        Ok(table) => whole(Section::new(table, &problems), text),
        Err(errors) => {
            for error in errors {
                let at = error.span.unwrap_or_default();
                problems.add(&at, PolicyError::Syntax(error.message));
            }
            None
        }
    };
    match policy {
        Some(policy) if problems.is_empty() => Ok(policy),
        _ => Err(InvalidPolicy::from_problems(problems.into_sorted())),
    }
}

fn whole(mut section: Section<'_, '_>, text: &str) -> Option<Policy> {
    let name = section.required("name", name);
    let version = section.number("version");
    let rules = rules(&mut section);
    let depends_on_time = rules
        .iter()
        .flatten()
        .any(|rule| rule.when.schedule.is_some());
    let examples = section.tables("example");
    if let Some(one_more) = examples.get(MAX_EXAMPLES) {
        one_more.problem(PolicyError::TooManyExamples);
    }
    let examples: Vec<_> = examples
        .into_iter()
        .take(MAX_EXAMPLES)
        .map(|inner| example(inner, depends_on_time))
        .collect();
    section.finish();
    Some(Policy {
        name: name?,
        version: version?,
        digest: Sha256Digest::hash(text.as_bytes()),
        rules: rules.into_iter().collect::<Option<_>>()?,
        examples: examples.into_iter().collect::<Option<_>>()?,
    })
}

/// A rule with a problem is `None`.
fn rules(section: &mut Section<'_, '_>) -> Vec<Option<Rule>> {
    let given = section.has("rule");
    let sections = section.tables("rule");
    if sections.is_empty() && !given {
        section.problem(PolicyError::NoRules);
    }
    if let Some(one_more) = sections.get(MAX_RULES) {
        one_more.problem(PolicyError::TooManyRules);
    }
    let mut codes = HashMap::new();
    let sections = sections.into_iter().take(MAX_RULES);
    sections.map(|inner| rule(inner, &mut codes)).collect()
}

/// `codes`: those of earlier rules, with their lines.
fn rule(mut section: Section<'_, '_>, codes: &mut HashMap<Name, usize>) -> Option<Rule> {
    let code = section.required_at("code", code);
    if let Some(At { value, at }) = &code {
        let key = section.key("code");
        if value.as_str() == NO_RULE_MATCHED {
            section.problem_at(at, PolicyError::ReservedCode { key });
        } else if let Some(line) = codes.get(value) {
            let (code, line) = (value.to_string(), *line);
            section.problem_at(at, PolicyError::RepeatedCode { key, code, line });
        } else {
            codes.insert(value.clone(), section.line_of(at));
        }
    }
    let effect = section.required("effect", effect);
    let when = Conditions {
        organisations: section.list("organisations", name),
        tenants: section.list("tenants", name),
        users: section.list("users", user),
        keys: section.list("keys", key_id),
        roles: section.list("roles", name),
        models: section.list("models", model),
        endpoints: section.list("endpoints", endpoint),
        retention: section.list("retention", retention),
        classes: section.list("classes", class),
        regions: section.list("regions", name),
        schedule: schedule(&mut section),
    };
    section.finish();
    Some(Rule {
        code: code?.value,
        effect: effect?,
        when,
    })
}

fn schedule(section: &mut Section<'_, '_>) -> Option<Schedule> {
    let hours = section.optional("hours", hours);
    let days = section.list("days", day);
    let stated = section.has("offset");
    let offset = section.optional("offset", offset);
    if stated && !section.has("hours") && !section.has("days") {
        let key = section.key("offset");
        section.problem_of("offset", PolicyError::OffsetAlone { key });
    }
    if hours.is_none() && days.is_none() {
        return None;
    }
    Some(Schedule {
        hours,
        days,
        offset: offset.unwrap_or_default(),
    })
}

fn example(mut section: Section<'_, '_>, depends_on_time: bool) -> Option<Example> {
    let line = section.line();
    let given = section.has("at");
    let at = section.optional("at", time);
    if depends_on_time && !given {
        let key = section.key("at");
        section.problem(PolicyError::NoTime { key });
    }
    let name_of_example = section.optional("name", name);
    let organisation = section.optional("organisation", name);
    let tenant = section.required("tenant", name);
    let user = section.optional("user", name);
    let key = section.optional("key", key_id);
    let roles = section.list("roles", name).unwrap_or_default();
    let model = section.required("model", name);
    let endpoint = section.optional("endpoint", endpoint);
    let retention = section.optional("retention", retention);
    let class = section.optional("class", class);
    let region = section.optional("region", name);
    let expected = section.required("expect", effect);
    let expected_code = section.optional("code", code);
    section.finish();
    Some(Example {
        line,
        name: name_of_example,
        organisation,
        tenant: tenant?,
        user,
        key,
        roles,
        model: model?,
        endpoint: endpoint.unwrap_or(Endpoint::Chat),
        retention: retention.unwrap_or(RetentionMode::Metadata),
        candidate: Candidate {
            class: class.unwrap_or(Class::Verified),
            region,
        },
        at,
        expected: expected?,
        expected_code,
    })
}

fn effect(key: String, text: &str) -> Result<Effect, PolicyError> {
    word(key, text, &Effect::ALL, Effect::as_str)
}

fn endpoint(key: String, text: &str) -> Result<Endpoint, PolicyError> {
    word(key, text, &Endpoint::ALL, Endpoint::label)
}

fn retention(key: String, text: &str) -> Result<RetentionMode, PolicyError> {
    word(key, text, &RetentionMode::ALL, RetentionMode::as_str)
}

fn class(key: String, text: &str) -> Result<Class, PolicyError> {
    word(key, text, &Class::ALL, Class::as_str)
}

fn day(key: String, text: &str) -> Result<Day, PolicyError> {
    word(key, text, &Day::ALL, Day::as_str)
}
