//! Tenants as administrators list and remove them.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Administered, refusal};
use blackbox::asking::eventually;

async fn made(admin: &Administered, tenant: &str) -> Result<String> {
    let body = json!({ "tenant": tenant }).to_string();
    let made = admin
        .send(&admin.operator, "POST", "/admin/v1/keys", body.as_bytes())
        .await?;
    assert_eq!(made.status, 201);
    let key = made.json().await?["key"]
        .as_str()
        .context("a key")?
        .to_owned();
    eventually("the key counts", async || counts(admin, &key).await).await;
    Ok(key)
}

async fn counts(admin: &Administered, key: &str) -> bool {
    let Ok(mut connection) = admin.world.enclave.connect().await else {
        return false;
    };
    let asked = connection.get_as(key, "/v1/models").await;
    asked.is_ok_and(|answer| answer.status == 200)
}

async fn listed(admin: &Administered, tenant: &str) -> Result<Value> {
    let all = admin.get(&admin.auditor, "/admin/v1/tenants").await?;
    let all = all.json().await?;
    let rows = all["tenants"].as_array().context("tenants")?;
    let row = rows.iter().find(|row| row["tenant"] == tenant);
    row.cloned()
        .with_context(|| format!("no {tenant} in {all}"))
}

async fn logged(admin: &Administered, action: &str, subject: &str) -> Result<usize> {
    let log = admin.get(&admin.auditor, "/admin/v1/log?count=500").await?;
    let log = log.json().await?;
    let entries = log["entries"].as_array().context("entries")?;
    let about = |row: &&Value| row["entry"]["action"] == action && row["subject"] == subject;
    Ok(entries.iter().filter(about).count())
}

#[tokio::test(flavor = "multi_thread")]
async fn creating_the_first_key_adds_a_tenant_and_removing_the_tenant_revokes_all_keys()
-> Result<()> {
    let admin = Administered::new("admin-tenants").await?;
    let keys = [made(&admin, "acme").await?, made(&admin, "acme").await?];
    let other = made(&admin, "acme-too").await?;
    let row = listed(&admin, "acme").await?;
    assert_eq!(
        (&row["active_keys"], &row["revoked_keys"], &row["retention"]),
        (&json!(2), &json!(0), &json!("metadata"))
    );
    let path = "/admin/v1/tenants/acme";
    let removed = admin.send(&admin.operator, "DELETE", path, b"").await?;
    assert_eq!(removed.status, 200);
    assert_eq!(removed.json().await?["revoked_keys"], 2);
    for key in &keys {
        eventually("the key is no longer accepted", async || {
            !counts(&admin, key).await
        })
        .await;
    }
    assert!(
        counts(&admin, &other).await,
        "another tenant's key is accepted"
    );
    let row = listed(&admin, "acme").await?;
    assert_eq!(
        (&row["active_keys"], &row["revoked_keys"]),
        (&json!(0), &json!(2))
    );
    for missing in [path, "/admin/v1/tenants/unknown", "/admin/v1/tenants/%20"] {
        let again = admin.send(&admin.operator, "DELETE", missing, b"").await?;
        assert_eq!(refusal(again).await?.0, 404, "{missing}");
    }
    eventually("the log has one entry for each", async || {
        logged(&admin, "tenant.created", "tenant acme").await.ok() == Some(1)
            && logged(&admin, "tenant.removed", "tenant acme").await.ok() == Some(1)
            && logged(&admin, "tenant.removed", "tenant acme-too")
                .await
                .ok()
                == Some(0)
    })
    .await;
    Ok(())
}
