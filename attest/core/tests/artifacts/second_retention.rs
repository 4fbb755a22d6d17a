//! Retention policies against the second implementation.

use serde::Deserialize;

use crate::{
    error_names,
    second_script::{Refused, each_is_refused, vectors},
};
use attest_core::retention::{
    NameKind, NameOpening, PolicyKeys, PolicySalt, PolicySignatures, PublishedPolicy,
    RetentionPolicy,
};
use attest_core::{PROFILE_ID, SigningKey, parse_hex, to_hex};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetentionVectors {
    profile: String,
    seed: String,
    salt: String,
    accepted: Vec<Accepted>,
    openings: Vec<Opening>,
    refused_published: Vec<Refused>,
    refused_stored: Vec<Refused>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    name: String,
    stored: String,
    published: String,
    digest: String,
    message: String,
    signatures: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    kind: String,
    name: String,
    salt: String,
    commitment: String,
    in_policy: bool,
}

#[test]
fn policies_are_published_and_signed_as_the_second_implementation_does() {
    let vectors: RetentionVectors = vectors("retention.json");
    assert_eq!(vectors.profile, PROFILE_ID);
    let seed = parse_hex(&vectors.seed).expect("a seed");
    let key = SigningKey::from_seed("policy", &seed).expect("a key");
    let keys = PolicyKeys::new(&[to_hex(key.verifying_key().as_bytes())], 1).expect("keys");
    for case in &vectors.accepted {
        let policy = RetentionPolicy::from_stored(&case.stored).expect(&case.name);
        assert_eq!(policy.published().text(), case.published, "{}", case.name);
        let published = PublishedPolicy::parse(&case.published).expect(&case.name);
        assert_eq!(&published, policy.published(), "{}", case.name);
        assert_eq!(published.digest().to_string(), case.digest, "{}", case.name);
        assert!(case.message.ends_with(&published.digest().to_hex()));

        let mut made = PolicySignatures::default();
        made.sign(published.digest(), &key);
        assert_eq!(made.to_string(), case.signatures, "{}", case.name);
        let read = PolicySignatures::parse(&case.signatures).expect(&case.name);
        keys.verify(published.digest(), &read).expect(&case.name);
    }
    each_is_refused(&vectors.refused_published, |text| {
        let refusal = PublishedPolicy::parse(text).err()?;
        Some(error_names::retention(&refusal.problems()[0].error))
    });
    each_is_refused(&vectors.refused_stored, |text| {
        let refusal = RetentionPolicy::from_stored(text).err()?;
        Some(error_names::retention(&refusal.problems()[0].error))
    });
}

#[test]
fn names_are_committed_to_as_the_second_implementation_does() {
    let vectors: RetentionVectors = vectors("retention.json");
    let salt = PolicySalt::parse(&vectors.salt).expect("a salt");
    let texts = vectors.accepted.iter().map(|case| &case.published);
    for case in &vectors.openings {
        let kind = match case.kind.as_str() {
            "tenant" => NameKind::Tenant,
            "recipient" => NameKind::Recipient,
            other => panic!("{other}"),
        };
        let made: NameOpening = salt.opening(kind, &case.name);
        assert_eq!(to_hex(&made.salt), case.salt, "{}", case.name);
        let commitment = made.commitment().digest().to_string();
        assert_eq!(commitment, case.commitment, "{}", case.name);
        let shown = texts.clone().any(|text| text.contains(&commitment));
        assert_eq!(shown, case.in_policy, "{}", case.name);
    }
}
