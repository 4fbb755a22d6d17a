//! A compiled policy decides as the rules do one by one, and its decisions restrict which upstreams may serve.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::support::{Asked, candidate, model, name, policy};
use attest_core::UnixTime;
use attest_core::retention::RetentionMode;
use gateway_authorization::{Authorization, Candidate, Class, Effect, Policy, ServedModel};
use gateway_base::request::{Endpoint, Name};

/// The code of the decision if every upstream is usable, and the upstreams that may serve.
fn decided(authorization: &Authorization, asked: &Asked, usable: &[usize]) -> (String, Vec<bool>) {
    let request = asked.request();
    match authorization.decide(&request, |place| usable.contains(&place)) {
        Err(denied) => (denied.code.to_string(), Vec::new()),
        Ok(permit) => {
            let code = permit.code().expect("there is a policy").to_string();
            let may_serve = (0..2).map(|place| {
                let served = authorization.may_serve(&permit, place);
                served.is_ok()
            });
            (code, may_serve.collect())
        }
    }
}

#[test]
fn a_rule_on_the_region_restricts_which_upstreams_may_serve() {
    let policy = policy(
        "[[rule]]\ncode = \"anywhere\"\neffect = \"allow\"\n\
         [[rule]]\ncode = \"not-us\"\neffect = \"deny\"\nregions = [\"us\"]\n\
         [[rule]]\ncode = \"not-eu\"\neffect = \"deny\"\nregions = [\"eu\"]\ntenants = [\"legal\"]\n",
    );
    let upstreams = [
        candidate(Class::Verified, Some("us")),
        candidate(Class::Verified, Some("eu")),
    ];
    let served = [model(&["llama-70b"], &upstreams)];
    let authorization = Authorization::new(&policy, &served);
    let mut asked = Asked::default();
    let eu_only = ("anywhere".to_owned(), vec![false, true]);
    assert_eq!(decided(&authorization, &asked, &[0, 1]), eu_only);
    // The other upstream cannot be used for another reason: then it does not count.
    let refused = ("not-us".to_owned(), Vec::new());
    assert_eq!(decided(&authorization, &asked, &[0]), refused);
    assert_eq!(decided(&authorization, &asked, &[]), eu_only);
    asked.tenant = name("legal");
    assert_eq!(decided(&authorization, &asked, &[0, 1]), refused);
    let not_eu = ("not-eu".to_owned(), Vec::new());
    assert_eq!(decided(&authorization, &asked, &[1]), not_eu);
}

#[test]
fn a_rule_on_the_class_is_no_rule_for_other_classes() {
    let policy =
        policy("[[rule]]\ncode = \"sealed\"\neffect = \"allow\"\nclasses = [\"verified\"]\n");
    let plain = [model(&["llama-70b"], &[candidate(Class::Unverified, None)])];
    let authorization = Authorization::new(&policy, &plain);
    let refused = ("no-rule-matched".to_owned(), Vec::new());
    assert_eq!(decided(&authorization, &Asked::default(), &[0]), refused);
}

#[test]
fn a_pattern_matches_a_model_by_any_of_its_names() {
    let policy = policy(
        "[[rule]]\ncode = \"all\"\neffect = \"allow\"\n\
         [[rule]]\ncode = \"not-large\"\neffect = \"deny\"\nmodels = [\"large-*\"]\n",
    );
    let upstreams = [candidate(Class::Verified, None)];
    let served = [model(&["llama-70b", "large-llama"], &upstreams)];
    let authorization = Authorization::new(&policy, &served);
    let decision = decided(&authorization, &Asked::default(), &[0]);
    assert_eq!(decision, ("not-large".to_owned(), Vec::new()));
}

#[test]
fn a_model_that_is_not_configured_is_not_allowed() {
    let policy = policy("[[rule]]\ncode = \"all\"\neffect = \"allow\"\n");
    let authorization = Authorization::new(&policy, &[]);
    let decision = decided(&authorization, &Asked::default(), &[0]);
    assert_eq!(decision, ("no-rule-matched".to_owned(), Vec::new()));
}

