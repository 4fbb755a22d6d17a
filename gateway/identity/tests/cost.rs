//! What a token costs: `cargo test --release -p gateway-identity --test cost -- --ignored --nocapture`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use attest_channel::{Clock, SystemClock};
use gateway_base::config::identity::{
    Condition, Grant, Identity, Issuer, KeySource, Purpose, Rule,
};
use gateway_base::config::provider_url;
use gateway_base::request::Name;
use gateway_identity::Identities;
use jwt::Algorithm;
use testkit::identity::{IdentityProvider, TokenKey};

const ROUNDS: usize = 200;
const TOKENS: usize = 50;

#[tokio::test]
#[ignore = "prints figures; see docs/adr"]
async fn time_to_verify_a_token_for_the_first_time_and_again() {
    let keys = [
        (TokenKey::rsa("rsa"), "RS256"),
        (TokenKey::rsa_3072("rsa-3072"), "PS256"),
        (TokenKey::p256("p256"), "ES256"),
        (TokenKey::p384("p384"), "ES384"),
        (TokenKey::ed25519("ed25519"), "EdDSA"),
    ];
    let published: Vec<&TokenKey> = keys.iter().map(|(key, _)| key).collect();
    let provider = IdentityProvider::start(&published)
        .await
        .expect("a provider");
    let identities = identities(&provider);
    let now = SystemClock.now().secs();
    let token = |(key, algorithm): &(TokenKey, &str), number: usize| {
        let claims = json!({
            "iss": provider.issuer(), "sub": "service-account-7", "aud": "sealgate", "org": "acme",
            "scope": "inference", "client_id": "service-account-7", "jti": number.to_string(),
            "iat": now, "exp": now + 3600,
        });
        key.token(algorithm, &claims)
    };
    while identities
        .verify(Purpose::Callers, &token(&keys[0], usize::MAX))
        .is_err()
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for key in &keys {
        let tokens: Vec<String> = (0..TOKENS).map(|number| token(key, number)).collect();
        let verify_all = || {
            let began = Instant::now();
            for token in &tokens {
                let verified = identities.verify(Purpose::Callers, token);
                assert!(std::hint::black_box(verified).is_ok());
            }
            began.elapsed() / TOKENS as u32
        };
        let first = verify_all();
        let again = (0..ROUNDS)
            .map(|_| verify_all())
            .min()
            .expect("some rounds");
        let bytes = tokens.first().map_or(0, String::len);
        println!("{}: {bytes} bytes, first {first:?}, again {again:?}", key.1);
    }
}

fn identities(provider: &IdentityProvider) -> Identities {
    let name = |text| Name::from_operator(text).expect("a name");
    let keys = provider_url(&format!("{}/jwks", provider.issuer())).expect("a URL");
    let issuer = Issuer {
        name: name("corporate"),
        issuer: provider.issuer(),
        purpose: Purpose::Callers,
        audiences: vec!["sealgate".to_owned()],
        keys: KeySource::KeySet(keys),
        algorithms: Algorithm::ALL.to_vec(),
        clock_skew: Duration::from_secs(30),
        max_stale: Duration::from_secs(86_400),
        authorities: None,
        rules: vec![Rule {
            condition: Condition::Always,
            grant: Grant::Tenant(name("acme")),
            roles: Arc::default(),
        }],
    };
    let config = Identity {
        issuers: vec![issuer],
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Identities::start(&config, &clock, &Arc::default(), None)
}
