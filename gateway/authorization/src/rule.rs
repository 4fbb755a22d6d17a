//! A rule as it was written, and whether it matches a request.

use std::fmt;

use attest_core::UnixTime;
use attest_core::retention::RetentionMode;
use gateway_base::request::{Endpoint, ModelPattern, Name};

use crate::condition::{Class, Condition, UserName};
use crate::schedule::Schedule;
use crate::served::Candidate;

/// The code of a decision that no rule made: what no rule allows is denied.
pub const NO_RULE_MATCHED: &str = "no-rule-matched";

/// `[[rule]]`
#[derive(Clone, Debug)]
pub struct Rule {
    /// Names the rule in answers, receipts, the audit log and metrics.
    pub code: Name,
    pub effect: Effect,
    pub when: Conditions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    Allow,
    Deny,
}

impl Effect {
    pub const ALL: [Self; 2] = [Self::Allow, Self::Deny];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What must hold for a rule to match. All of them must; what is absent matches everything.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    pub organisations: Option<Vec<Name>>,
    pub tenants: Option<Vec<Name>>,
    pub users: Option<Vec<UserName>>,
    /// Public ids of API keys and of the subjects of tokens.
    pub keys: Option<Vec<String>>,
    /// The caller has one of these.
    pub roles: Option<Vec<Name>>,
    /// They match a model whose id or one of whose aliases they match, whichever of its names a request uses.
    pub models: Option<Vec<ModelPattern>>,
    pub endpoints: Option<Vec<Endpoint>>,
    pub retention: Option<Vec<RetentionMode>>,
    pub classes: Option<Vec<Class>>,
    /// An upstream without a region is in none of them.
    pub regions: Option<Vec<Name>>,
    pub schedule: Option<Schedule>,
}

/// What is known of a request when it is decided.
#[derive(Clone, Copy)]
pub struct Request<'r> {
    pub organisation: Option<&'r Name>,
    pub tenant: &'r Name,
    /// The user of that tenant whose key it is.
    pub user: Option<&'r Name>,
    /// The public id of the key, or of the subject of the token.
    pub key: &'r str,
    pub roles: &'r [Name],
    /// The id of the model.
    pub model: &'r Name,
    pub endpoint: Endpoint,
    /// What is kept of it.
    pub retention: RetentionMode,
    pub at: UnixTime,
}

impl Conditions {
    /// The conditions that there are.
    pub fn present(&self) -> Vec<Condition> {
        let schedule = self.schedule.as_ref();
        let all = [
            (Condition::Organisations, self.organisations.is_some()),
            (Condition::Tenants, self.tenants.is_some()),
            (Condition::Users, self.users.is_some()),
            (Condition::Keys, self.keys.is_some()),
            (Condition::Roles, self.roles.is_some()),
            (Condition::Models, self.models.is_some()),
            (Condition::Endpoints, self.endpoints.is_some()),
            (Condition::Retention, self.retention.is_some()),
            (Condition::Classes, self.classes.is_some()),
            (Condition::Regions, self.regions.is_some()),
            (
                Condition::Days,
                schedule.is_some_and(|it| it.days.is_some()),
            ),
            (
                Condition::Hours,
                schedule.is_some_and(|it| it.hours.is_some()),
            ),
        ];
        let present = all.into_iter().filter(|(_, is_present)| *is_present);
        present.map(|(condition, _)| condition).collect()
    }

    /// The conditions that do not match.
    pub(crate) fn unmet(
        &self,
        request: &Request<'_>,
        names: &[Name],
        candidate: &Candidate,
    ) -> Vec<Condition> {
        let mut unmet = Vec::new();
        let mut check = |condition, matches: bool| {
            if !matches {
                unmet.push(condition);
            }
        };
        let is_user =
            |user: &UserName| user.tenant == *request.tenant && request.user == Some(&user.name);
        let is_model =
            |pattern: &ModelPattern| names.iter().any(|name| pattern.matches(name.as_str()));
        check(
            Condition::Organisations,
            matches(&self.organisations, |one| request.organisation == Some(one)),
        );
        check(
            Condition::Tenants,
            matches(&self.tenants, |one| one == request.tenant),
        );
        check(Condition::Users, matches(&self.users, is_user));
        check(
            Condition::Keys,
            matches(&self.keys, |one| one == request.key),
        );
        check(
            Condition::Roles,
            matches(&self.roles, |one| request.roles.contains(one)),
        );
        check(Condition::Models, matches(&self.models, is_model));
        check(
            Condition::Endpoints,
            matches(&self.endpoints, |one| *one == request.endpoint),
        );
        check(
            Condition::Retention,
            matches(&self.retention, |one| *one == request.retention),
        );
        check(
            Condition::Classes,
            matches(&self.classes, |one| *one == candidate.class),
        );
        check(
            Condition::Regions,
            matches(&self.regions, |one| candidate.region.as_ref() == Some(one)),
        );
        if let Some(schedule) = &self.schedule {
            check(Condition::Days, schedule.days_match(request.at));
            check(Condition::Hours, schedule.hours_match(request.at));
        }
        unmet
    }
}

/// Whether a condition is absent, or one of its values matches.
pub(crate) fn matches<T>(values: &Option<Vec<T>>, is_match: impl Fn(&T) -> bool) -> bool {
    values
        .as_ref()
        .is_none_or(|values| values.iter().any(is_match))
}
