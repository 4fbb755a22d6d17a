//! The admin listener: authentication, roles and answers.

#[path = "admin/export.rs"]
mod export;
#[path = "admin/log.rs"]
mod log;
#[path = "admin/retention.rs"]
mod retention;
#[path = "admin/tenants.rs"]
mod tenants;

use std::net::SocketAddr;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use blackbox::asking::{CHAT, chat, error, eventually};
use blackbox::world::{Alone, MODEL, World};
use testkit::client::{Answer, Connection, TlsClient};
use testkit::service::{Service, free_address};

/// A service with an admin listener, and an admin key for each role.
struct Administered {
    world: Alone,
    address: SocketAddr,
    viewer: String,
    auditor: String,
    operator: String,
}

impl Administered {
    async fn new(name: &str) -> Result<Self> {
        Self::with(name, "").await
    }

    async fn with(name: &str, more: &str) -> Result<Self> {
        let address = free_address()?;
        let listener = format!("[admin]\nlisten = \"{address}\"\n{more}");
        let world = Alone::new(name, |config, _| config.and(&listener)).await?;
        let keys = [
            admin_key(&world.enclave, "read-only").await?,
            admin_key(&world.enclave, "auditor").await?,
            admin_key(&world.enclave, "operator").await?,
        ];
        let [viewer, auditor, operator] = keys;
        Ok(Self {
            world,
            address,
            viewer,
            auditor,
            operator,
        })
    }

    async fn connect(&self) -> Result<Connection> {
        connect(self.address).await
    }

    async fn get(&self, key: &str, path: &str) -> Result<Answer> {
        self.connect().await?.get_as(key, path).await
    }

    async fn send(&self, key: &str, method: &str, path: &str, body: &[u8]) -> Result<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json");
        let mut connection = self.connect().await?;
        connection.send(request, Bytes::copy_from_slice(body)).await
    }
}

async fn connect(address: SocketAddr) -> Result<Connection> {
    TlsClient::observing().connect(address).await
}

