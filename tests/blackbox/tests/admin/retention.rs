//! Policy changes through the admin API: only policies signed by the operator's keys, in their order.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Administered;
use attest_core::SigningKey;
use attest_core::retention::{PolicySignatures, RetentionPolicy};
use blackbox::asking::{error, eventually};
use testkit::scratch::ScratchDir;

const PATH: &str = "/admin/v1/retention";
const PLAN: &str = "/admin/v1/retention/plan";

fn operators_key() -> SigningKey {
    SigningKey::from_seed("operator", &[0x0b; 32]).expect("a seed")
}

fn policy(epoch: u64, predecessor: Option<&str>, mode: &str) -> String {
    let predecessor = predecessor.map_or(String::new(), |of| format!("predecessor = \"{of}\"\n"));
    let ttl = if mode == "zero" {
        ""
    } else {
        "ttl = \"30d\"\n"
    };
    format!(
        "format = \"sealgate/retention/2\"\nepoch = {epoch}\n{predecessor}[default]\nmode = \"{mode}\"\n{ttl}"
    )
}

fn signed(policy: &str, key: &SigningKey) -> Result<String> {
    let digest = RetentionPolicy::from_toml(policy)?.digest();
    let mut signatures = PolicySignatures::default();
    signatures.sign(digest, key);
    Ok(signatures.to_string())
}

/// A service whose retention one key decides on, at its first policy.
async fn decided_by_one_key(name: &str) -> Result<(ScratchDir, Administered)> {
    let folder = ScratchDir::new("policies")?;
    let first = policy(1, None, "metadata");
    let file = folder.write("first.toml", &first)?;
    folder.write("first.toml.sig", &signed(&first, &operators_key())?)?;
    let key = attest_core::to_hex(operators_key().verifying_key().as_bytes());
    let section = format!(
        "[retention]\npolicy = \"{}\"\nkeys = [\"{key}\"]",
        file.display()
    );
    let admin = Administered::with(name, &section).await?;
    Ok((folder, admin))
}

async fn in_force(admin: &Administered) -> Result<(u64, String)> {
    let shown = admin.get(&admin.auditor, PATH).await?.json().await?;
    let policy = &shown["in_force"];
    let digest = policy["digest"].as_str().context("a digest")?;
    Ok((
        policy["epoch"].as_u64().context("an epoch")?,
        digest.to_owned(),
    ))
}

fn body(policy: &str, signatures: &str) -> Vec<u8> {
    let body = json!({ "policy": policy, "signatures": signatures });
    body.to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_policy_is_planned_then_set_and_a_new_epoch_begins() -> Result<()> {
    let (_folder, admin) = decided_by_one_key("admin-toggle").await?;
    let (epoch, digest) = in_force(&admin).await?;
    assert_eq!(epoch, 1);
    let old_key = admin.connect().await?.spki_sha256();

    let next = policy(2, Some(&digest), "zero");
    let unsigned = admin
        .send(&admin.auditor, "POST", PLAN, &body(&next, ""))
        .await?;
    let plan = unsigned.json().await?;
    assert_eq!(plan["can_be_set"], false, "{plan}");
    assert_eq!(plan["to"]["most"], "zero");
    let changes = plan["changes"].as_array().context("changes")?;
    assert!(!changes.is_empty() && changes.iter().all(|change| change["changes"] == true));

    let signatures = signed(&next, &operators_key())?;
    let signed_plan = admin
        .send(&admin.auditor, "POST", PLAN, &body(&next, &signatures))
        .await?;
    assert_eq!(signed_plan.json().await?["can_be_set"], true);
    assert_eq!(in_force(&admin).await?.0, 1, "a plan changes nothing");

    let set = admin
        .send(&admin.operator, "POST", PATH, &body(&next, &signatures))
        .await?;
    assert_eq!(set.status, 200);
    assert_eq!(set.json().await?["installed"], "next");
    eventually("the new epoch", async || {
        in_force(&admin).await.is_ok_and(|(epoch, _)| epoch == 2)
    })
    .await;
    assert_ne!(
        admin.connect().await?.spki_sha256(),
        old_key,
        "a new TLS key"
    );
    let shown = admin.get(&admin.auditor, PATH).await?.json().await?;
    let most: Vec<&Value> = shown["history"]
        .as_array()
        .context("history")?
        .iter()
        .map(|row| &row["most"])
        .collect();
    assert_eq!(most, ["metadata", "zero"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_a_policy_whose_signature_is_missing_or_for_another_epoch() -> Result<()> {
    let (_folder, admin) = decided_by_one_key("admin-refused").await?;
    let (_, digest) = in_force(&admin).await?;
    let next = policy(2, Some(&digest), "zero");
    let stranger = SigningKey::from_seed("stranger", &[0x66; 32])?;
    let skipping = policy(3, Some(&digest), "zero");
    let elsewhere = policy(2, Some(&format!("sha256:{}", "ab".repeat(32))), "zero");
    let again = policy(1, None, "zero");
    let other = policy(2, Some(&digest), "metadata");
    let key = operators_key();
    for (what, status, policy, signatures) in [
        ("no signature", 409, &next, String::new()),
        (
            "a stranger's signature",
            409,
            &next,
            signed(&next, &stranger)?,
        ),
        (
            "another policy's signature",
            409,
            &next,
            signed(&other, &key)?,
        ),
        ("a gap", 409, &skipping, signed(&skipping, &key)?),
        ("another place", 409, &elsewhere, signed(&elsewhere, &key)?),
        ("an older epoch", 409, &again, signed(&again, &key)?),
        ("no policy", 400, &"epoch = 2".to_owned(), String::new()),
        ("no signatures", 400, &next, "none".to_owned()),
    ] {
        let posted = body(policy, &signatures);
        let answer = admin.send(&admin.operator, "POST", PATH, &posted).await?;
        let refused = error(answer).await?;
        assert_eq!(refused.status, status, "{what}: {refused:?}");
        let code = if status == 409 {
            "policy_refused"
        } else {
            "policy_unreadable"
        };
        assert_eq!(refused.code.as_deref(), Some(code), "{what}");
    }
    assert_eq!(in_force(&admin).await?, (1, digest));
    Ok(())
}
