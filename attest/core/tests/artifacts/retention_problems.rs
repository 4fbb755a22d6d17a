//! Everything that is wrong with a retention policy is reported at once, each problem with its line.

use attest_core::retention::{PublishedPolicy, RetentionPolicy};

fn problems(text: &str) -> Vec<String> {
    let invalid = RetentionPolicy::from_toml(text).expect_err("refused");
    let problems = invalid.problems().iter();
    problems.map(ToString::to_string).collect()
}

#[test]
fn reports_problems_of_every_part_in_the_order_of_the_lines() {
    let text = r#"formt = "sealgate/retention/1"
epoch = 2
salt = "00"
description = 5

[default]
mode = "metadta"

[[rule]]
tenants = []
models = ["a", "a"]
mode = "zero"
ttl = "1d"
recipients = []

[[rule]]
tenants = ["clinic"]
mode = "content"
ttl = "1w"
fields = ["key", "kee", "key"]
recipients = ["age1", "bob"]
deletion = "tenant"
"#;
    let found = problems(text);
    let starts = [
        "line 1: unknown field `formt`, did you mean `format`?",
        "line 2: the policy of epoch 2 must name its predecessor",
        "line 3: the salt is not 64",
        "line 4: description must be a string",
        "line 7: default.mode: \"metadta\" is unknown, did you mean `metadata`?",
        "line 10: rule 1: tenants must list 1 to 256",
        "line 11: rule 1: models must list 1 to 256",
        "line 13: rule 1: mode \"zero\" keeps nothing, so ttl has no meaning",
        "line 14: rule 1: mode \"zero\" keeps nothing, so recipients has no meaning",
        "line 19: rule 2: mode \"content\" has the ttl \"1w\"",
        "line 20: rule.fields: \"kee\" is unknown, did you mean `key`?",
        "line 20: rule 2: mode \"content\" names the field \"key\" twice",
        "line 21: rule 2: mode \"content\" recipient 1: ",
        "line 21: rule 2: mode \"content\" recipient 2: ",
        "line 22: rule.deletion: \"tenant\" is unknown, expected one of `operator`, `caller`",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (found, start) in found.iter().zip(starts) {
        assert!(found.starts_with(start), "{found}");
    }
}

#[test]
fn reports_what_is_missing_and_every_error_of_the_syntax() {
    assert_eq!(
        problems("description = \"x\"\n"),
        [
            "line 1: format is missing",
            "line 1: epoch is missing",
            "line 1: default is missing"
        ]
    );
    assert_eq!(
        problems("format = \"sealgate/retention/1\"\nepoch = -1\n[default]\nttl = \"1d\"\n"),
        [
            "line 2: epoch must be from 0 to 18446744073709551615",
            "line 3: default.mode is missing"
        ]
    );
    let syntax = problems("epoch = \n[default]\nmode = = 2\n");
    assert!(syntax.len() >= 2, "{syntax:?}");
    assert!(syntax[0].starts_with("line 1: "), "{syntax:?}");
}

#[test]
fn a_policy_without_a_salt_has_its_other_problems_reported_too() {
    let text = "format = \"sealgate/retention/2\"\nepoch = 1\n[default]\nmode = \"zero\"\n\
                [[rule]]\ntenants = [\"clinic\"]\nmode = \"metadata\"\n";
    let found = problems(text);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("line 1: rules name tenants or recipients"));
    assert_eq!(found[1], "line 7: rule 1: mode \"metadata\" needs a ttl");
}

#[test]
fn the_published_form_has_all_its_problems_reported_without_lines() {
    let text = r#"{"default":{"mode":"zero"},"epoch":0,"format":"sealgate/retention/1","predecessor":"x","rule":[{"mode":"metadata"}]}"#;
    let invalid = PublishedPolicy::parse(text).expect_err("refused");
    let found: Vec<_> = invalid.problems().iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("predecessor: "));
    assert!(found[1].starts_with("the epoch is 0"));
    assert_eq!(found[2], "rule 1: mode \"metadata\" needs a ttl");
    assert!(invalid.problems().iter().all(|it| it.line.is_none()));
}
