//! A policy compiled for the models of one configuration.
//!
//! For each value that a condition can name there is the set of rules that match it. A decision intersects the sets of the
//! request's values; rules with a schedule are then checked one by one. Nothing is allocated.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use attest_core::retention::RetentionMode;
use gateway_base::request::{Endpoint, Name};

use crate::policy::Policy;
use crate::rule::{Effect, NO_RULE_MATCHED, Request, Rule, matches};
use crate::rule_set::RuleSet;
use crate::schedule::Schedule;
use crate::served::{Candidate, ServedModel};

pub(crate) struct Compiled {
    rules: Vec<CompiledRule>,
    denies: RuleSet,
    allows: RuleSet,
    /// The rules with a schedule.
    scheduled: RuleSet,
    organisations: ByValue<Name>,
    tenants: ByValue<Name>,
    users: Users,
    keys: ByValue<String>,
    roles: ByValue<Name>,
    endpoints: [RuleSet; Endpoint::ALL.len()],
    retention: [RuleSet; RetentionMode::ALL.len()],
    models: Vec<CompiledModel>,
    /// The place of each, by its id.
    places: HashMap<Name, usize>,
    no_rule: Name,
}

struct CompiledRule {
    code: Name,
    schedule: Option<Schedule>,
}

/// The rules whose conditions on the model match, and for each of its candidates those whose conditions on it do.
struct CompiledModel {
    rules: RuleSet,
    candidates: Vec<RuleSet>,
}

/// A decision about one candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed {
        rule: usize,
    },
    DeniedByRule {
        rule: usize,
    },
    /// No rule matches.
    NotAllowed,
}

impl Compiled {
    pub(crate) fn new(policy: &Policy, models: &[ServedModel]) -> Self {
        let rules = &policy.rules;
        let of_effect = |effect| RuleSet::where_true(rules, |rule| rule.effect == effect);
        let compiled = |rule: &Rule| CompiledRule {
            code: rule.code.clone(),
            schedule: rule.when.schedule.clone(),
        };
        let places = models.iter().enumerate();
        let places =
            places.filter_map(|(place, model)| Some((model.names.first()?.clone(), place)));
        let models = models.iter().map(|model| CompiledModel::new(rules, model));
        Self {
            rules: rules.iter().map(compiled).collect(),
            denies: of_effect(Effect::Deny),
            allows: of_effect(Effect::Allow),
            scheduled: RuleSet::where_true(rules, |rule| rule.when.schedule.is_some()),
            organisations: ByValue::new(rules, |rule| rule.when.organisations.as_deref()),
            tenants: ByValue::new(rules, |rule| rule.when.tenants.as_deref()),
            users: Users::new(rules),
            keys: ByValue::new(rules, |rule| rule.when.keys.as_deref()),
            roles: ByValue::new(rules, |rule| rule.when.roles.as_deref()),
            endpoints: Endpoint::ALL.map(|endpoint| {
                RuleSet::where_true(rules, |rule| {
                    matches(&rule.when.endpoints, |one| *one == endpoint)
                })
            }),
            retention: RetentionMode::ALL.map(|mode| {
                RuleSet::where_true(rules, |rule| {
                    matches(&rule.when.retention, |one| *one == mode)
                })
            }),
            models: models.collect(),
            places: places.collect(),
            no_rule: Name::from_operator(NO_RULE_MATCHED).expect("it is a name"),
        }
    }

    /// The place of the model with this id.
    pub(crate) fn place_of(&self, model: &Name) -> Option<usize> {
        self.places.get(model).copied()
    }

    /// The rules that match a request for the model at this place, but for their conditions on the upstream.
    pub(crate) fn matching(&self, request: &Request<'_>, model: usize) -> RuleSet {
        let mut rules = self.models.get(model).map_or(RuleSet::EMPTY, |it| it.rules);
        rules.intersect(
            self.organisations
                .of(request.organisation.map(Name::as_str)),
        );
        rules.intersect(self.tenants.of(Some(request.tenant.as_str())));
        rules.intersect(self.users.of(request));
        rules.intersect(self.keys.of(Some(request.key)));
        rules.intersect(&self.roles.of_any(request.roles));
        rules.intersect(of(&self.endpoints, &Endpoint::ALL, request.endpoint));
        rules.intersect(of(&self.retention, &RetentionMode::ALL, request.retention));
        for place in rules.and(&self.scheduled).places() {
            let schedule = self
                .rules
                .get(place)
                .and_then(|rule| rule.schedule.as_ref());
            if !schedule.is_some_and(|schedule| schedule.contains(request.at)) {
                rules.remove(place);
            }
        }
        rules
    }

