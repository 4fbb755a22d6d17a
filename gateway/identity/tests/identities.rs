//! Tokens against a running mock provider: rotation, outage, and what the rules of the configuration grant.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use attest_channel::Clock;
use attest_core::UnixTime;
use gateway_base::config::identity::{
    Condition, Grant, Identity, Issuer, KeySource, Purpose, Rule,
};
use gateway_base::config::provider_url;
use gateway_base::errors::TokenFault;
use gateway_base::metrics::Metrics;
use gateway_base::request::{Name, Role};
use gateway_identity::{Granted, Identities};
use jwt::{Algorithm, TokenError};
use testkit::identity::{IdentityProvider, KeysAnswer, TokenKey};

const START: u64 = 1_800_000_000;

/// A clock that tests set and move.
struct TestClock {
    now: AtomicU64,
    uptime: AtomicU64,
}

impl Clock for TestClock {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.now.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        Duration::from_secs(self.uptime.load(Ordering::SeqCst))
    }
}

struct World {
    provider: IdentityProvider,
    key: TokenKey,
    clock: Arc<TestClock>,
    metrics: Arc<Metrics>,
    identities: Identities,
}

fn name(text: &str) -> Name {
    Name::from_operator(text).expect("a name")
}

fn claim(path: &[&str], values: &[&str]) -> Condition {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Condition::Claim {
        path: owned(path),
        values: owned(values),
    }
}

fn rules() -> Vec<Rule> {
    vec![
        Rule {
            condition: claim(&["realm", "groups"], &["research"]),
            grant: Grant::Tenant(name("research-team")),
            roles: Arc::default(),
        },
        Rule {
            condition: claim(&["org"], &["acme", "globex"]),
            grant: Grant::TenantOf(vec![name("acme"), name("globex")]),
            roles: Arc::default(),
        },
    ]
}

fn issuer(provider: &IdentityProvider, purpose: Purpose, rules: Vec<Rule>) -> Issuer {
    let discovery = format!("{}/.well-known/openid-configuration", provider.issuer());
    Issuer {
        name: name("corporate"),
        issuer: provider.issuer(),
        purpose,
        audiences: vec!["sealgate".to_owned()],
        keys: KeySource::Discovery(provider_url(&discovery).expect("a URL")),
        algorithms: Algorithm::ALL.to_vec(),
        clock_skew: Duration::from_secs(30),
        max_stale: Duration::from_secs(3600),
        authorities: None,
        rules,
    }
}

impl World {
    async fn new() -> Self {
        let key = TokenKey::p256("first");
        let provider = IdentityProvider::start(&[&key]).await.expect("a provider");
        let world = Self::with(provider, key);
        world.eventually_accepts().await;
        world
    }

    fn with(provider: IdentityProvider, key: TokenKey) -> Self {
        let clock = Arc::new(TestClock {
            now: AtomicU64::new(START),
            uptime: AtomicU64::new(1000),
        });
        let config = Identity {
            issuers: vec![issuer(&provider, Purpose::Callers, rules())],
        };
        let shared: Arc<dyn Clock> = clock.clone();
        let metrics = Arc::new(Metrics::default());
        let identities = Identities::start(&config, &shared, &metrics, None);
        Self {
            provider,
            key,
            clock,
            metrics,
            identities,
        }
    }

    fn claims(&self, more: Value) -> Value {
        let mut claims = json!({
            "iss": self.provider.issuer(), "sub": "user-1", "aud": "sealgate", "org": "acme",
            "iat": START, "exp": START + 600,
        });
        for (name, value) in more.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        claims
    }

    fn token(&self, more: Value) -> String {
        self.key.token("ES256", &self.claims(more))
    }

    fn verify(&self, token: &str) -> Result<Granted, TokenFault> {
        let verified = self.identities.verify(Purpose::Callers, token);
        verified.map(|verified| verified.granted.clone())
    }

