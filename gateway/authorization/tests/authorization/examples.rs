//! Examples within policies.

use gateway_authorization::{Effect, Policy, PolicyError};

use super::support::{name, policy};

const RULES: &str = "[[rule]]
code = \"engineers\"
effect = \"allow\"
roles = [\"engineer\"]
hours = \"08:00-18:00\"
";

#[test]
fn an_example_states_effect_and_code() {
    let tried = |example: &str| {
        let policy = policy(&format!(
            "{RULES}[[example]]\ntenant = \"research\"\nmodel = \"llama\"\n{example}"
        ));
        let failures = policy.failing_examples();
        failures
            .into_iter()
            .map(|failure| (failure.line, failure.problem.to_string()))
            .collect::<Vec<_>>()
    };
    let within = "roles = [\"engineer\"]\nat = \"2026-12-01T10:00:00Z\"\n";
    let after = "roles = [\"engineer\"]\nat = \"2026-12-01T20:00:00Z\"\n";
    assert_eq!(tried(&format!("{within}expect = \"allow\"\n")), []);
    assert_eq!(
        tried(&format!(
            "{within}expect = \"allow\"\ncode = \"engineers\"\n"
        )),
        []
    );
    assert_eq!(
        tried(&format!(
            "{after}expect = \"deny\"\ncode = \"no-rule-matched\"\n"
        )),
        []
    );
    assert_eq!(
        tried(&format!("{after}expect = \"allow\"\nname = \"in-the-evening\"\n")),
        [(
            8,
            "example 1 (in-the-evening): expected allow, and the decision is deny by no-rule-matched"
                .to_owned()
        )]
    );
    assert_eq!(
        tried(&format!("{within}expect = \"allow\"\ncode = \"others\"\n")),
        [(
            8,
            "example 1: expected allow by others, and the decision is allow by engineers"
                .to_owned()
        )]
    );
}

#[test]
fn a_policy_with_a_failing_example_cannot_be_used() {
    let text = "name = \"test\"\nversion = 1\n[[rule]]\ncode = \"a\"\neffect = \"allow\"\n\
        [[example]]\ntenant = \"t\"\nmodel = \"m\"\nexpect = \"deny\"\n";
    assert!(Policy::parse(text).is_ok());
    let invalid = Policy::parse_and_try(text).expect_err("an example fails");
    let [problem] = invalid.problems() else {
        panic!("{invalid}")
    };
    assert_eq!(problem.line, 6);
    let PolicyError::Example(failure) = &problem.problem else {
        panic!("{invalid}")
    };
    assert_eq!(
        (failure.number, &failure.expected, &failure.found),
        (1, &(Effect::Deny, None), &(Effect::Allow, "a".to_owned()))
    );
}

#[test]
fn an_example_is_one_upstream_with_its_class_and_region() {
    let policy = policy(
        "[[rule]]\ncode = \"eu\"\neffect = \"allow\"\nclasses = [\"verified\"]\nregions = [\"eu\"]\n\
         [[example]]\ntenant = \"t\"\nmodel = \"m\"\nregion = \"eu\"\nexpect = \"allow\"\n\
         [[example]]\ntenant = \"t\"\nmodel = \"m\"\nexpect = \"deny\"\n\
         [[example]]\ntenant = \"t\"\nmodel = \"m\"\nregion = \"eu\"\nclass = \"unverified\"\nexpect = \"deny\"\n",
    );
    assert_eq!(policy.failing_examples(), []);
    assert_eq!(policy.examples[0].candidate.region, Some(name("eu")));
}
