//! Format 2 of retention policies: names that the published form hides, and what opens them.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::{collection, sample};

use attest_core::retention::{
    ActivePolicy, Authority, ChainLink, Format, PolicyKeys, PolicySignatures, PublishedName,
    PublishedPolicy, RetentionError, RetentionMode, RetentionPolicy, SaltError, Unopened,
};
use attest_core::{SigningKey, to_hex};

const RECIPIENTS: [&str; 3] = [
    "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj",
    "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa",
    "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
];
const SALT: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const DEFAULT: &str = "[default]\nmode = \"metadata\"\nttl = \"30d\"\n";

fn text(head: &str, rules: &str) -> String {
    format!("format = \"sealgate/retention/2\"\nepoch = 1\n{head}{DEFAULT}{rules}")
}

fn salted(rules: &str) -> RetentionPolicy {
    let text = text(&format!("salt = \"{SALT}\"\n"), rules);
    RetentionPolicy::from_toml(&text).expect("a policy")
}

/// Everything that is wrong with what an operator wrote.
fn problems(text: &str) -> Vec<(Option<usize>, RetentionError)> {
    let invalid = RetentionPolicy::from_toml(text).expect_err("refused");
    let problems = invalid.problems().iter();
    problems.map(|it| (it.line, it.error.clone())).collect()
}

fn clinic() -> RetentionPolicy {
    salted("[[rule]]\ntenants = [\"clinic\", \"lab\"]\nmode = \"zero\"\n")
}

fn content(tenant: &str, recipients: &[&str]) -> String {
    format!(
        "[[rule]]\ntenants = [\"{tenant}\"]\nmode = \"content\"\nttl = \"365d\"\nrecipients = {recipients:?}\n"
    )
}

#[test]
fn the_published_form_is_read_back_and_keeps_its_digest() {
    let policy = clinic();
    let published = PublishedPolicy::parse(policy.published().text()).expect("a policy");
    assert_eq!(&published, policy.published());
    assert_eq!(published.digest(), policy.digest());
    assert_eq!(published.format(), Format::Two);
    let stored = RetentionPolicy::from_stored(&policy.stored_text()).expect("a policy");
    assert_eq!(stored, policy);
    assert!(!policy.publishes_names());
}

#[test]
fn a_policy_with_names_needs_a_salt_and_one_without_names_does_not() {
    let rules = "[[rule]]\ntenants = [\"clinic\"]\nmode = \"zero\"\n";
    assert_eq!(
        problems(&text("", rules)),
        [(Some(1), RetentionError::SaltMissing)]
    );
    let moved = text("", rules).replacen("format", "# why\n\nformat", 1);
    assert_eq!(problems(&moved), [(Some(3), RetentionError::SaltMissing)]);
    let without = RetentionPolicy::from_toml(&text(
        "",
        "[[rule]]\nmodels = [\"small\"]\nmode = \"zero\"\n",
    ));
    let without = without.expect("a policy");
    assert_eq!(without.stored_text(), without.published().text());
    assert_eq!(without.tenant_opening("clinic"), None);
    let one = text("", rules).replace("retention/2", "retention/1");
    let one = RetentionPolicy::from_toml(&one).expect("a policy");
    assert!(one.publishes_names());
    assert_eq!(one.stored_text(), one.published().text());
    let one = text(&format!("salt = \"{SALT}\"\n"), rules).replace("retention/2", "retention/1");
    assert_eq!(problems(&one), [(Some(3), RetentionError::SaltInFormatOne)]);
}

#[test]
fn a_salt_that_can_be_guessed_or_does_not_read_is_refused() {
    let salt = |salt: &str| {
        let head = format!("salt = \"{salt}\"\n");
        match &problems(&text(&head, ""))[..] {
            [(Some(3), RetentionError::Salt(error))] => error.clone(),
            other => panic!("{salt}: {other:?}"),
        }
    };
    assert_eq!(salt(&"00".repeat(32)), SaltError::Repeated);
    assert_eq!(salt(&"a7".repeat(32)), SaltError::Repeated);
    for bad in ["", "0001", &SALT.to_uppercase(), &SALT.repeat(2)] {
        assert!(matches!(salt(bad), SaltError::Hex(_)), "{bad}");
    }
}