    async fn eventually_accepts(&self) {
        let token = self.token(json!({}));
        eventually(|| self.verify(&token).is_ok()).await;
    }

    fn pass(&self, seconds: u64) {
        self.clock.now.fetch_add(seconds, Ordering::SeqCst);
        self.clock.uptime.fetch_add(seconds, Ordering::SeqCst);
    }
}

async fn eventually(mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let limit = Duration::from_secs(30);
    let arrived = tokio::time::timeout(limit, waiting).await;
    assert!(arrived.is_ok(), "it did not happen within {limit:?}");
}

fn refused(error: TokenError) -> Result<Granted, TokenFault> {
    Err(TokenFault::Refused(error))
}

#[tokio::test]
async fn a_tenant_is_one_of_the_names_that_the_operator_wrote() {
    let world = World::new().await;
    let tenant = |text| Ok(Granted::Tenant(name(text)));
    let with = |more| world.verify(&world.token(more));
    assert_eq!(with(json!({})), tenant("acme"));
    assert_eq!(with(json!({ "org": ["x", "globex"] })), tenant("globex"));
    // The first rule that matches decides.
    let both = json!({ "org": "acme", "realm": { "groups": ["research"] } });
    assert_eq!(with(both), tenant("research-team"));
    for org in [
        json!("initech"),
        json!("acme\n"),
        json!(""),
        json!(null),
        json!({ "acme": 1 }),
    ] {
        let unmapped = with(json!({ "org": org }));
        assert_eq!(unmapped, Err(TokenFault::NotMapped), "{org}");
    }
}

#[tokio::test]
async fn a_subject_has_one_digest_whatever_its_tokens_say_besides() {
    let world = World::new().await;
    let subject = |more| {
        let token = world.token(more);
        let verified = world.identities.verify(Purpose::Callers, &token);
        verified.expect("a valid token").subject
    };
    let first = subject(json!({}));
    assert_eq!(
        first,
        subject(json!({ "exp": START + 700, "org": "globex" }))
    );
    assert_ne!(first, subject(json!({ "sub": "user-2" })));
    let id = first.public_id();
    assert!(id.len() == 20 && id.starts_with("jwt-"), "{id}");
}

#[tokio::test]
async fn tokens_are_for_one_purpose() {
    let world = World::new().await;
    let token = world.token(json!({}));
    assert!(world.identities.accepts(Purpose::Callers));
    assert!(!world.identities.accepts(Purpose::Administrators));
    let as_administrator = world.identities.verify(Purpose::Administrators, &token);
    assert_eq!(as_administrator.err(), Some(TokenError::Issuer.into()));
}

#[tokio::test]
async fn a_role_is_granted_by_the_rules_for_administrators() {
    let key = TokenKey::p256("first");
    let provider = IdentityProvider::start(&[&key]).await.expect("a provider");
    let mut world = World::with(provider, key);
    let rules = vec![Rule {
        condition: claim(&["groups"], &["sealgate-auditors"]),
        grant: Grant::Role(Role::Auditor),
        roles: Arc::default(),
    }];
    let config = Identity {
        issuers: vec![issuer(&world.provider, Purpose::Administrators, rules)],
    };
    let clock: Arc<dyn Clock> = world.clock.clone();
    world.identities = Identities::start(&config, &clock, &world.metrics, None);
    let verify = |more| {
        let token = world.token(more);
        let verified = world.identities.verify(Purpose::Administrators, &token);
        verified.map(|verified| verified.granted.clone())
    };
    let auditor = json!({ "groups": ["x", "sealgate-auditors"] });
    eventually(|| verify(auditor.clone()) == Ok(Granted::Role(Role::Auditor))).await;
    assert_eq!(
        verify(json!({ "groups": ["x"] })),
        Err(TokenFault::NotMapped)
    );
}

