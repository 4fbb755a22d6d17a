//! Why a decision is what it is, rule by rule.

use gateway_base::request::Name;

use crate::condition::Condition;
use crate::policy::Policy;
use crate::rule::{Effect, NO_RULE_MATCHED, Request};
use crate::served::Candidate;

/// A decision about one upstream, and what each rule contributed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub effect: Effect,
    pub code: String,
    /// In the order of the policy.
    pub rules: Vec<RuleExplanation>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleExplanation {
    pub code: Name,
    pub effect: Effect,
    /// The conditions that do not match; none if the rule does.
    pub unmet: Vec<Condition>,
}

/// The decision about a request for a model with these names, if this upstream serves it.
pub fn explain(
    policy: &Policy,
    request: &Request<'_>,
    names: &[Name],
    candidate: &Candidate,
) -> Explanation {
    let (effect, rule) = policy.decide(request, names, candidate);
    let rules = policy.rules.iter().map(|rule| RuleExplanation {
        code: rule.code.clone(),
        effect: rule.effect,
        unmet: rule.when.unmet(request, names, candidate),
    });
    Explanation {
        effect,
        code: rule
            .map_or(NO_RULE_MATCHED, |rule| rule.code.as_str())
            .to_owned(),
        rules: rules.collect(),
    }
}
