//! Retention policies: what a text means, who may change it, and what a change changes.

use attest_core::retention::{
    ActivePolicy, Authority, ChainError, ChainLink, ChangeRefused, Field, InvalidRetentionPolicy,
    KeysError, OnFailure, PolicyKeys, PolicySignatures, PublishedPolicy, RecipientError,
    RetentionError, RetentionMode, RetentionPolicy, SignatureError, Terms, TermsError, compare,
};
use attest_core::{FieldError, Sha256Digest, SigningKey, to_hex};

/// The recipient of the `age` specification's own example.
const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

const DEFAULT: &str =
    "format = \"sealgate/retention/1\"\nepoch = 1\n[default]\nmode = \"metadata\"\nttl = \"30d\"\n";

fn read(more: &str) -> Result<RetentionPolicy, RetentionError> {
    parse(&format!("{DEFAULT}{more}"))
}

fn parse(text: &str) -> Result<RetentionPolicy, RetentionError> {
    RetentionPolicy::from_toml(text).map_err(only)
}

/// The one thing that is wrong.
fn only(invalid: InvalidRetentionPolicy) -> RetentionError {
    match invalid.problems() {
        [problem] => problem.error.clone(),
        _ => panic!("{invalid}"),
    }
}

fn policy(more: &str) -> RetentionPolicy {
    read(more).expect("a policy")
}

fn content(more: &str) -> String {
    format!(
        "[[rule]]\nmode = \"content\"\nttl = \"365d\"\nrecipients = [\"{RECIPIENT}\"]\n{more}\n"
    )
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed("policy", &[number; 32]).expect("a key")
}

fn keys(numbers: &[u8], threshold: usize) -> Authority {
    let hex: Vec<_> = numbers
        .iter()
        .map(|number| to_hex(key(*number).verifying_key().as_bytes()))
        .collect();
    Authority::Keys(PolicyKeys::new(&hex, threshold).expect("keys"))
}

fn signed(policy: &RetentionPolicy, numbers: &[u8]) -> PolicySignatures {
    let mut signatures = PolicySignatures::default();
    for number in numbers {
        signatures.sign(policy.digest(), &key(*number));
    }
    signatures
}

fn next(epoch: u64, predecessor: Sha256Digest, default: &str) -> RetentionPolicy {
    RetentionPolicy::from_toml(&format!(
        "format = \"sealgate/retention/1\"\nepoch = {epoch}\npredecessor = \"{predecessor}\"\n[default]\n{default}\n"
    ))
    .expect("a policy")
}

#[test]
fn spacing_comments_and_order_change_no_digest_and_every_word_does() {
    let plain = policy("");
    let spaced = RetentionPolicy::from_toml(
        "# why\n epoch=1\nformat  = \"sealgate/retention/1\"\n[default]\nttl=\"720h\" # a month\n\
         mode = \"metadata\"\non_failure = \"serve\"\n",
    )
    .expect("a policy");
    assert_eq!(plain.digest(), spaced.digest());
    let published = plain.published().text();
    assert_eq!(plain.digest(), Sha256Digest::hash(published.as_bytes()));
    assert_eq!(plain.stored_text(), published);
    for other in [
        "on_failure = \"refuse\"\n",
        "fields = [\"key\"]\n",
        "[[rule]]\ntenants = [\"a\"]\nmode = \"zero\"\n",
        "[[rule]]\nmodels = [\"a\"]\nmode = \"zero\"\n",
    ] {
        assert_ne!(policy(other).digest(), plain.digest(), "{other}");
    }
}

#[test]
fn what_is_published_reads_back_and_no_other_spelling_of_it_does() {
    let one = policy(&content("tenants = [\"bank\"]"));
    let text = one.published().text();
    let back = RetentionPolicy::from_stored(text).expect("its own text");
    assert_eq!(back, one);
    let published = PublishedPolicy::parse(text).expect("its own text");
    assert_eq!(&published, one.published());
    let refusals = |text: &str| {
        let published = only(PublishedPolicy::parse(text).expect_err("refused"));
        let stored = only(RetentionPolicy::from_stored(text).expect_err("refused"));
        assert_eq!(published, stored);
        published
    };
    let spaced = text.replacen(':', ": ", 1);
    assert_eq!(refusals(&spaced), RetentionError::NotCanonical);
    let left_out = text.replacen("\"on_failure\":\"serve\",", "", 1);
    assert_ne!(left_out, text);
    assert_eq!(refusals(&left_out), RetentionError::NotCanonical);
    let misspelt = text.replacen("\"epoch\"", "\"epohc\"", 1);
    assert!(matches!(refusals(&misspelt), RetentionError::Shape(_)));
}