    /// The decision about a candidate of a model, given the rules that match the request.
    pub(crate) fn decide(&self, matching: &RuleSet, model: usize, candidate: usize) -> Verdict {
        let model = self.models.get(model);
        let Some(of_candidate) = model.and_then(|model| model.candidates.get(candidate)) else {
            return Verdict::NotAllowed;
        };
        let rules = matching.and(of_candidate);
        if let Some(rule) = rules.and(&self.denies).first() {
            return Verdict::DeniedByRule { rule };
        }
        match rules.and(&self.allows).first() {
            Some(rule) => Verdict::Allowed { rule },
            None => Verdict::NotAllowed,
        }
    }

    /// How many candidates a model has.
    pub(crate) fn candidates(&self, model: usize) -> usize {
        self.models
            .get(model)
            .map_or(0, |model| model.candidates.len())
    }

    /// The code of the rule that decided, or that none did.
    pub(crate) fn code(&self, verdict: Verdict) -> &Name {
        let rule = match verdict {
            Verdict::Allowed { rule } | Verdict::DeniedByRule { rule } => self.rules.get(rule),
            Verdict::NotAllowed => None,
        };
        rule.map_or(&self.no_rule, |rule| &rule.code)
    }
}

/// The set that belongs to a value of an enum.
fn of<'s, T: PartialEq>(sets: &'s [RuleSet], all: &[T], value: T) -> &'s RuleSet {
    // Every value is in `all`.
    const NONE: &RuleSet = &RuleSet::EMPTY;
    let place = all.iter().position(|one| *one == value);
    place.and_then(|place| sets.get(place)).unwrap_or(NONE)
}

impl CompiledModel {
    fn new(rules: &[Rule], model: &ServedModel) -> Self {
        let of_candidate = |candidate: &Candidate| {
            RuleSet::where_true(rules, |rule| {
                matches(&rule.when.classes, |one| *one == candidate.class)
                    && matches(&rule.when.regions, |one| {
                        candidate.region.as_ref() == Some(one)
                    })
            })
        };
        Self {
            rules: RuleSet::where_true(rules, |rule| {
                matches(&rule.when.models, |pattern| {
                    model
                        .names
                        .iter()
                        .any(|name| pattern.matches(name.as_str()))
                })
            }),
            candidates: model.candidates.iter().map(of_candidate).collect(),
        }
    }
}

/// The rules that match each value of one condition.
struct ByValue<T> {
    /// Those without the condition: they match every other value, and none.
    others: RuleSet,
    named: HashMap<T, RuleSet>,
}

impl<T: Clone + Eq + Hash + Borrow<str>> ByValue<T> {
    fn new<'r>(rules: &'r [Rule], values: impl Fn(&'r Rule) -> Option<&'r [T]>) -> Self
    where
        T: 'r,
    {
        let mut others = RuleSet::default();
        let mut named: HashMap<T, RuleSet> = HashMap::new();
        for (place, rule) in rules.iter().enumerate() {
            match values(rule) {
                None => others.insert(place),
                Some(values) => {
                    for value in values {
                        named.entry(value.clone()).or_default().insert(place);
                    }
                }
            }
        }
        named.values_mut().for_each(|rules| rules.extend(&others));
        Self { others, named }
    }

    fn of(&self, value: Option<&str>) -> &RuleSet {
        // Most policies leave most conditions out: no hash is computed for those.
        let value = value.filter(|_| !self.named.is_empty());
        value
            .and_then(|value| self.named.get(value))
            .unwrap_or(&self.others)
    }

    /// The rules that match one of several values.
    fn of_any(&self, values: &[T]) -> RuleSet {
        let mut rules = self.others;
        for value in values {
            rules.extend(self.of(Some(value.borrow())));
        }
        rules
    }
}

/// The same for users, whose names are unique within their tenant only.
struct Users {
    others: RuleSet,
    /// By tenant.
    named: HashMap<Name, HashMap<Name, RuleSet>>,
}

impl Users {
    fn new(rules: &[Rule]) -> Self {
        let mut others = RuleSet::default();
        let mut named: HashMap<Name, HashMap<Name, RuleSet>> = HashMap::new();
        for (place, rule) in rules.iter().enumerate() {
            let Some(users) = &rule.when.users else {
                others.insert(place);
                continue;
            };
            for user in users {
                let of_tenant = named.entry(user.tenant.clone()).or_default();
                let rules = of_tenant.entry(user.name.clone()).or_default();
                rules.insert(place);
            }
        }
        for rules in named.values_mut().flat_map(HashMap::values_mut) {
            rules.extend(&others);
        }
        Self { others, named }
    }

    fn of(&self, request: &Request<'_>) -> &RuleSet {
        let user = request.user.filter(|_| !self.named.is_empty());
        let rules = user.and_then(|user| self.named.get(request.tenant)?.get(user));
        rules.unwrap_or(&self.others)
    }
}