async fn admin_key(service: &Service, role: &str) -> Result<String> {
    let output = service.cli(&["admin", "create", "--role", role]).await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(output.status.success(), "{said}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

async fn refusal(answer: Answer) -> Result<(u16, Option<String>)> {
    let refused = error(answer).await?;
    Ok((refused.status, refused.code))
}

const READABLE: [&str; 6] = [
    "/admin/v1/whoami",
    "/admin/v1/status",
    "/admin/v1/attestation",
    "/admin/v1/upstreams",
    "/admin/v1/sessions",
    "/admin/v1/usage",
];

#[tokio::test(flavor = "multi_thread")]
async fn rejects_requests_without_an_admin_key_and_with_an_api_key() -> Result<()> {
    let admin = Administered::new("admin-keys").await?;
    for path in READABLE.into_iter().chain([
        "/admin/v1/keys",
        "/admin/v1/tenants",
        "/admin/v1/retention",
        "/admin/v1/log",
        "/admin/v1/log/export",
    ]) {
        let without_key = admin.connect().await?.get(path).await?;
        assert_eq!(refusal(without_key).await?, (401, None), "{path}");
        let mut almost = admin.operator.clone();
        let last = if almost.pop() == Some('A') { 'B' } else { 'A' };
        almost.push(last);
        for key in [admin.world.key.as_str(), &almost] {
            let other = refusal(admin.get(key, path).await?).await?;
            assert_eq!(other, (401, Some("invalid_api_key".into())), "{path}");
        }
    }
    let mut public = admin.world.enclave.connect().await?;
    let question = chat(MODEL, "may I?");
    let asked = public.post(&admin.operator, CHAT, &question).await?;
    let refused = refusal(asked).await?;
    assert_eq!(refused, (401, Some("invalid_api_key".into())));
    let elsewhere = public.get_as(&admin.operator, "/admin/v1/status").await?;
    assert_eq!(
        refusal(elsewhere).await?.0,
        404,
        "not on the public listener"
    );
    let here = admin.get(&admin.operator, "/v1/models").await?;
    assert_eq!(refusal(here).await?.0, 404, "not on the admin listener");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_has_exactly_its_permissions() -> Result<()> {
    let admin = Administered::new("admin-roles").await?;
    for key in [&admin.viewer, &admin.auditor, &admin.operator] {
        for path in READABLE {
            assert_eq!(admin.get(key, path).await?.status, 200, "{path}");
        }
    }
    let needs = |role: &str| (403, Some("role_needed".to_owned()), role.to_owned());
    let keys = "/admin/v1/keys";
    let wanted = br#"{"tenant":"acme"}"#;
    for (key, method, path, needed) in [
        (&admin.viewer, "GET", keys, "auditor"),
        (&admin.viewer, "GET", "/admin/v1/retention", "auditor"),
        (&admin.viewer, "POST", "/admin/v1/retention/plan", "auditor"),
        (&admin.viewer, "GET", "/admin/v1/log", "auditor"),
        (&admin.viewer, "GET", "/admin/v1/log/receipts/0", "auditor"),
        (&admin.viewer, "GET", "/admin/v1/log/export", "auditor"),
        (&admin.viewer, "GET", "/admin/v1/tenants", "auditor"),
        (
            &admin.auditor,
            "DELETE",
            "/admin/v1/tenants/tests",
            "operator",
        ),
        (&admin.auditor, "POST", "/admin/v1/retention", "operator"),
        (&admin.viewer, "POST", keys, "operator"),
        (&admin.auditor, "POST", keys, "operator"),
        (
            &admin.auditor,
            "DELETE",
            "/admin/v1/keys/000000000000",
            "operator",
        ),
    ] {
        let refused = error(admin.send(key, method, path, wanted).await?).await?;
        assert!(
            refused.message.ends_with(&format!("the role {needed}.")),
            "{refused:?}"
        );
        assert_eq!(
            (refused.status, refused.code, needed.to_owned()),
            needs(needed)
        );
    }
    assert_eq!(admin.get(&admin.auditor, keys).await?.status, 200);
    let listed = admin.get(&admin.operator, keys).await?.json().await?;
    let tenants: Vec<&Value> = listed["keys"].as_array().into_iter().flatten().collect();
    assert!(
        tenants.iter().all(|key| key["tenant"] != "acme"),
        "{listed}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_creates_and_revokes_a_working_key() -> Result<()> {
    let admin = Administered::new("admin-makes").await?;
    let body = br#"{"tenant":"acme","name":"batch-jobs"}"#;
    let made = admin
        .send(&admin.operator, "POST", "/admin/v1/keys", body)
        .await?;
    assert_eq!(made.status, 201);
    let made = made.json().await?;
    let (id, key) = (
        made["id"].as_str().context("id")?,
        made["key"].as_str().context("key")?,
    );
    let works = async |wanted: u16| {
        let mut connection = admin.world.enclave.connect().await.expect("connected");
        let answer = connection.post(key, CHAT, &chat(MODEL, "may I?")).await;
        answer.expect("an answer").status == wanted
    };
    eventually("the key counts", async || works(200).await).await;
    let path = format!("/admin/v1/keys/{id}");
    assert_eq!(
        admin
            .send(&admin.operator, "DELETE", &path, b"")
            .await?
            .status,
        204
    );
    eventually("the key counts no more", async || works(401).await).await;
    let again = refusal(admin.send(&admin.operator, "DELETE", &path, b"").await?).await?;
    assert_eq!(again.0, 404);

    let listed = admin
        .get(&admin.auditor, "/admin/v1/keys")
        .await?
        .json()
        .await?;
    let rows = listed["keys"].as_array().context("keys")?;
    let row = rows.iter().find(|row| row["id"] == id).context("the key")?;
    assert_eq!(
        (&row["tenant"], &row["name"]),
        (&json!("acme"), &json!("batch-jobs"))
    );
    assert!(row["revoked_at"].is_string() && !listed.to_string().contains(key));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_malformed_key_requests_with_a_reason() -> Result<()> {
    let admin = Administered::new("admin-bad").await?;
    let long = format!(r#"{{"tenant":"{}"}}"#, "x".repeat(40_000));
    for (body, status) in [
        (&b""[..], 400),
        (b"{}", 400),
        (b"[]", 400),
        (br#"{"tenant":""}"#, 400),
        (br#"{"tenant":"a\nb"}"#, 400),
        (br#"{"tenant":7}"#, 400),
        (br#"{"tenant":"acme","role":"operator"}"#, 400),
        (br#"{"tenant":"acme","name":" "}"#, 400),
        (long.as_bytes(), 413),
    ] {
        let answer = admin
            .send(&admin.operator, "POST", "/admin/v1/keys", body)
            .await?;
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert_eq!(refusal(answer).await?.0, status, "{shown}");
    }
    let listed = admin
        .get(&admin.operator, "/admin/v1/keys")
        .await?
        .json()
        .await?;
    assert_eq!(listed["keys"].as_array().map(Vec::len), Some(1), "{listed}");
    let patch = admin
        .send(&admin.operator, "PATCH", "/admin/v1/keys", b"{}")
        .await?;
    assert_eq!(patch.header("allow"), Some("GET, HEAD, POST"));
    assert_eq!(refusal(patch).await?.0, 405);
    for query in [
        "since=x",
        "since=9&until=3",
        "until=253402300800",
        "team=acme",
    ] {
        let path = format!("/admin/v1/usage?{query}");
        assert_eq!(
            refusal(admin.get(&admin.viewer, &path).await?).await?.0,
            400,
            "{query}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_the_next_request_of_a_revoked_admin_key() -> Result<()> {
    let admin = Administered::new("admin-revoked").await?;
    let mut connection = admin.connect().await?;
    let who = connection
        .get_as(&admin.auditor, "/admin/v1/whoami")
        .await?;
    let who = who.json().await?;
    assert_eq!(who["role"], "auditor");
    let id = who["id"].as_str().context("an id")?;
    let output = admin.world.enclave.cli(&["admin", "revoke", id]).await?;
    assert!(output.status.success());
    let refused = connection
        .get_as(&admin.auditor, "/admin/v1/whoami")
        .await?;
    assert_eq!(refusal(refused).await?.0, 401);
    let listed = admin.world.enclave.cli(&["admin", "list"]).await?;
    let listed = String::from_utf8(listed.stdout)?;
    let line = listed
        .lines()
        .find(|line| line.starts_with(id))
        .context("listed")?;
    assert!(
        line.contains("revoked") && line.contains("auditor"),
        "{line}"
    );
    assert!(!listed.contains("sk-sealgate"), "{listed}");
    let again = admin.world.enclave.cli(&["admin", "revoke", id]).await?;
    assert_eq!(again.status.code(), Some(2));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_the_active_epoch_and_policy() -> Result<()> {
    let admin = Administered::new("admin-contract").await?;
    let mut connection = admin.connect().await?;
    let spki = connection.spki_sha256().context("a TLS key")?;
    assert_eq!(
        admin.world.enclave.connect().await?.spki_sha256(),
        Some(spki),
        "an administrator can verify the key that clients verify"
    );
    let status = connection.get_as(&admin.viewer, "/admin/v1/status").await?;
    let keyset = status.header("x-aci-keyset-digest").map(str::to_owned);
    let status = status.json().await?;
    assert_eq!(
        status["epoch"]["keyset_digest"].as_str().map(str::to_owned),
        keyset
    );
    let challenge = format!("/v1/aci/attestation?nonce={}", "5a".repeat(32));
    let challenged = connection.get(&challenge).await?;
    assert_eq!(challenged.status, 200, "before there is a key to show");
    let challenged = challenged.json().await?;
    assert_eq!(
        challenged["workload_keyset_digest"],
        status["epoch"]["keyset_digest"]
    );
    let report = connection
        .get_as(&admin.viewer, "/admin/v1/attestation")
        .await?;
    let shown = report.json().await?;
    let mut public = admin.world.enclave.connect().await?;
    let published = public.get("/v1/aci/attestation").await?.json().await?;
    assert_eq!(
        shown["attestation"]["workload_keyset"],
        published["attestation"]["workload_keyset"]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_usage_and_verified_upstreams() -> Result<()> {
    let address = free_address()?;
    let listener = format!("[admin]\nlisten = \"{address}\"");
    let world = World::with(
        "admin-upstreams",
        |config| config,
        |config, _, _| config.and(&listener),
    )
    .await?;
    let viewer = admin_key(&world.gateway, "read-only").await?;
    let mut client = world.gateway.connect().await?;
    let answer = client.post(&world.key, CHAT, &chat(MODEL, "hello")).await?;
    assert_eq!(answer.status, 200);
    answer.bytes().await?;
    let ask = async |path: &str| {
        let mut connection = connect(address).await.expect("connected");
        let answer = connection.get_as(&viewer, path).await.expect("an answer");
        answer.json().await.expect("JSON")
    };
    let upstreams = ask("/admin/v1/upstreams").await;
    assert_eq!(upstreams["upstreams"][0]["verified"], true, "{upstreams}");
    let sessions = ask("/admin/v1/sessions").await;
    let session = &sessions["sessions"][0];
    assert_eq!(session["in_force"], true, "{sessions}");
    assert_eq!(
        session["session_id"],
        upstreams["upstreams"][0]["sessions"][0]["session_id"]
    );
    assert!(session["evidence"]["data"].is_null(), "abbreviated");
    let id = session["session_id"].as_str().context("an id")?;
    let whole = ask(&format!("/admin/v1/sessions/{id}")).await;
    assert!(!whole["evidence"]["data"].is_null(), "{whole}");
    assert_eq!(
        ask("/admin/v1/sessions?count=0").await["sessions"],
        json!([])
    );
    eventually("usage is written down", async || {
        let usage = ask("/admin/v1/usage").await;
        let row = &usage["usage"][0];
        row["requests"] == 1
            && row["failed"] == 0
            && row["model"] == MODEL
            && row["tenant"] == "tests"
            && row["completion_tokens"].as_u64() > Some(0)
    })
    .await;
    let (past, none) = (ask("/admin/v1/usage?until=1000").await, json!([]));
    assert_eq!(past["usage"], none);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_is_one_page_that_runs_nothing_but_its_own_script() -> Result<()> {
    let admin = Administered::new("admin-console").await?;
    let mut connection = admin.connect().await?;
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/console.css", "text/css; charset=utf-8"),
        ("/console.js", "text/javascript; charset=utf-8"),
    ] {
        let part = connection.get(path).await?;
        assert_eq!(part.header("content-type"), Some(kind));
        let policy = part
            .header("content-security-policy")
            .context("a policy")?
            .to_owned();
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(part.header("x-content-type-options"), Some("nosniff"));
        let text = String::from_utf8(part.bytes().await?)?;
        for foreign in [
            "http://",
            "https://",
            "//cdn",
            "localStorage",
            "sessionStorage",
            "document.cookie",
        ] {
            assert!(!text.contains(foreign), "{path} names {foreign}");
        }
        assert!(
            !text.contains("innerHTML") && !text.contains("eval("),
            "{path}"
        );
    }
    Ok(())
}