#[test]
fn the_strictest_rule_for_a_request_wins_and_the_default_holds_where_none_is() {
    let policy = policy(&format!(
        "[[rule]]\nmodels = [\"secret\"]\nmode = \"zero\"\n\
         [[rule]]\ntenants = [\"lab\"]\nmode = \"metadata\"\nttl = \"7d\"\nfields = [\"key\", \"tokens\"]\n\
         [[rule]]\nmodels = [\"small\"]\nmode = \"metadata\"\nttl = \"90d\"\nfields = [\"tokens\", \"model\"]\n\
         on_failure = \"refuse\"\n{}",
        content("tenants = [\"bank\"]")
    ));
    let mode = |tenant, model| policy.effective(tenant, model).mode();
    assert_eq!(mode("anyone", Some("other")), RetentionMode::Metadata);
    assert_eq!(mode("anyone", Some("secret")), RetentionMode::Zero);
    assert_eq!(mode("bank", Some("other")), RetentionMode::Content);
    assert_eq!(mode("bank", None), RetentionMode::Content);
    assert_eq!(mode("bank", Some("secret")), RetentionMode::Zero);
    assert_eq!(mode("bank", Some("small")), RetentionMode::Metadata);
    let Terms::Metadata(both) = policy.effective("lab", Some("small")) else {
        panic!("metadata")
    };
    assert_eq!(both.ttl.as_secs(), 7 * 86_400);
    assert_eq!(both.fields.into_iter().collect::<Vec<_>>(), [Field::Tokens]);
    assert_eq!(both.on_failure, OnFailure::Refuse);
    assert_eq!(policy.most(), RetentionMode::Content);
    assert_eq!(policy.most_for("bank"), RetentionMode::Content);
    assert_eq!(policy.most_for("lab"), RetentionMode::Metadata);
}

#[test]
fn a_rule_for_every_model_bounds_what_is_kept_of_its_tenant() {
    let policy = policy(
        "[[rule]]\ntenants = [\"clinic\"]\nmode = \"zero\"\n\
         [[rule]]\nmodels = [\"small\"]\nmode = \"metadata\"\nttl = \"1d\"\n",
    );
    assert_eq!(policy.most_for("clinic"), RetentionMode::Zero);
    assert_eq!(policy.most(), RetentionMode::Metadata);
}

