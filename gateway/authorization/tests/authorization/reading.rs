//! What is wrong with policies, by line.

use proptest::prelude::*;

use gateway_authorization::{MAX_RULES, Policy};

const GOOD: &str = "name = \"test\"
version = 3

[[rule]]
code = \"office_hours\"
effect = \"allow\"
organisations = [\"acme\"]
tenants = [\"research\"]
users = [\"research#alice\"]
keys = [\"00112233aabb\"]
roles = [\"engineer\"]
models = [\"llama-*\"]
endpoints = [\"chat\"]
retention = [\"zero\"]
classes = [\"verified\"]
regions = [\"eu-west\"]
hours = \"08:00-18:00\"
days = [\"mon\"]
offset = \"+01:00\"

[[example]]
name = \"monday\"
organisation = \"acme\"
tenant = \"research\"
user = \"alice\"
key = \"00112233aabb\"
roles = [\"engineer\"]
model = \"llama-70b\"
endpoint = \"chat\"
retention = \"zero\"
class = \"verified\"
region = \"eu-west\"
at = \"2026-11-30T10:00:00Z\"
expect = \"allow\"
code = \"office_hours\"
";

/// Every problem as `LINE: TEXT`.
fn problems(text: &str) -> Vec<String> {
    match Policy::parse_and_try(text) {
        Ok(_) => Vec::new(),
        Err(invalid) => invalid.to_string().lines().map(str::to_owned).collect(),
    }
}

#[test]
fn a_policy_with_every_key_is_read() {
    let policy = Policy::parse_and_try(GOOD).expect("a policy");
    assert_eq!((policy.name.as_str(), policy.version), ("test", 3));
    assert_eq!((policy.rules.len(), policy.examples.len()), (1, 1));
}

#[test]
fn each_wrong_value_is_reported_with_line_and_key() {
    for (right, wrong, expected) in [
        (
            "version = 3",
            "version = 0",
            "2: version must be a whole number from 1",
        ),
        (
            "version = 3",
            "version = \"3\"",
            "2: version must be a whole number from 1",
        ),
        (
            "office_hours\"\neffect",
            "Office\"\neffect",
            "5: rule[1].code: \"Office\" must be 1 to 64",
        ),
        (
            "office_hours\"\neffect",
            "1st\"\neffect",
            "5: rule[1].code: \"1st\" must be",
        ),
        (
            "office_hours\"\neffect",
            "no-rule-matched\"\neffect",
            "5: rule[1].code: \"no-rule-matched\" is the code",
        ),
        (
            "\"allow\"\norg",
            "\"permit\"\norg",
            "6: rule[1].effect: \"permit\" is unknown; known are allow, deny",
        ),
        (
            "[\"acme\"]",
            "\"acme\"",
            "7: rule[1].organisations must be a list of strings, not of the type string",
        ),
        (
            "tenants = [\"research\"]",
            "tenants = []",
            "8: rule[1].tenants is an empty list",
        ),
        (
            "tenants = [\"research\"]",
            "tenants = [\"a b\"]",
            "8: rule[1].tenants: \"a b\" contains ' '",
        ),
        (
            "tenants = [\"research\"]",
            "tenants = [1]",
            "8: rule[1].tenants must be a string, not of the type integer",
        ),
        (
            "research#alice",
            "alice",
            "9: rule[1].users: \"alice\" is not TENANT#NAME",
        ),
        (
            "keys = [\"00112233aabb\"]",
            "keys = [\"0011\"]",
            "10: rule[1].keys: \"0011\" is not the id of a key",
        ),
        (
            "keys = [\"00112233aabb\"]",
            "keys = [\"jwt-0011\"]",
            "10: rule[1].keys: \"jwt-0011\" is not the id",
        ),
        (
            "llama-*",
            "llama *",
            "12: rule[1].models: \"llama *\" contains ' '",
        ),
        (
            "endpoints = [\"chat\"]",
            "endpoints = [\"chats\"]",
            "13: rule[1].endpoints: \"chats\" is unknown; did you mean \"chat\"?",
        ),
        (
            "retention = [\"zero\"]",
            "retention = [\"none\"]",
            "14: rule[1].retention: \"none\" is unknown",
        ),
        (
            "classes = [\"verified\"]",
            "classes = [\"tdx\"]",
            "15: rule[1].classes: \"tdx\" is unknown; known are verified, local, unverified",
        ),
        (
            "08:00-18:00",
            "8-18",
            "17: rule[1].hours: \"8-18\" is not of the form",
        ),
        (
            "days = [\"mon\"]",
            "days = [\"monday\"]",
            "18: rule[1].days: \"monday\" is unknown",
        ),
        (
            "+01:00",
            "CET",
            "19: rule[1].offset: \"CET\" is not \"UTC\" or an offset",
        ),
        (
            "2026-11-30T10:00:00Z",
            "2026-11-30",
            "33: example[1].at: \"2026-11-30\" is not a time",
        ),
        (
            "expect = ",
            "expected = ",
            "34: example[1].expected is not a key here; did you mean \"expect\"?",
        ),
        (
            "regions = ",
            "region = ",
            "16: rule[1].region is not a key here; did you mean \"regions\"?",
        ),
    ] {
        let text = GOOD.replace(right, wrong);
        assert_ne!(text, GOOD, "{right}");
        let found = problems(&text);
        assert!(
            found.iter().any(|problem| problem.starts_with(expected)),
            "{wrong}: {found:#?}"
        );
    }
}

#[test]
fn everything_that_is_wrong_is_reported_in_the_order_of_the_file() {
    let text = "name = \"test\"\nversions = 1\n[[rule]]\ncode = \"a\"\neffect = \"allow\"\nmodel = [\"x\"]\n\
        [[rule]]\ncode = \"a\"\noffset = \"+01:00\"\n[[example]]\ntenant = \"t\"\n";
    let found = problems(text);
    let begins: Vec<&str> = found
        .iter()
        .map(|line| line.split(';').next().unwrap_or_default())
        .collect();
    assert_eq!(
        begins,
        [
            "1: version is missing",
            "2: versions is not a key here",
            "6: rule[1].model is not a key here",
            "7: rule[2].effect is missing",
            "8: rule[2].code: the rule in line 4 has the code \"a\" already",
            "9: rule[2].offset has no effect without hours or days",
            "10: example[1].model is missing",
            "10: example[1].expect is missing",
        ]
    );
}

#[test]
fn an_example_without_time_is_refused_where_a_rule_depends_on_it() {
    let text = GOOD.replace("at = \"2026-11-30T10:00:00Z\"\n", "");
    assert_eq!(
        problems(&text),
        ["21: example[1].at is missing: a rule depends on the time"]
    );
}

#[test]
fn a_policy_without_rules_or_with_too_many_is_refused() {
    let head = "name = \"test\"\nversion = 1\n";
    assert_eq!(
        problems(head),
        ["1: there is no [[rule]]: the policy would allow nothing"]
    );
    let rule = |number: usize| format!("[[rule]]\ncode = \"r{number}\"\neffect = \"allow\"\n");
    let most: String = (0..MAX_RULES).map(rule).collect();
    assert!(Policy::parse(&format!("{head}{most}")).is_ok());
    let more = format!("{head}{most}{}", rule(MAX_RULES));
    assert_eq!(problems(&more).len(), 1, "{:?}", problems(&more));
    assert!(problems(&more)[0].ends_with("there are more than 512 rules"));
}

#[test]
fn errors_of_the_syntax_have_their_lines() {
    let found = problems("name = \"test\"\nversion = \n");
    assert!(found[0].starts_with("2: is not TOML: "), "{found:?}");
    let large = format!("name = \"{}\"", "x".repeat(1 << 20));
    assert_eq!(
        problems(&large),
        ["1: the policy is larger than 1048576 bytes"]
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC*") {
        let _ = Policy::parse_and_try(&text);
    }

    #[test]
    fn no_change_of_a_policy_makes_the_reader_panic(
        changes in prop::collection::vec((0..GOOD.len(), any::<u8>()), 1..6),
        cut in 0..GOOD.len(),
    ) {
        let mut bytes = GOOD.as_bytes().to_vec();
        for (place, byte) in changes {
            bytes[place] = byte;
        }
        let _ = Policy::parse_and_try(&String::from_utf8_lossy(&bytes));
        let _ = Policy::parse_and_try(&String::from_utf8_lossy(&bytes[cut..]));
        let _ = Policy::parse_and_try(&GOOD[..cut]);
    }
}
