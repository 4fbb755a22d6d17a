//! Names in a policy that nothing in the configuration has: probably misspelt.

use gateway_base::config::Config;
use gateway_base::config::identity::Purpose;

use crate::policy::Policy;
use crate::rule::Rule;
use crate::served::served_models;

/// One sentence for each.
pub(crate) fn warnings(policy: &Policy, config: &Config) -> Vec<String> {
    let rules = policy.rules.iter();
    rules.flat_map(|rule| rule_warnings(rule, config)).collect()
}

fn rule_warnings(rule: &Rule, config: &Config) -> Vec<String> {
    let models = served_models(config);
    let mut found = Vec::new();
    for pattern in rule.when.models.iter().flatten() {
        let mut names = models.iter().flat_map(|model| &model.names);
        if !names.any(|name| pattern.matches(name.as_str())) {
            found.push(format!("no model is called {}", pattern.as_str()));
        }
    }
    for region in rule.when.regions.iter().flatten() {
        let mut candidates = models.iter().flat_map(|model| &model.candidates);
        if !candidates.any(|candidate| candidate.region.as_ref() == Some(region)) {
            found.push(format!("no upstream has the region {region}"));
        }
    }
    for role in rule.when.roles.iter().flatten() {
        let mut rules = config
            .identity
            .issuers_for(Purpose::Callers)
            .flat_map(|issuer| &issuer.rules);
        if !rules.any(|granting| granting.roles.contains(role)) {
            found.push(format!("no identity rule grants the role {role}"));
        }
    }
    let about_rule = |reason| format!("rule {}: {reason}", rule.code);
    found.into_iter().map(about_rule).collect()
}