#[tokio::test]
async fn a_cached_token_expires_by_the_clock_and_is_refused_before_its_time() {
    let world = World::new().await;
    let token = world.token(json!({}));
    assert!(world.verify(&token).is_ok());
    world.clock.now.store(START + 629, Ordering::SeqCst);
    assert!(world.verify(&token).is_ok());
    world.clock.now.store(START + 630, Ordering::SeqCst);
    assert_eq!(world.verify(&token), refused(TokenError::Expired));
    world.clock.now.store(START - 86_400, Ordering::SeqCst);
    assert_eq!(world.verify(&token), refused(TokenError::NotYetValid));
    world.clock.now.store(START, Ordering::SeqCst);
    assert!(world.verify(&token).is_ok());
}

#[tokio::test]
async fn a_token_is_verified_once_and_counted_once() {
    let world = World::new().await;
    let token = world.token(json!({ "sub": "counted" }));
    let counted = || {
        let text = world.metrics.render();
        let line = r#"sealgate_identity_tokens_total{issuer="corporate",result="accepted"} "#;
        let found = text.lines().find_map(|text| text.strip_prefix(line));
        found.and_then(|count| count.parse::<u64>().ok())
    };
    let before = counted().expect("the first token was counted");
    for _ in 0..5 {
        assert!(world.verify(&token).is_ok());
    }
    assert_eq!(counted(), Some(before + 1));
    assert_eq!(world.verify("a.b.c"), refused(TokenError::Malformed));
    let unknown = r#"sealgate_identity_tokens_total{issuer="unknown",result="token_malformed"} 1"#;
    assert!(world.metrics.render().contains(unknown));
}

#[tokio::test]
async fn an_unknown_key_is_fetched_at_most_once_in_an_interval() {
    let world = World::new().await;
    let fetches = world.provider.fetches();
    let second = TokenKey::p256("second");
    let token = second.token("ES256", &world.claims(json!({})));
    // The set was fetched just now: the key is not one of the issuer's.
    assert_eq!(world.verify(&token), refused(TokenError::KeyUnknown));
    world.provider.publish(&[&world.key, &second]);
    world.pass(9);
    assert_eq!(world.verify(&token), refused(TokenError::KeyUnknown));
    assert_eq!(world.provider.fetches(), fetches);
    world.pass(1);
    assert_eq!(world.verify(&token), Err(TokenFault::Unavailable));
    eventually(|| world.verify(&token).is_ok()).await;
    assert_eq!(world.provider.fetches(), fetches + 1);
    assert!(world.verify(&world.token(json!({}))).is_ok());
}

#[tokio::test]
async fn a_cached_token_of_a_withdrawn_key_is_refused() {
    let world = World::new().await;
    let token = world.token(json!({}));
    assert!(world.verify(&token).is_ok());
    let second = TokenKey::p256("second");
    world.provider.publish(&[&second]);
    world.pass(10);
    let other = second.token("ES256", &world.claims(json!({})));
    assert_eq!(world.verify(&other), Err(TokenFault::Unavailable));
    eventually(|| world.verify(&other).is_ok()).await;
    assert_eq!(world.verify(&token), refused(TokenError::KeyUnknown));
}

#[tokio::test]
async fn the_last_keys_are_used_until_they_are_too_old() {
    let world = World::new().await;
    let token = world.token(json!({ "exp": START + 86_400 }));
    assert!(world.verify(&token).is_ok());
    world.provider.answer(KeysAnswer::Status(500));
    world.pass(3600);
    assert!(world.verify(&token).is_ok());
    // The clock is set back; by the machine's uptime the keys are as old as they are.
    world.clock.now.store(START, Ordering::SeqCst);
    world.clock.uptime.fetch_add(1, Ordering::SeqCst);
    assert_eq!(world.verify(&token), Err(TokenFault::Unavailable));
    let fresh = world.token(json!({ "sub": "fresh" }));
    assert_eq!(world.verify(&fresh), Err(TokenFault::Unavailable));
}

