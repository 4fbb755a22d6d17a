//! Rules about the roles that identity rules grant.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde_json::json;

use super::support::Gateway;
use blackbox::asking::{CHAT, chat, error, eventually};
use testkit::identity::{IdentityProvider, TokenKey};

const RULES: &str = r#"
[[rule]]
code = "leads"
effect = "allow"
roles = ["lead"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_matches_the_roles_that_a_token_is_granted() -> Result<()> {
    let key = TokenKey::p256("first");
    let provider = IdentityProvider::start(&[&key]).await?;
    let issuer = provider.issuer();
    let identity = format!(
        "[[identity.issuers]]\nname = \"corporate\"\nissuer = \"{issuer}\"\nfor = \"callers\"\naudiences = [\"sealgate\"]\n\
         [[identity.issuers.rules]]\nclaim = [\"groups\"]\nequals = \"leads\"\ntenant = \"tests\"\nroles = [\"lead\", \"engineer\"]\n\
         [[identity.issuers.rules]]\ntenant = \"tests\"\n"
    );
    let gateway = Gateway::start("authz-roles", RULES, &identity).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let token = |group: &str| {
        let claims = json!({
            "iss": issuer, "sub": "user-1", "aud": "sealgate", "groups": [group], "iat": now, "exp": now + 300,
        });
        key.token("ES256", &claims)
    };
    let status = async |token: &str| -> Result<u16> {
        let mut connection = gateway.service.connect().await?;
        let answer = connection
            .post(token, CHAT, &chat("open", "may I?"))
            .await?;
        Ok(answer.status.as_u16())
    };
    // Keys are fetched in the background; until they are here, tokens get 503.
    eventually("a lead is served", async || {
        status(&token("leads"))
            .await
            .is_ok_and(|status| status == 200)
    })
    .await;
    let mut connection = gateway.service.connect().await?;
    for credential in [&token("others"), &gateway.key] {
        let answer = connection
            .post(credential, CHAT, &chat("open", "may I?"))
            .await?;
        let refused = error(answer).await?;
        assert_eq!(refused.code.as_deref(), Some("not_authorized"));
    }
    Ok(())
}
