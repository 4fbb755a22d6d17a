//! Each condition where it matches and where it does not, and how rules are combined.

use attest_core::retention::RetentionMode;
use gateway_authorization::Class;
use gateway_base::request::Endpoint;

use super::support::{Asked, allowed, at, candidate, denied, name, policy};

/// A rule with this condition allows the default request, and none of the changed ones.
fn only_without(condition: &str, changes: &[fn(&mut Asked)]) {
    let policy = policy(&format!(
        "[[rule]]\ncode = \"a\"\neffect = \"allow\"\n{condition}"
    ));
    let asked = Asked::default();
    assert_eq!(asked.decided_by(&policy), allowed("a"), "{condition}");
    for (number, change) in changes.iter().enumerate() {
        let mut other = asked.clone();
        change(&mut other);
        let decision = other.decided_by(&policy);
        assert_eq!(decision, denied("no-rule-matched"), "{condition} {number}");
    }
}

#[test]
fn a_condition_on_the_caller_matches_its_values_only() {
    only_without(
        "tenants = [\"sales\", \"research\"]",
        &[|asked| asked.tenant = name("legal")],
    );
    only_without(
        "organisations = [\"acme\"]",
        &[
            |asked| asked.organisation = Some(name("globex")),
            |asked| asked.organisation = None,
        ],
    );
    only_without(
        "keys = [\"00112233aabb\", \"jwt-0011223344556677\"]",
        &[
            |asked| asked.key = "00112233aabc".to_owned(),
            |asked| asked.key = String::new(),
        ],
    );
    only_without(
        "roles = [\"lead\", \"auditor\"]",
        &[
            |asked| asked.roles = vec![name("engineer")],
            |asked| asked.roles = Vec::new(),
        ],
    );
}

#[test]
fn a_user_is_one_of_its_tenant() {
    only_without(
        "users = [\"research#alice\", \"sales#bob\"]",
        &[
            |asked| asked.user = Some(name("bob")),
            |asked| asked.tenant = name("sales"),
            |asked| asked.user = None,
        ],
    );
}

#[test]
fn a_condition_on_the_request_matches_its_values_only() {
    only_without(
        "models = [\"llama-*\", \"mistral\"]",
        &[
            |asked| asked.model = name("xllama-70b"),
            |asked| asked.model = name("mistral-7b"),
        ],
    );
    only_without(
        "endpoints = [\"chat\", \"completions\"]",
        &[|asked| asked.endpoint = Endpoint::Embeddings],
    );
    only_without(
        "retention = [\"zero\", \"metadata\"]",
        &[|asked| asked.retention = RetentionMode::Content],
    );
}

#[test]
fn a_condition_on_the_upstream_matches_its_values_only() {
    only_without(
        "classes = [\"verified\"]",
        &[
            |asked| asked.candidate.class = Class::Local,
            |asked| asked.candidate.class = Class::Unverified,
        ],
    );
    only_without(
        "regions = [\"eu-west\", \"eu-north\"]",
        &[
            |asked| asked.candidate = candidate(Class::Verified, Some("us-east")),
            |asked| asked.candidate = candidate(Class::Verified, None),
        ],
    );
}

#[test]
fn a_condition_on_the_time_matches_within_it_only() {
    only_without(
        "hours = \"08:00-18:00\"\ndays = [\"mon\", \"tue\"]\noffset = \"+01:00\"",
        &[
            |asked| asked.at = at("2026-12-01T06:59:59Z"),
            |asked| asked.at = at("2026-12-01T17:00:00Z"),
            |asked| asked.at = at("2026-12-02T10:00:00Z"),
        ],
    );
    only_without(
        "days = [\"tue\"]",
        &[|asked| asked.at = at("2026-12-02T00:00:00Z")],
    );
}

#[test]
fn all_conditions_of_a_rule_must_match() {
    only_without(
        "tenants = [\"research\"]\nmodels = [\"llama-*\"]",
        &[
            |asked| asked.tenant = name("legal"),
            |asked| asked.model = name("mistral"),
        ],
    );
}

#[test]
fn a_rule_without_conditions_matches_everything() {
    let all = policy("[[rule]]\ncode = \"all\"\neffect = \"allow\"\n");
    assert_eq!(Asked::default().decided_by(&all), allowed("all"));
    let none = policy("[[rule]]\ncode = \"none\"\neffect = \"deny\"\n");
    assert_eq!(Asked::default().decided_by(&none), denied("none"));
}

#[test]
fn what_denies_wins_in_any_order() {
    let deny = "[[rule]]\ncode = \"no\"\neffect = \"deny\"\ntenants = [\"research\"]\n";
    let allow = "[[rule]]\ncode = \"yes\"\neffect = \"allow\"\n";
    for rules in [format!("{deny}{allow}"), format!("{allow}{deny}")] {
        let policy = policy(&rules);
        let mut asked = Asked::default();
        assert_eq!(asked.decided_by(&policy), denied("no"), "{rules}");
        asked.tenant = name("legal");
        assert_eq!(asked.decided_by(&policy), allowed("yes"), "{rules}");
    }
}

#[test]
fn the_first_rule_that_matches_is_reported() {
    let policy = policy(
        "[[rule]]\ncode = \"first\"\neffect = \"allow\"\n\
         [[rule]]\ncode = \"second\"\neffect = \"allow\"\n\
         [[rule]]\ncode = \"third\"\neffect = \"deny\"\nmodels = [\"mistral\"]\n\
         [[rule]]\ncode = \"fourth\"\neffect = \"deny\"\nmodels = [\"mistral\"]\n",
    );
    let mut asked = Asked::default();
    assert_eq!(asked.decided_by(&policy), allowed("first"));
    asked.model = name("mistral");
    assert_eq!(asked.decided_by(&policy), denied("third"));
}
