//! Callers and administrators with tokens of an identity provider.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use blackbox::asking::{CHAT, chat, error, eventually, next_chunk, receipt, streamed};
use blackbox::world::{Alone, MODEL};
use testkit::client::{Answer, Connection, TlsClient};
use testkit::identity::{IdentityProvider, KeysAnswer, TokenKey, hmac_token, unsigned_token};
use testkit::service::free_address;

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

/// The section for callers of one provider.
fn callers(provider: &IdentityProvider) -> String {
    format!(
        r#"
[[identity.issuers]]
name = "corporate"
issuer = "{}"
for = "callers"
audiences = ["sealgate"]
clock_skew = "5s"

[[identity.issuers.rules]]
claim = ["org"]
tenant_one_of = ["acme", "globex"]
"#,
        provider.issuer()
    )
}

fn administrators(provider: &IdentityProvider) -> String {
    format!(
        r#"
[[identity.issuers]]
name = "staff"
issuer = "{}"
for = "administrators"
audiences = ["sealgate-admin"]

[[identity.issuers.rules]]
claim = ["realm", "roles"]
equals = "operators"
role = "operator"

[[identity.issuers.rules]]
claim = ["realm", "roles"]
equals = "viewers"
role = "read-only"
"#,
        provider.issuer()
    )
}

/// A service, the provider that it accepts, and the provider's key.
struct Federated {
    world: Alone,
    admin: SocketAddr,
    provider: IdentityProvider,
    key: TokenKey,
}

impl Federated {
    async fn new(name: &str) -> Result<Self> {
        let key = TokenKey::p256("first");
        let provider = IdentityProvider::start(&[&key]).await?;
        let admin = free_address()?;
        let more = format!(
            "[admin]\nlisten = \"{admin}\"\n{}{}",
            callers(&provider),
            administrators(&provider)
        );
        let world = Alone::new(name, |config, _| config.and(&more)).await?;
        let federated = Self {
            world,
            admin,
            provider,
            key,
        };
        // Keys are fetched in the background; until they are here, tokens get 503.
        eventually("the provider's keys are here", async || {
            federated
                .status(&federated.token(json!({})))
                .await
                .is_ok_and(|status| status == 200)
        })
        .await;
        Ok(federated)
    }