#[test]
fn neither_form_is_read_as_the_other() {
    let policy = clinic();
    assert_eq!(
        RetentionPolicy::from_stored(policy.published().text()),
        Err(RetentionError::NamesMissing.into())
    );
    assert_eq!(
        PublishedPolicy::parse(&policy.stored_text()),
        Err(RetentionError::NotPublished.into())
    );
}

#[test]
fn a_published_form_that_no_service_writes_is_refused() {
    let policy = salted(&format!(
        "{}{}",
        content("bank", &RECIPIENTS[..2]),
        "[[rule]]\ntenants = [\"clinic\", \"lab\"]\nmode = \"zero\"\n"
    ));
    let published = policy.published();
    let text = published.text();
    let refused = |text: &str| {
        let invalid = PublishedPolicy::parse(text).expect_err("refused");
        invalid.problems()[0].error.clone()
    };
    let zero = published.rules().iter().find(|rule| {
        rule.terms.mode() == RetentionMode::Zero
            && rule.tenants.as_ref().is_some_and(|list| list.len() == 2)
    });
    let names: Vec<String> = zero
        .and_then(|rule| rule.tenants.as_deref())
        .expect("two tenants")
        .iter()
        .map(|name| match name {
            PublishedName::Commitment(commitment) => commitment.digest().to_string(),
            PublishedName::Plain(name) => panic!("{name} is published"),
        })
        .collect();
    let list = |names: [&str; 2]| format!("[\"{}\",\"{}\"]", names[0], names[1]);
    let [one, other] = [names[0].as_str(), names[1].as_str()];
    let changed = |names| text.replace(&list([one, other]), &list(names));
    assert_eq!(changed([one, other]), text);
    assert_eq!(
        refused(&changed([other, one])),
        RetentionError::NotCanonical
    );
    let commitments = |text: &str| matches!(refused(text), RetentionError::Commitments { .. });
    assert!(commitments(&changed([one, one])));
    assert!(commitments(&changed([one, "clinic"])));
    assert!(commitments(&changed([one, &other.to_uppercase()])));
    let recipient = published
        .rules()
        .iter()
        .find_map(|rule| rule.terms.recipients().first());
    let PublishedName::Commitment(recipient) = recipient.expect("a recipient") else {
        panic!("a recipient is published")
    };
    let named = text.replace(&recipient.digest().to_string(), RECIPIENTS[0]);
    assert!(matches!(refused(&named), RetentionError::Terms { .. }));
}

#[test]
fn a_tenant_finds_its_rules_with_its_own_opening_only() {
    let policy = salted(&format!(
        "[[rule]]\ntenants = [\"clinic\"]\nmode = \"zero\"\n{}",
        content("bank", &RECIPIENTS[..1])
    ));
    let published = PublishedPolicy::parse(policy.published().text()).expect("a policy");
    let salt = |tenant: &str| policy.tenant_opening(tenant).expect("a salt").tenant.salt;
    let clinic = published
        .tenant("clinic", Some(&salt("clinic")))
        .expect("opens");
    assert_eq!(published.most_for(&clinic, None), RetentionMode::Zero);
    let bank = published
        .tenant("bank", Some(&salt("bank")))
        .expect("opens");
    assert_eq!(published.most_for(&bank, None), RetentionMode::Content);
    assert_eq!(published.tenant("clinic", None), Err(Unopened::NoOpening));
    for (tenant, salt) in [
        ("clinic", salt("bank")),
        ("Clinic", salt("clinic")),
        ("other", salt("other")),
        ("clinic", [0; 32]),
    ] {
        assert_eq!(
            published.tenant(tenant, Some(&salt)),
            Err(Unopened::NoMatch)
        );
    }
}

