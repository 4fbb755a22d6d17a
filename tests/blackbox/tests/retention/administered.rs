//! Retention over the admin API, for services without a shell.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Request;
use serde_json::Value;

use crate::operated::Operated;
use crate::time::{HOUR, entries, everything_is_kept, kept, kept_for, note, now, said};
use blackbox::asking::eventually;
use testkit::client::{Answer, TlsClient};
use testkit::service::free_address;

/// A service with an administrator of two roles.
struct Administered {
    world: Operated,
    address: SocketAddr,
    auditor: String,
    operator: String,
}

impl Administered {
    async fn new(name: &str, terms: &str) -> Result<Self> {
        let address = free_address()?;
        let listener = format!("[admin]\nlisten = \"{address}\"");
        let world = Operated::serving(name, terms, |config| config.and(&listener)).await?;
        let key = async |role: &str| -> Result<String> {
            let arguments = ["admin", "create", "--role", role];
            let output = world.service.cli(&arguments).await?;
            ensure!(output.status.success(), "{output:?}");
            Ok(String::from_utf8(output.stdout)?.trim().to_owned())
        };
        let (auditor, operator) = (key("auditor").await?, key("operator").await?);
        Ok(Self {
            world,
            address,
            auditor,
            operator,
        })
    }

    async fn send(&self, key: &str, method: &str, path: &str, body: &str) -> Result<(u16, Value)> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json");
        let mut connection = TlsClient::observing().connect(self.address).await?;
        let body = Bytes::copy_from_slice(body.as_bytes());
        let answer: Answer = connection.send(request, body).await?;
        let status = answer.status.as_u16();
        let said = answer.bytes().await?;
        Ok((status, serde_json::from_slice(&said).unwrap_or(Value::Null)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_deletes_a_record_over_the_admin_api_and_an_auditor_does_not() -> Result<()> {
    let admin = Administered::new("administered-record", &kept_for("1h")).await?;
    let world = &admin.world;
    said(world, &world.key).await?;
    everything_is_kept(world).await;
    let id: String = sqlx::query_scalar("SELECT receipt_id FROM records")
        .fetch_one(&mut world.ledger().await?)
        .await?;
    let path = format!("/admin/v1/records/{id}");
    assert_eq!(
        admin.send(&admin.auditor, "DELETE", &path, "").await?.0,
        403
    );
    assert_eq!(kept(world).await?, (1, 1, 2));
    assert_eq!(
        admin.send(&admin.operator, "DELETE", &path, "").await?.0,
        204
    );
    assert_eq!(kept(world).await?, (1, 0, 0), "the usage row stays");
    assert_eq!(
        admin.send(&admin.operator, "DELETE", &path, "").await?.0,
        404
    );
    let log = world.state().join("audit.sqlite").display().to_string();
    eventually("the audit log tells of it", async || {
        let entry = "\"count\":1,\"kind\":\"records\",\"reason\":\"requested\"";
        let found = entries(&log).await;
        found.is_ok_and(|found| found.iter().any(|found| found.contains(entry)))
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_accepts_a_clock_over_the_admin_api() -> Result<()> {
    let mut admin = Administered::new("administered-clock", &kept_for("1h")).await?;
    admin.world.service.end("TERM").await?;
    note(&admin.world, now() - 30 * 24 * HOUR).await?;
    admin.world.service.start_again().await?;
    let path = "/admin/v1/retention/clock";
    let ahead = async || -> Result<i64> {
        let (status, clock) = admin.send(&admin.auditor, "GET", path, "").await?;
        ensure!(status == 200, "{status} {clock}");
        clock["system_ahead_s"].as_i64().context("seconds")
    };
    ensure!(ahead().await? > 29 * 24 * HOUR);
    let yes = "{\"accept\":true}";
    assert_eq!(admin.send(&admin.auditor, "POST", path, yes).await?.0, 403);
    for no in ["{}", "{\"accept\":false}", "{\"accept\":true,\"at\":1}"] {
        assert_eq!(
            admin.send(&admin.operator, "POST", path, no).await?.0,
            400,
            "{no}"
        );
    }
    ensure!(ahead().await? > 29 * 24 * HOUR, "nothing was accepted yet");
    assert_eq!(admin.send(&admin.operator, "POST", path, yes).await?.0, 200);
    ensure!(ahead().await? < 60);
    Ok(())
}