#[test]
fn a_document_that_contradicts_itself_is_refused_for_what_it_says() {
    let terms = |more: &str| match read(more) {
        Err(RetentionError::Terms { reason, .. }) => reason,
        other => panic!("{more}: {other:?}"),
    };
    let rule = |text: &str| format!("[[rule]]\ntenants = [\"a\"]\n{text}\n");
    assert_eq!(
        terms(&rule("mode = \"zero\"\nttl = \"1d\"")),
        TermsError::Meaningless("ttl")
    );
    assert_eq!(
        terms(&rule("mode = \"zero\"\non_failure = \"serve\"")),
        TermsError::Meaningless("on_failure")
    );
    assert_eq!(
        terms(&rule("mode = \"metadata\"\nttl = \"1d\"\nrecipients = []")),
        TermsError::Meaningless("recipients")
    );
    assert_eq!(terms(&rule("mode = \"metadata\"")), TermsError::NoTtl);
    for ttl in [
        "",
        "d",
        "1",
        "-1d",
        "1w",
        "0s",
        "99999d",
        "1.5h",
        "99999999999999999999d",
    ] {
        assert_eq!(
            terms(&rule(&format!("mode = \"metadata\"\nttl = \"{ttl}\""))),
            TermsError::Ttl(ttl.to_owned())
        );
    }
    assert_eq!(
        terms(&rule(
            "mode = \"metadata\"\nttl = \"1d\"\nfields = [\"key\", \"key\"]"
        )),
        TermsError::FieldTwice(Field::Key)
    );
    assert_eq!(
        terms(&rule("mode = \"content\"\nttl = \"1d\"")),
        TermsError::Recipients
    );
    assert_eq!(
        terms(&content("models = [\"m\"]")),
        TermsError::TenantsRequired
    );
    assert_eq!(
        terms(&rule(&format!(
            "mode = \"content\"\nttl = \"1d\"\nrecipients = [\"{RECIPIENT}\", \"{RECIPIENT}\"]"
        ))),
        TermsError::RecipientTwice(2)
    );
    let overlap = format!(
        "{}{}",
        content("tenants = [\"a\", \"b\"]"),
        content("tenants = [\"b\"]")
    );
    assert_eq!(read(&overlap), Err(RetentionError::ContentOverlap(1, 2)));
    let apart = format!(
        "{}{}",
        content("tenants = [\"a\"]"),
        content("tenants = [\"b\"]")
    );
    assert!(read(&apart).is_ok());
    for names in [
        "tenants = []",
        "models = [\"a\", \"a\"]",
        "tenants = [\"a b\"]",
    ] {
        let refused = read(&format!("[[rule]]\n{names}\nmode = \"zero\"\n"));
        assert!(
            matches!(refused, Err(RetentionError::Names { .. })),
            "{names}"
        );
    }
    let misspelt = RetentionPolicy::from_toml(&format!("{DEFAULT}tll = \"1d\"\n"));
    let misspelt = misspelt.expect_err("refused");
    assert_eq!(misspelt.problems()[0].line, Some(6));
    assert!(matches!(
        only(misspelt),
        RetentionError::Field(FieldError::Unknown {
            meant: Some("ttl"),
            ..
        })
    ));
}

#[test]
fn a_chain_begins_with_one_and_every_later_policy_names_the_one_before() {
    let text = |epoch: &str, predecessor: &str| {
        DEFAULT.replace("epoch = 1\n", &format!("epoch = {epoch}\n{predecessor}"))
    };
    let digest = format!("predecessor = \"{}\"\n", Sha256Digest::hash(b"x"));
    let misplaced = |epoch, stated| Err(RetentionError::PredecessorMisplaced { epoch, stated });
    assert_eq!(parse(&text("1", &digest)), misplaced(1, true));
    assert_eq!(parse(&text("2", "")), misplaced(2, false));
    assert_eq!(parse(&text("0", "")), Err(RetentionError::Epoch(0)));
    let other = DEFAULT.replace("retention/1", "retention/9");
    assert_eq!(
        parse(&other),
        Err(RetentionError::Format("sealgate/retention/9".into()))
    );
}

#[test]
fn a_recipient_is_a_public_key_with_a_good_checksum_and_never_an_identity() {
    let parse = |text: &str| attest_core::retention::Recipient::parse(text).map(|_| ());
    assert_eq!(parse(RECIPIENT), Ok(()));
    assert_eq!(
        parse("AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"),
        Err(RecipientError::Identity)
    );
    let typo = RECIPIENT.replacen("zvky", "zvkz", 1);
    assert_eq!(parse(&typo), Err(RecipientError::Checksum));
    for bad in [
        "",
        "age1",
        "age1qqqq",
        &RECIPIENT.to_uppercase(),
        &RECIPIENT[4..],
    ] {
        assert_eq!(parse(bad), Err(RecipientError::Shape), "{bad}");
    }
}