/// A line of a rule: a condition with some of these values, or none.
fn condition(key: &'static str, values: &'static [&'static str]) -> impl Strategy<Value = String> {
    let some = subsequence(values, 1..=values.len());
    prop::option::weighted(0.35, some).prop_map(move |some| match some {
        Some(values) => format!("{key} = {values:?}\n"),
        None => String::new(),
    })
}

fn rule() -> impl Strategy<Value = String> {
    let caller = (
        condition("organisations", &["o1", "o2"]),
        condition("tenants", &["t1", "t2"]),
        condition("users", &["t1#u1", "t1#u2", "t2#u1"]),
        condition("keys", &["000000000001", "jwt-0000000000000002"]),
        condition("roles", &["r1", "r2"]),
    );
    let request = (
        condition("models", &["m1", "m*", "alias-?", "alias-*"]),
        condition("endpoints", &["chat", "completions", "embeddings"]),
        condition("retention", &["zero", "metadata", "content"]),
        condition("classes", &["verified", "local", "unverified"]),
        condition("regions", &["eu", "us"]),
        condition("days", &["mon", "wed", "sun"]),
    );
    let hours = select(vec![
        "",
        "",
        "hours = \"22:00-06:00\"\n",
        "hours = \"08:00-18:00\"\n",
    ]);
    let effect = select(vec!["allow", "allow", "deny"]);
    (effect, caller, request, hours).prop_map(|(effect, caller, request, hours)| {
        let (organisations, tenants, users, keys, roles) = caller;
        let (models, endpoints, retention, classes, regions, days) = request;
        let models = models.replace("alias-?", "alias-1");
        format!(
            "effect = {effect:?}\n{organisations}{tenants}{users}{keys}{roles}{models}{endpoints}{retention}{classes}{regions}{days}{hours}"
        )
    })
}

fn written(rules: &[String]) -> String {
    let rules = rules.iter().enumerate();
    rules
        .map(|(number, rule)| format!("[[rule]]\ncode = \"r{number}\"\n{rule}"))
        .collect()
}

fn upstream() -> impl Strategy<Value = Candidate> {
    let class = select(Class::ALL.to_vec());
    let region = select(vec![None, Some("eu"), Some("us")]);
    (class, region).prop_map(|(class, region)| candidate(class, region))
}

fn asked() -> impl Strategy<Value = Asked> {
    let maybe = |values: [&'static str; 2]| {
        let [a, b] = values;
        select(vec![None, Some(name(a)), Some(name(b))])
    };
    let caller = (
        maybe(["o1", "o2"]),
        select(vec![name("t1"), name("t2"), name("t3")]),
        maybe(["u1", "u2"]),
        select(vec!["000000000001", "jwt-0000000000000002", "000000000003"]),
        subsequence(vec![name("r1"), name("r2"), name("r3")], 0..=3),
    );
    let request = (
        select(vec![name("m1"), name("m2")]),
        select(Endpoint::ALL.to_vec()),
        select(RetentionMode::ALL.to_vec()),
        0u64..2_000_000,
    );
    (caller, request).prop_map(|(caller, request)| Asked {
        organisation: caller.0,
        tenant: caller.1,
        user: caller.2,
        key: caller.3.to_owned(),
        roles: caller.4,
        model: request.0,
        endpoint: request.1,
        retention: request.2,
        at: UnixTime::from_secs(1_790_000_000 + request.3),
        candidate: candidate(Class::Verified, None),
    })
}

fn two_models(upstreams: &[Candidate]) -> [ServedModel; 2] {
    [
        model(&["m1"], upstreams),
        model(&["m2", "alias-1"], upstreams),
    ]
}

fn names_of<'m>(models: &'m [ServedModel], id: &Name) -> &'m [Name] {
    let model = models.iter().find(|model| model.names.first() == Some(id));
    model.map_or(&[], |model| &model.names)
}

/// The decision about one upstream alone, by the compiled policy.
fn compiled(
    policy: &Policy,
    models: &[ServedModel],
    asked: &Asked,
    place: usize,
) -> (Effect, String) {
    let authorization = Authorization::new(policy, models);
    match authorization.decide(&asked.request(), |usable| usable == place) {
        Ok(permit) => {
            let served = authorization.may_serve(&permit, place);
            assert_eq!(served, Ok(()));
            let code = permit.code().expect("there is a policy");
            (Effect::Allow, code.to_string())
        }
        Err(denied) => (Effect::Deny, denied.code.to_string()),
    }
}

proptest! {
    #[test]
    fn a_compiled_policy_decides_as_its_rules_do_one_by_one(
        rules in prop::collection::vec(rule(), 1..80),
        upstreams in prop::collection::vec(upstream(), 1..4),
        asked in prop::collection::vec(asked(), 20),
    ) {
        let policy = policy(&written(&rules));
        let models = two_models(&upstreams);
        for asked in &asked {
            for (place, upstream) in upstreams.iter().enumerate() {
                let names = names_of(&models, &asked.model);
                let (effect, rule) = policy.decide(&asked.request(), names, upstream);
                let code = rule.map_or("no-rule-matched", |rule| rule.code.as_str());
                let expected = (effect, code.to_owned());
                prop_assert_eq!(compiled(&policy, &models, asked, place), expected);
            }
        }
    }

    #[test]
    fn another_rule_that_denies_never_allows_more(
        rules in prop::collection::vec(rule(), 1..20),
        denying in rule(),
        place in any::<prop::sample::Index>(),
        upstreams in prop::collection::vec(upstream(), 1..3),
        asked in prop::collection::vec(asked(), 20),
    ) {
        let before = policy(&written(&rules));
        let mut more = rules.clone();
        let denying = denying.replace("effect = \"allow\"", "effect = \"deny\"");
        more.insert(place.index(rules.len() + 1), denying);
        let after = policy(&written(&more));
        let models = two_models(&upstreams);
        for asked in &asked {
            for place in 0..upstreams.len() {
                if compiled(&after, &models, asked, place).0 == Effect::Allow {
                    let before = compiled(&before, &models, asked, place).0;
                    prop_assert_eq!(before, Effect::Allow);
                }
            }
        }
    }
}
