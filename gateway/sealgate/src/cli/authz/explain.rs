//! `sealgate authz explain`: the decision about one request, for each upstream that could serve it.

use std::path::{Path, PathBuf};

use super::super::credentials::name;
use super::{Failure, parsed, read};
use attest_channel::{Clock, SystemClock};
use attest_core::UnixTime;
use attest_core::retention::RetentionMode;
use gateway_authorization::{
    Candidate, Class, Explanation, Policy, Request, RuleExplanation, explain, served_models,
};
use gateway_base::config::Config;
use gateway_base::request::{Endpoint, Name};

/// The request.
#[derive(clap::Args)]
pub(in crate::cli) struct Question {
    /// The authorization policy (TOML), or a configuration that names one
    file: PathBuf,
    /// The tenant of the caller
    #[arg(short, long, value_parser = name)]
    tenant: Name,
    /// The model, by its id or an alias
    #[arg(short, long, value_parser = name)]
    model: Name,
    /// The endpoint: chat, completions or embeddings
    #[arg(short, long, default_value = "chat", value_parser = endpoint)]
    endpoint: Endpoint,
    /// The organisation of the tenant
    #[arg(long, value_parser = name)]
    organisation: Option<Name>,
    /// The user or service account that the key belongs to
    #[arg(long, value_parser = name)]
    user: Option<Name>,
    /// The public id of the API key, or of the subject of a token
    #[arg(long, value_name = "ID", default_value = "")]
    key: String,
    /// A role of the caller; repeatable
    #[arg(long = "role", value_name = "ROLE", value_parser = name)]
    roles: Vec<Name>,
    /// What is kept of the request: zero, metadata or content
    #[arg(long, value_name = "MODE", default_value = "metadata", value_parser = retention)]
    retention: RetentionMode,
    /// Of the upstream: verified, local or unverified; verified by default
    #[arg(long, value_parser = class)]
    class: Option<Class>,
    /// Of the upstream
    #[arg(long, value_parser = name)]
    region: Option<Name>,
    /// The time of the request (2026-12-01T08:00:00Z) instead of now
    #[arg(long, value_name = "TIME", value_parser = UnixTime::parse_rfc3339)]
    at: Option<UnixTime>,
}

fn endpoint(text: &str) -> Result<Endpoint, &'static str> {
    let mut all = Endpoint::ALL.into_iter();
    all.find(|endpoint| endpoint.label() == text)
        .ok_or("must be chat, completions or embeddings")
}

fn retention(text: &str) -> Result<RetentionMode, &'static str> {
    RetentionMode::parse(text).ok_or("must be zero, metadata or content")
}

fn class(text: &str) -> Result<Class, &'static str> {
    let mut all = Class::ALL.into_iter();
    all.find(|class| class.as_str() == text)
        .ok_or("must be verified, local or unverified")
}

/// What the policy decides about: a model, and the upstreams that could serve it.
struct Subject {
    policy: Policy,
    /// All names of the model, its id first.
    names: Vec<Name>,
    /// With their names, where a configuration has them.
    candidates: Vec<(Option<Name>, Candidate)>,
}

pub(super) fn run(question: &Question) -> Result<String, Failure> {
    let text = read(&question.file)?;
    // A policy has no such table, and a configuration must have it.
    let is_config = text
        .lines()
        .any(|line| line.trim_start().starts_with("[server]"));
    let subject = match is_config {
        true => configured(question)?,
        false => alone(question, &text)?,
    };
    let Some(id) = subject.names.first() else {
        return Ok(String::new());
    };
    let request = Request {
        organisation: question.organisation.as_ref(),
        tenant: &question.tenant,
        user: question.user.as_ref(),
        key: &question.key,
        roles: &question.roles,
        model: id,
        endpoint: question.endpoint,
        retention: question.retention,
        at: question.at.unwrap_or_else(|| SystemClock.now()),
    };
    let mut page = String::new();
    for (upstream, candidate) in &subject.candidates {
        let explanation = explain(&subject.policy, &request, &subject.names, candidate);
        if !page.is_empty() {
            page.push('\n');
        }
        page.push_str(&describe(upstream.as_ref(), candidate, &explanation));
    }
    Ok(page)
}

fn alone(question: &Question, text: &str) -> Result<Subject, Failure> {
    let candidate = Candidate {
        class: question.class.unwrap_or(Class::Verified),
        region: question.region.clone(),
    };
    Ok(Subject {
        policy: parsed(&question.file, Policy::parse(text))?,
        names: vec![question.model.clone()],
        candidates: vec![(None, candidate)],
    })
}

fn configured(question: &Question) -> Result<Subject, Failure> {
    if question.class.is_some() || question.region.is_some() {
        return Err(Failure::ConfiguredUpstreams);
    }
    let file: &Path = &question.file;
    let config = Config::load(file)?;
    let named = config.authorization.policy.as_ref();
    let named = named.ok_or_else(|| Failure::NoPolicy(file.to_owned()))?;
    let policy = parsed(&named.file, Policy::parse(&named.text))?;
    let models = served_models(&config).into_iter().zip(&config.models);
    let mut models = models.filter(|(served, _)| served.is_called(&question.model));
    let (served, model) = models.next().ok_or_else(|| Failure::NoModel {
        file: file.to_owned(),
        model: question.model.to_string(),
    })?;
    let names = model
        .upstreams
        .iter()
        .map(|upstream| Some(upstream.name.clone()));
    Ok(Subject {
        policy,
        names: served.names,
        candidates: names.zip(served.candidates).collect(),
    })
}

fn describe(upstream: Option<&Name>, candidate: &Candidate, explanation: &Explanation) -> String {
    let mut page = String::new();
    if let Some(name) = upstream {
        page.push_str(&format!("upstream  {name}\n"));
    }
    let region = candidate.region.as_ref().map_or("none", Name::as_str);
    page.push_str(&format!(
        "class     {}\nregion    {region}\n",
        candidate.class
    ));
    page.push_str(&format!(
        "decision  {}\ncode      {}\n",
        explanation.effect, explanation.code
    ));
    for (rule, number) in explanation.rules.iter().zip(1..) {
        page.push_str(&describe_rule(rule, number));
    }
    page
}

fn describe_rule(rule: &RuleExplanation, number: usize) -> String {
    let unmet: Vec<&str> = rule.unmet.iter().map(|one| one.as_str()).collect();
    let why = match unmet[..] {
        [] => "matches".to_owned(),
        _ => format!("does not match: {}", unmet.join(", ")),
    };
    format!(
        "{number:>4}. {:<5}  {}  {why}\n",
        rule.effect.as_str(),
        rule.code
    )
}