#[test]
fn where_no_rule_names_a_tenant_nothing_has_to_be_opened() {
    let policy = salted("[[rule]]\nmodels = [\"small\"]\nmode = \"zero\"\n");
    let published = policy.published();
    let clinic = published.tenant("clinic", None).expect("nothing to open");
    assert_eq!(
        published.most_for(&clinic, Some("small")),
        RetentionMode::Zero
    );
    assert_eq!(published.most_for(&clinic, None), RetentionMode::Metadata);
}

#[test]
fn an_opening_has_the_recipients_of_the_tenants_own_rules() {
    let policy = salted(&format!(
        "{}{}",
        content("bank", &RECIPIENTS[..2]),
        content("fund", &RECIPIENTS[2..])
    ));
    let recipients = |tenant: &str| -> BTreeSet<String> {
        let opening = policy.tenant_opening(tenant).expect("a salt");
        opening.recipients.into_iter().map(|one| one.name).collect()
    };
    assert_eq!(
        recipients("bank"),
        RECIPIENTS[..2].iter().map(|it| it.to_string()).collect()
    );
    assert_eq!(recipients("fund"), [RECIPIENTS[2].to_owned()].into());
    assert!(recipients("clinic").is_empty());
    assert!(!policy.tenant_opening("clinic").expect("a salt").named);
    for opening in policy.tenant_opening("bank").expect("a salt").recipients {
        let commitment = opening.commitment().digest().to_string();
        assert!(policy.published().text().contains(&commitment));
    }
}

#[test]
fn a_chain_moves_from_format_one_to_format_two_and_is_restored_with_its_openings() {
    let key = SigningKey::from_seed("policy", &[1; 32]).expect("a key");
    let hex = to_hex(key.verifying_key().as_bytes());
    let authority = Authority::Keys(PolicyKeys::new(&[hex], 1).expect("keys"));
    let rules = "[[rule]]\ntenants = [\"clinic\"]\nmode = \"zero\"\n";
    let first = text("", rules).replace("retention/2", "retention/1");
    let first = RetentionPolicy::from_toml(&first).expect("a policy");
    let mut chain = vec![first];
    for epoch in 2..4 {
        let predecessor = chain.last().expect("one").digest();
        let head = format!("salt = \"{SALT}\"\npredecessor = \"{predecessor}\"\n");
        let next = text(&head, rules).replace("epoch = 1", &format!("epoch = {epoch}"));
        chain.push(RetentionPolicy::from_toml(&next).expect("a policy"));
    }
    let stored: Vec<_> = chain
        .iter()
        .map(|policy| {
            let mut signatures = PolicySignatures::default();
            signatures.sign(policy.digest(), &key);
            (policy.stored_text(), signatures.to_string())
        })
        .collect();
    let links: Vec<_> = stored
        .iter()
        .map(|(policy, signatures)| ChainLink { policy, signatures })
        .collect();
    let active = ActivePolicy::restore(&links, &authority).expect("a chain");
    assert_eq!(active.policy(), &chain[2]);
    let opening = |policy: &RetentionPolicy| policy.tenant_opening("clinic").expect("a salt");
    assert_eq!(opening(active.policy()), opening(&chain[1]));
    // What was published does not restore a service: it has no names to act on.
    let published = chain[2].published().text();
    let links = [
        links[0],
        links[1],
        ChainLink {
            policy: published,
            signatures: links[2].signatures,
        },
    ];
    assert!(ActivePolicy::restore(&links, &authority).is_err());
}

#[test]
fn the_salt_is_not_printed() {
    let policy = clinic();
    assert!(!format!("{policy:?}").contains(SALT));
    assert!(!format!("{:?}", policy.salt()).contains(&SALT[..8]));
}