#[test]
fn a_change_takes_the_signatures_of_as_many_keys_as_are_asked_for() {
    let authority = keys(&[1, 2, 3], 2);
    let first = policy("");
    let refused = |numbers: &[u8]| {
        ActivePolicy::first(first.clone(), signed(&first, numbers), &authority).map(|_| ())
    };
    assert_eq!(refused(&[1, 3]), Ok(()));
    assert_eq!(refused(&[]), Err(SignatureError::Unsigned.into()));
    assert_eq!(refused(&[9]), Err(SignatureError::Unsigned.into()));
    let too_few = SignatureError::TooFew {
        found: 1,
        needed: 2,
    };
    assert_eq!(refused(&[2]), Err(too_few.clone().into()));
    assert_eq!(refused(&[2, 9]), Err(too_few.clone().into()));
    // The same key twice is one key.
    let line = signed(&first, &[2]).to_string();
    let twice = PolicySignatures::parse(&line.repeat(2)).expect("signatures");
    assert_eq!(
        ActivePolicy::first(first.clone(), twice, &authority),
        Err(too_few.into())
    );
    let other = policy("on_failure = \"refuse\"\n");
    let moved = ActivePolicy::first(first.clone(), signed(&other, &[1, 2]), &authority);
    let Err(ChangeRefused::Signature(SignatureError::Invalid(by))) = moved else {
        panic!("{moved:?}")
    };
    assert_eq!(by, *key(1).verifying_key().as_bytes());
}

#[test]
fn a_change_is_refused_for_its_own_reason() {
    let authority = keys(&[1], 1);
    let first = policy("");
    let active =
        ActivePolicy::first(first.clone(), signed(&first, &[1]), &authority).expect("the first");
    let change = |next: &RetentionPolicy| {
        active
            .succeeded_by(next.clone(), signed(next, &[1]), &authority)
            .map(|_| ())
    };
    let zero = "mode = \"zero\"";
    let good = next(2, first.digest(), zero);
    assert_eq!(change(&good), Ok(()));
    assert_eq!(
        active.succeeded_by(good.clone(), PolicySignatures::default(), &authority),
        Err(SignatureError::Unsigned.into())
    );
    assert_eq!(
        change(&first),
        Err(ChangeRefused::NotNewer {
            current: 1,
            proposed: 1
        })
    );
    assert_eq!(
        change(&next(3, first.digest(), zero)),
        Err(ChangeRefused::Skips {
            current: 1,
            proposed: 3
        })
    );
    let stated = Sha256Digest::hash(b"another");
    assert_eq!(
        change(&next(2, stated, zero)),
        Err(ChangeRefused::Predecessor {
            current: first.digest(),
            stated
        })
    );
    assert_eq!(
        active.succeeded_by(good.clone(), signed(&good, &[1]), &Authority::NoKeys),
        Err(ChangeRefused::NoPolicyKeys)
    );
    let second = active
        .succeeded_by(good.clone(), signed(&good, &[1]), &authority)
        .expect("a change");
    assert_eq!(
        second.succeeded_by(good.clone(), signed(&good, &[1]), &authority),
        Err(ChangeRefused::NotNewer {
            current: 2,
            proposed: 2
        })
    );
    assert_eq!(
        ActivePolicy::first(good.clone(), signed(&good, &[1]), &authority),
        Err(ChangeRefused::NotFirst(2))
    );
}

#[test]
fn without_keys_a_policy_may_stand_and_keeps_no_content() {
    let unsigned = |policy| {
        ActivePolicy::first(policy, PolicySignatures::default(), &Authority::NoKeys).map(|_| ())
    };
    assert_eq!(unsigned(policy("")), Ok(()));
    assert_eq!(
        unsigned(policy(&content("tenants = [\"bank\"]"))),
        Err(ChangeRefused::UnsignedContent)
    );
}

