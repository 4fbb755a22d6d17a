//! A policy as it was written: rules in their order, and the examples that it must decide as stated.

use attest_core::Sha256Digest;
use gateway_base::request::Name;
use strict_toml::Located;

use crate::example::{Example, ExampleFailure};
use crate::rule::{Effect, NO_RULE_MATCHED, Request, Rule};
use crate::served::Candidate;

/// An authorization policy.
#[derive(Clone, Debug)]
pub struct Policy {
    pub name: Name,
    pub version: u32,
    /// Of the file's text.
    pub digest: Sha256Digest,
    pub rules: Vec<Rule>,
    pub examples: Vec<Example>,
}

impl Policy {
    /// The decision for one upstream, by trying every rule in turn. A compiled policy decides the same, faster.
    ///
    /// `names` are all names of the model.
    pub fn decide(
        &self,
        request: &Request<'_>,
        names: &[Name],
        candidate: &Candidate,
    ) -> (Effect, Option<&Rule>) {
        let matching = |effect| {
            let mut rules = self.rules.iter().filter(move |rule| rule.effect == effect);
            rules.find(|rule| rule.when.unmet(request, names, candidate).is_empty())
        };
        match (matching(Effect::Deny), matching(Effect::Allow)) {
            (Some(denies), _) => (Effect::Deny, Some(denies)),
            (None, Some(allows)) => (Effect::Allow, Some(allows)),
            (None, None) => (Effect::Deny, None),
        }
    }

    /// The examples that it decides in another way than stated, each with its line.
    pub fn failing_examples(&self) -> Vec<Located<ExampleFailure>> {
        let examples = self.examples.iter().zip(1..);
        examples
            .filter_map(|(example, number)| self.try_example(example, number))
            .collect()
    }

    fn try_example(&self, example: &Example, number: usize) -> Option<Located<ExampleFailure>> {
        let names = std::slice::from_ref(&example.model);
        let (effect, rule) = self.decide(&example.request(), names, &example.candidate);
        let code = rule.map_or(NO_RULE_MATCHED, |rule| rule.code.as_str());
        let is_expected_code = |expected: &Name| expected.as_str() == code;
        if effect == example.expected && example.expected_code.as_ref().is_none_or(is_expected_code)
        {
            return None;
        }
        let failure = ExampleFailure {
            number,
            name: example.name.clone(),
            expected: (example.expected, example.expected_code.clone()),
            found: (effect, code.to_owned()),
        };
        Some(Located {
            line: example.line,
            problem: failure,
        })
    }
}