    fn claims(&self, more: Value) -> Value {
        let mut claims = json!({
            "iss": self.provider.issuer(), "sub": "user-1", "aud": "sealgate", "org": "acme",
            "iat": now(), "exp": now() + 300,
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        claims
    }

    fn token(&self, more: Value) -> String {
        self.key.token("ES256", &self.claims(more))
    }

    fn admin_token(&self, role: &str) -> String {
        self.token(json!({ "aud": "sealgate-admin", "realm": { "roles": [role] } }))
    }

    async fn chat(&self, token: &str) -> Result<Answer> {
        let mut connection = self.world.enclave.connect().await?;
        connection.post(token, CHAT, &chat(MODEL, "hello")).await
    }

    async fn status(&self, token: &str) -> Result<u16> {
        Ok(self.chat(token).await?.status.as_u16())
    }

    async fn admin(&self, token: &str, path: &str) -> Result<Answer> {
        let mut connection: Connection = TlsClient::observing().connect(self.admin).await?;
        connection.get_as(token, path).await
    }
}

async fn refusal(answer: Answer) -> Result<(u16, Option<String>)> {
    let refused = error(answer).await?;
    Ok((refused.status, refused.code))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_accepted_where_an_api_key_is() -> Result<()> {
    let federated = Federated::new("identity-accepted").await?;
    let token = federated.token(json!({}));
    let mut connection = federated.world.enclave.connect().await?;
    let models = connection.get_as(&token, "/v1/models").await?;
    assert_eq!(models.status, 200);
    let answer = connection.post(&token, CHAT, &chat(MODEL, "hello")).await?;
    assert_eq!(answer.status, 200);
    // API keys are accepted beside tokens.
    assert_eq!(federated.status(&federated.world.key).await?, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_for_every_token_of_its_subject_and_no_other() -> Result<()> {
    let federated = Federated::new("identity-receipts").await?;
    let answer = federated.chat(&federated.token(json!({}))).await?;
    let id = answer
        .header("x-receipt-id")
        .context("no receipt id")?
        .to_owned();
    answer.bytes().await?;
    let mut connection = federated.world.enclave.connect().await?;
    let renewed = federated.token(json!({ "exp": now() + 900, "jti": "another" }));
    receipt(&mut connection, &renewed, &id).await?;
    let path = format!("/v1/aci/receipts/{id}");
    let other = federated.token(json!({ "sub": "user-2" }));
    for stranger in [&other, &federated.world.key] {
        let answer = connection.get_as(stranger, &path).await?;
        assert_eq!(answer.status, 404);
    }
    let expired = federated.token(json!({ "exp": now() - 60, "iat": now() - 90 }));
    let answer = refusal(connection.get_as(&expired, &path).await?).await?;
    assert_eq!(answer, (401, Some("token_expired".into())));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_the_tenant_of_the_rule_and_nothing_of_the_token() -> Result<()> {
    let federated = Federated::new("identity-log").await?;
    let subject = "jane@example.com";
    let token = federated.token(json!({ "org": "globex", "sub": subject }));
    federated.chat(&token).await?.bytes().await?;
    eventually("the request is in the log", async || {
        federated.world.enclave.log().contains("tenant=globex")
    })
    .await;
    let log = federated.world.enclave.log();
    assert!(log.contains("key=jwt-"), "{log}");
    assert!(
        !log.contains(subject) && !log.contains(&token[..30]),
        "{log}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_has_its_code() -> Result<()> {
    let federated = Federated::new("identity-refusals").await?;
    let claims = federated.claims(json!({}));
    let stranger = TokenKey::p256("stranger");
    let jwk = federated.key.jwk().to_string();
    let forged =
        TokenKey::p256("another").token_with(&json!({ "alg": "ES256", "kid": "first" }), &claims);
    let with = |more| federated.token(more);
    for (token, code) in [
        (
            with(json!({ "exp": now() - 60, "iat": now() - 90 })),
            "token_expired",
        ),
        (with(json!({ "nbf": now() + 3600 })), "token_not_yet_valid"),
        (with(json!({ "iat": now() + 3600 })), "token_not_yet_valid"),
        (with(json!({ "aud": "another-service" })), "token_audience"),
        (
            with(json!({ "iss": "https://id.example.com" })),
            "token_issuer",
        ),
        (with(json!({ "sub": 7 })), "token_claims"),
        (unsigned_token(&claims), "token_algorithm"),
        (
            hmac_token("first", jwk.as_bytes(), &claims),
            "token_algorithm",
        ),
        (forged, "token_signature"),
        (stranger.token("ES256", &claims), "token_key_unknown"),
        ("not.a.token".to_owned(), "token_malformed"),
    ] {
        let answer = federated.chat(&token).await?;
        let challenge = answer.header("www-authenticate").map(str::to_owned);
        assert_eq!(
            challenge.as_deref(),
            Some("Bearer error=\"invalid_token\""),
            "{code}"
        );
        assert_eq!(refusal(answer).await?, (401, Some(code.into())));
    }
    let unmapped = federated.chat(&with(json!({ "org": "initech" }))).await?;
    assert_eq!(
        refusal(unmapped).await?,
        (403, Some("token_not_mapped".into()))
    );
    // No part of an API key is a token.
    let no_key = federated.chat("sk-sealgate-000000000000-x").await?;
    assert_eq!(
        refusal(no_key).await?,
        (401, Some("invalid_api_key".into()))
    );
    // Only the request that `new` made when the keys were there.
    assert_eq!(federated.world.engine.stats().prompts, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_of_the_issuer_is_fetched_and_an_outage_is_temporary() -> Result<()> {
    let federated = Federated::new("identity-rotation").await?;
    let second = TokenKey::p384("second");
    federated.provider.publish(&[&federated.key, &second]);
    let token = second.token("ES384", &federated.claims(json!({})));
    let seen = std::sync::Mutex::new(Vec::new());
    eventually("the new key is accepted", async || {
        let Ok(answer) = federated.chat(&token).await else {
            return false;
        };
        let status = answer.status.as_u16();
        let mut seen = seen.lock().expect("not poisoned");
        seen.push((status, answer.header("retry-after").map(str::to_owned)));
        status == 200
    })
    .await;
    // Refused as unknown within ten seconds of the last fetch, then fetched.
    let seen = seen.into_inner().expect("not poisoned");
    let retry = (503, Some("1".to_owned()));
    assert!(
        seen.iter()
            .all(|one| [200, 401].contains(&one.0) || *one == retry),
        "{seen:?}"
    );
    federated.provider.answer(KeysAnswer::Status(503));
    assert_eq!(federated.status(&token).await?, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_keys_tokens_get_an_answer_that_may_be_retried() -> Result<()> {
    let key = TokenKey::p256("first");
    let provider = IdentityProvider::start(&[&key]).await?;
    provider.answer(KeysAnswer::Silence);
    let more = callers(&provider);
    let world = Alone::new("identity-silence", |config, _| config.and(&more)).await?;
    let claims = json!({
        "iss": provider.issuer(), "sub": "user-1", "aud": "sealgate", "org": "acme", "exp": now() + 300,
    });
    let mut connection = world.enclave.connect().await?;
    let token = key.token("ES256", &claims);
    let answer = connection.post(&token, CHAT, &chat(MODEL, "hello")).await?;
    assert_eq!(answer.header("retry-after"), Some("1"));
    let refused = refusal(answer).await?;
    assert_eq!(refused, (503, Some("identity_unavailable".into())));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tokens_of_one_subject_share_its_limit() -> Result<()> {
    let key = TokenKey::p256("first");
    let provider = IdentityProvider::start(&[&key]).await?;
    let more = format!(
        "[limits]\nmax_concurrent_per_key = 1\n{}",
        callers(&provider)
    );
    let world = Alone::new("identity-limits", |config, _| config.and(&more)).await?;
    let token = |subject: &str, id: u32| {
        let claims = json!({
            "iss": provider.issuer(), "sub": subject, "aud": "sealgate", "org": "acme",
            "jti": id.to_string(), "exp": now() + 300,
        });
        key.token("ES256", &claims)
    };
    eventually("the provider's keys are here", async || {
        let Ok(mut connection) = world.enclave.connect().await else {
            return false;
        };
        let token = token("user-0", 0);
        let asked = connection.post(&token, CHAT, &chat(MODEL, "hello")).await;
        asked.is_ok_and(|answer| answer.status == 200)
    })
    .await;
    let stepper = world.engine.stepping();
    let mut busy = world.enclave.connect().await?;
    let mut held = busy
        .post(&token("user-1", 1), CHAT, &streamed(MODEL, "slowly"))
        .await?;
    stepper.release(1);
    next_chunk(&mut held, "the first chunk")
        .await
        .context("a chunk")?;
    // Another token of the same subject, then another subject.
    let mut connection = world.enclave.connect().await?;
    let request = chat(MODEL, "me too");
    let second = connection.post(&token("user-1", 2), CHAT, &request).await?;
    assert_eq!(
        refusal(second).await?,
        (429, Some("rate_limit_exceeded".into()))
    );
    let other = connection.post(&token("user-2", 3), CHAT, &request).await?;
    assert_eq!(other.status, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_has_the_role_that_a_rule_grants() -> Result<()> {
    let federated = Federated::new("identity-admin").await?;
    let (operator, viewer) = (
        federated.admin_token("operators"),
        federated.admin_token("viewers"),
    );
    let path = "/admin/v1/whoami";
    eventually("the administrators' keys are here", async || {
        federated
            .admin(&operator, path)
            .await
            .is_ok_and(|answer| answer.status == 200)
    })
    .await;
    for (token, role) in [(&operator, "operator"), (&viewer, "read-only")] {
        let shown = federated.admin(token, path).await?.json().await?;
        assert_eq!(
            (&shown["role"], &shown["name"]),
            (&json!(role), &json!("staff"))
        );
        assert!(
            shown["id"]
                .as_str()
                .is_some_and(|id| id.starts_with("jwt-")),
            "{shown}"
        );
    }
    assert_eq!(
        federated.admin(&operator, "/admin/v1/keys").await?.status,
        200
    );
    let keys = refusal(federated.admin(&viewer, "/admin/v1/keys").await?).await?;
    assert_eq!(keys, (403, Some("role_needed".into())));
    let none = federated
        .admin(&federated.admin_token("cleaners"), path)
        .await?;
    assert_eq!(refusal(none).await?, (403, Some("token_not_mapped".into())));
    // A caller's token is not an administrator's, nor the other way round.
    let caller = federated.admin(&federated.token(json!({})), path).await?;
    assert_eq!(refusal(caller).await?, (401, Some("token_audience".into())));
    let administrator = federated.chat(&operator).await?;
    assert_eq!(
        refusal(administrator).await?,
        (401, Some("token_audience".into()))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_begins_an_epoch_under_other_issuers() -> Result<()> {
    let key = TokenKey::ed25519("first");
    let provider = IdentityProvider::start(&[&key]).await?;
    let world = Alone::new("identity-reload", |config, _| config).await?;
    let claims = json!({
        "iss": provider.issuer(), "sub": "user-1", "aud": "sealgate", "org": "acme", "exp": now() + 300,
    });
    let token = key.token("EdDSA", &claims);
    let ask = async || -> Result<Answer> {
        let mut connection = world.enclave.connect().await?;
        connection.post(&token, CHAT, &chat(MODEL, "hello")).await
    };
    // Without an issuer a token is an API key that does not exist.
    assert_eq!(
        refusal(ask().await?).await?,
        (401, Some("invalid_api_key".into()))
    );
    let file = world.enclave.directory().join("sealgate.toml");
    let before = std::fs::read_to_string(&file)?;
    world
        .enclave
        .write_config(&format!("{before}{}", callers(&provider)))?;
    world.enclave.reload().await?;
    eventually("the token is accepted", async || {
        ask().await.is_ok_and(|answer| answer.status == 200)
    })
    .await;
    world.enclave.write_config(&before)?;
    world.enclave.reload().await?;
    assert_eq!(
        refusal(ask().await?).await?,
        (401, Some("invalid_api_key".into()))
    );
    Ok(())
}