#[test]
fn a_stored_chain_is_taken_up_only_whole_and_under_todays_keys() {
    let authority = keys(&[1], 1);
    let first = policy("");
    let second = next(2, first.digest(), "mode = \"zero\"");
    let third = next(3, second.digest(), "mode = \"metadata\"\nttl = \"1d\"");
    let stored: Vec<_> = [&first, &second, &third]
        .map(|policy| (policy.stored_text(), signed(policy, &[1]).to_string()))
        .into();
    let restore = |places: &[usize], authority: &Authority| {
        let links: Vec<_> = places
            .iter()
            .map(|place| ChainLink {
                policy: &stored[*place].0,
                signatures: &stored[*place].1,
            })
            .collect();
        ActivePolicy::restore(&links, authority).map(|head| head.policy().epoch())
    };
    assert_eq!(restore(&[0, 1, 2], &authority), Ok(3));
    assert_eq!(restore(&[], &authority), Err(ChainError::Empty));
    assert_eq!(
        restore(&[1, 2], &authority),
        Err(ChainError::Broken(1, ChangeRefused::NotFirst(2)))
    );
    assert_eq!(
        restore(&[0, 2], &authority),
        Err(ChainError::Broken(
            2,
            ChangeRefused::Skips {
                current: 1,
                proposed: 3
            }
        ))
    );
    assert_eq!(
        restore(&[0, 1], &keys(&[7], 1)),
        Err(ChainError::Head(SignatureError::Unsigned.into()))
    );
    assert_eq!(
        restore(&[0, 1], &Authority::NoKeys),
        Err(ChainError::Head(ChangeRefused::NoPolicyKeys))
    );
    let edited = stored[1].0.replace("\"zero\"", "\"zer0\"");
    let links = [ChainLink {
        policy: &edited,
        signatures: "",
    }];
    match ActivePolicy::restore(&links, &authority) {
        Err(ChainError::Policy(1, invalid)) => {
            assert!(matches!(only(invalid), RetentionError::Shape(_)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn after_a_change_of_keys_the_active_policy_is_signed_again() {
    let first = policy("");
    let old =
        ActivePolicy::first(first.clone(), signed(&first, &[1]), &keys(&[1], 1)).expect("old");
    let new_keys = keys(&[5], 1);
    assert_eq!(
        old.signed_again(&PolicySignatures::default(), &new_keys),
        Err(SignatureError::Unsigned.into())
    );
    let again = old
        .signed_again(&signed(&first, &[5]), &new_keys)
        .expect("signed again");
    assert_eq!(again.policy(), old.policy());
    assert_eq!(again.signatures().claimed_keys().count(), 2);
}

#[test]
fn keys_that_could_decide_nothing_are_refused() {
    let good = to_hex(key(1).verifying_key().as_bytes());
    let new = |keys: &[&str], threshold| {
        let keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
        PolicyKeys::new(&keys, threshold).map(|_| ())
    };
    assert_eq!(new(&[], 1), Err(KeysError::Count));
    assert_eq!(new(&[&good, "zz"], 1), Err(KeysError::Key(2)));
    assert_eq!(new(&[&good, &good], 1), Err(KeysError::Twice(2)));
    assert_eq!(
        new(&[&good], 2),
        Err(KeysError::Threshold {
            threshold: 2,
            keys: 1
        })
    );
    assert_eq!(
        new(&[&good], 0),
        Err(KeysError::Threshold {
            threshold: 0,
            keys: 1
        })
    );
}

#[test]
fn a_plan_names_everyone_for_whom_something_changes_and_everyone_excepted() {
    let before = policy("[[rule]]\ntenants = [\"clinic\"]\nmode = \"zero\"\n");
    let after = policy(
        "[[rule]]\ntenants = [\"clinic\"]\nmode = \"zero\"\n\
         [[rule]]\ntenants = [\"lab\"]\nmodels = [\"big\"]\nmode = \"zero\"\n",
    );
    let known = ["clinic".to_owned(), "lab".to_owned()];
    let models = ["big".to_owned(), "small".to_owned()];
    let differences = |before: &RetentionPolicy, after: &RetentionPolicy| {
        compare(before, after, &known, &models)
            .into_iter()
            .map(|one| {
                let modes = (one.before.mode().as_str(), one.after.mode().as_str());
                (one.tenant, one.model, modes)
            })
            .collect::<Vec<_>>()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(differences(&before, &before), []);
    assert_eq!(
        differences(&before, &after),
        [(some("lab"), some("big"), ("metadata", "zero"))]
    );
    let all = next(2, before.digest(), "mode = \"zero\"");
    assert_eq!(
        differences(&before, &all),
        [
            (some("clinic"), None, ("zero", "zero")),
            (some("lab"), None, ("metadata", "zero")),
            (None, None, ("metadata", "zero")),
        ]
    );
}