#[tokio::test]
async fn keys_that_are_too_large_or_not_a_set_do_not_replace_the_last_ones() {
    let world = World::new().await;
    let token = world.token(json!({}));
    let stranger = TokenKey::p256("stranger").token("ES256", &world.claims(json!({})));
    for (failures, answer) in [
        KeysAnswer::Large(10 << 20),
        KeysAnswer::Document("{\"keys\":[]}".to_owned()),
        KeysAnswer::Status(404),
    ]
    .into_iter()
    .enumerate()
    {
        world.provider.answer(answer);
        world.pass(10);
        let fetches = world.provider.fetches();
        if failures == 0 {
            assert_eq!(world.verify(&stranger), Err(TokenFault::Unavailable));
        }
        eventually(|| world.provider.fetches() > fetches).await;
        assert!(world.verify(&token).is_ok());
        // Whether the issuer has the other key is not known.
        assert_eq!(world.verify(&stranger), Err(TokenFault::Unavailable));
    }
    eventually(|| {
        let text = world.metrics.render();
        ["too_large", "key_set", "status"].iter().all(|result| {
            let line = format!(r#"identity_fetches_total{{issuer="corporate",result="{result}"}}"#);
            text.contains(&line)
        })
    })
    .await;
}

#[tokio::test]
async fn tokens_are_refused_at_once_while_the_issuer_does_not_answer() {
    let key = TokenKey::p256("first");
    let provider = IdentityProvider::start(&[&key]).await.expect("a provider");
    provider.answer(KeysAnswer::Silence);
    let world = World::with(provider, key);
    let token = world.token(json!({}));
    eventually(|| world.provider.fetches() > 0).await;
    // `verify` is not asynchronous: it cannot wait for the issuer.
    assert_eq!(world.verify(&token), Err(TokenFault::Unavailable));
}

#[tokio::test]
async fn a_discovery_document_of_another_issuer_brings_no_keys() {
    let key = TokenKey::p256("first");
    let provider = IdentityProvider::start(&[&key]).await.expect("a provider");
    provider.claim_issuer("https://id.example.com");
    let world = World::with(provider, key);
    eventually(|| {
        let line = r#"identity_fetches_total{issuer="corporate",result="discovery"}"#;
        world.metrics.render().contains(line)
    })
    .await;
    assert_eq!(
        world.verify(&world.token(json!({}))),
        Err(TokenFault::Unavailable)
    );
    assert_eq!(world.provider.fetches(), 0);
}

#[tokio::test]
async fn a_new_configuration_keeps_the_keys_of_the_issuers_that_stay() {
    let world = World::new().await;
    let fetches = world.provider.fetches();
    let token = world.token(json!({ "org": "initech" }));
    assert_eq!(world.verify(&token), Err(TokenFault::NotMapped));
    let everyone = Rule {
        condition: Condition::Always,
        grant: Grant::Tenant(name("everyone")),
        roles: Arc::default(),
    };
    let mut changed = issuer(&world.provider, Purpose::Callers, vec![everyone]);
    let clock: Arc<dyn Clock> = world.clock.clone();
    let start = |issuer: &Issuer| {
        let config = Identity {
            issuers: vec![issuer.clone()],
        };
        Identities::start(&config, &clock, &world.metrics, Some(&world.identities))
    };
    let next = start(&changed).verify(Purpose::Callers, &token);
    let granted = next.map(|verified| verified.granted.clone());
    assert_eq!(granted, Ok(Granted::Tenant(name("everyone"))));
    assert_eq!(world.provider.fetches(), fetches);
    // Another source is fetched for itself.
    changed.keys = KeySource::KeySet(
        provider_url(&format!("{}/other", world.provider.issuer())).expect("a URL"),
    );
    let other = start(&changed).verify(Purpose::Callers, &token);
    assert_eq!(other.err(), Some(TokenFault::Unavailable));
}