/// A rule as it is written, for a few tenants, models and recipients.
fn rule() -> impl Strategy<Value = String> {
    let list = |of: &'static str, most: usize| {
        collection::btree_set(0..most, 1..=most).prop_map(move |places| {
            let names: Vec<_> = places
                .iter()
                .map(|place| format!("{of}-{place}-canary"))
                .collect();
            format!("{names:?}")
        })
    };
    let terms = prop_oneof![
        Just("mode = \"zero\"".to_owned()),
        (1..90).prop_map(|days| format!("mode = \"metadata\"\nttl = \"{days}d\"")),
        sample::subsequence(RECIPIENTS.to_vec(), 1..=3)
            .prop_map(|list| format!("mode = \"content\"\nttl = \"1d\"\nrecipients = {list:?}")),
    ];
    (
        list("tenant", 4),
        proptest::option::of(list("model", 3)),
        terms,
    )
        .prop_map(|(tenants, models, terms)| {
            let models = models.map_or(String::new(), |models| format!("models = {models}\n"));
            format!("[[rule]]\ntenants = {tenants}\n{models}{terms}\n")
        })
}

fn policies() -> impl Strategy<Value = (Vec<String>, RetentionPolicy)> {
    (collection::vec(rule(), 0..5), any::<[u8; 32]>()).prop_filter_map(
        "rules of mode content that meet",
        |(rules, salt)| {
            let head = format!("salt = \"{}\"\n", to_hex(&salt));
            let policy = RetentionPolicy::from_toml(&text(&head, &rules.concat())).ok()?;
            Some((rules, policy))
        },
    )
}

proptest! {
    #[test]
    fn the_published_form_contains_no_name_and_no_salt((_, policy) in policies()) {
        let text = policy.published().text();
        prop_assert!(!text.contains("tenant-"));
        prop_assert!(!text.contains("age1"));
        prop_assert!(!text.contains("salt"));
        let salt = policy.salt().expect("a salt").to_hex();
        prop_assert!(!text.contains(&salt));
        for place in 0..4 {
            let opening = policy.tenant_opening(&format!("tenant-{place}-canary")).expect("a salt");
            prop_assert!(!text.contains(&to_hex(&opening.tenant.salt)));
        }
    }

    #[test]
    fn every_request_has_the_same_terms_in_both_forms((_, policy) in policies()) {
        let published = PublishedPolicy::parse(policy.published().text()).expect("a policy");
        prop_assert_eq!(published.most(), policy.most());
        for place in 0..5 {
            let tenant = format!("tenant-{place}-canary");
            let salt = policy.tenant_opening(&tenant).expect("a salt").tenant.salt;
            let Ok(reference) = published.tenant(&tenant, Some(&salt)) else {
                prop_assert!(!policy.named_tenants().contains(tenant.as_str()));
                continue;
            };
            prop_assert_eq!(published.most_for(&reference, None), policy.most_for(&tenant));
            for model in ["model-0-canary", "model-1-canary", "model-2-canary", "model-9-canary"] {
                let terms = published.possible(Some(&reference), Some(model));
                let expected = policy.effective(&tenant, Some(model));
                prop_assert_eq!(terms.len(), 1);
                prop_assert_eq!(terms[0].mode(), expected.mode());
                prop_assert_eq!(terms[0].kept(), expected.kept());
                prop_assert_eq!(terms[0].recipients().len(), expected.recipients().len());
            }
        }
    }

    #[test]
    fn the_order_in_which_rules_and_names_are_written_changes_no_digest((rules, policy) in policies()) {
        let reversed: Vec<String> = rules
            .iter()
            .rev()
            .map(|rule| {
                let lines = rule.lines().map(|line| match line.split_once(" = [") {
                    Some((key, list)) if key != "models" => {
                        let mut names: Vec<&str> = list.trim_end_matches(']').split(", ").collect();
                        names.reverse();
                        format!("{key} = [{}]\n", names.join(", "))
                    }
                    _ => format!("{line}\n"),
                });
                lines.collect()
            })
            .collect();
        let head = format!("salt = \"{}\"\n", policy.salt().expect("a salt").to_hex());
        let other = RetentionPolicy::from_toml(&text(&head, &reversed.concat())).expect("a policy");
        prop_assert_eq!(other.digest(), policy.digest());
    }
}
