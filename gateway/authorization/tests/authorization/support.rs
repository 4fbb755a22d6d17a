//! Requests, models and policies of the tests.

use attest_core::UnixTime;
use attest_core::retention::RetentionMode;
use gateway_authorization::{Candidate, Class, Effect, Policy, Request, ServedModel};
use gateway_base::request::{Endpoint, Name};

pub fn name(text: &str) -> Name {
    Name::from_operator(text).expect("a name")
}

pub fn at(text: &str) -> UnixTime {
    UnixTime::parse_rfc3339(text).expect("a time")
}

/// A policy with these rules.
pub fn policy(rules: &str) -> Policy {
    let text = format!("name = \"test\"\nversion = 1\n{rules}");
    Policy::parse(&text).unwrap_or_else(|invalid| panic!("{text}\n{invalid}"))
}

/// An owned request, which tests change member by member.
#[derive(Clone, Debug)]
pub struct Asked {
    pub organisation: Option<Name>,
    pub tenant: Name,
    pub user: Option<Name>,
    pub key: String,
    pub roles: Vec<Name>,
    pub model: Name,
    pub endpoint: Endpoint,
    pub retention: RetentionMode,
    pub at: UnixTime,
    pub candidate: Candidate,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            organisation: Some(name("acme")),
            tenant: name("research"),
            user: Some(name("alice")),
            key: "00112233aabb".to_owned(),
            roles: vec![name("engineer"), name("lead")],
            model: name("llama-70b"),
            endpoint: Endpoint::Chat,
            retention: RetentionMode::Metadata,
            // A Tuesday.
            at: at("2026-12-01T10:00:00Z"),
            candidate: Candidate {
                class: Class::Verified,
                region: Some(name("eu-west")),
            },
        }
    }
}

impl Asked {
    pub fn request(&self) -> Request<'_> {
        Request {
            organisation: self.organisation.as_ref(),
            tenant: &self.tenant,
            user: self.user.as_ref(),
            key: &self.key,
            roles: &self.roles,
            model: &self.model,
            endpoint: self.endpoint,
            retention: self.retention,
            at: self.at,
        }
    }

    /// Effect and code.
    pub fn decided_by(&self, policy: &Policy) -> (Effect, String) {
        let names = std::slice::from_ref(&self.model);
        let (effect, rule) = policy.decide(&self.request(), names, &self.candidate);
        let code = rule.map_or("no-rule-matched", |rule| rule.code.as_str());
        (effect, code.to_owned())
    }
}

pub fn allowed(code: &str) -> (Effect, String) {
    (Effect::Allow, code.to_owned())
}

pub fn denied(code: &str) -> (Effect, String) {
    (Effect::Deny, code.to_owned())
}

pub fn candidate(class: Class, region: Option<&str>) -> Candidate {
    Candidate {
        class,
        region: region.map(name),
    }
}

pub fn model(names: &[&str], candidates: &[Candidate]) -> ServedModel {
    ServedModel {
        names: names.iter().map(|text| name(text)).collect(),
        candidates: candidates.to_vec(),
    }
}
