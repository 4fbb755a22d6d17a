//! Records sealed to a tenant: opened with the stock tool, deleted, and what happens when they cannot be written.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::operated::{CANARY, METADATA, Operated, files_below, holds};
use attest_core::{Event, Receipt, Sha256Digest};
use blackbox::asking::{CHAT, chat, error, receipt, streamed};
use blackbox::world::MODEL;
use testkit::client::{Connection, post};
use testkit::scratch::ScratchDir;

/// A tenant's identity, and the recipient it opens for. None where `age` is not installed.
pub fn tenant(directory: &Path) -> Result<Option<(PathBuf, String)>> {
    let file = directory.join("tenant.key");
    let Ok(output) = Command::new("age-keygen").arg("-o").arg(&file).output() else {
        println!(
            "skipped: age is not installed (apt-get install age), so nothing opens what was sealed"
        );
        return Ok(None);
    };
    ensure!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(&file)?;
    let recipient = text
        .split("public key: ")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    Ok(Some((
        file.clone(),
        recipient.context("a recipient")?.to_owned(),
    )))
}

/// Opens a sealed file with the stock tool.
pub fn open(identity: &Path, sealed: &Path) -> Result<Vec<u8>> {
    let output = Command::new("age")
        .arg("--decrypt")
        .arg("-i")
        .arg(identity)
        .arg(sealed)
        .stdin(Stdio::null())
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

pub fn content(recipient: &str, more: &str) -> String {
    format!(
        "{METADATA}[[rule]]\ntenants = [\"bank\"]\nmode = \"content\"\nttl = \"365d\"\nrecipients = [\"{recipient}\"]\n{more}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_age_recipient_can_decrypt_a_record_and_it_matches_the_receipt() -> Result<()> {
    let scratch = ScratchDir::new("retention-tenant")?;
    let Some((identity, recipient)) = tenant(scratch.path())? else {
        return Ok(());
    };
    let world = Operated::new("retention-content", &content(&recipient, "")).await?;
    // Larger than several of age's chunks, and one of almost nothing.
    for (index, request) in [
        streamed(MODEL, CANARY),
        chat(MODEL, CANARY),
        chat(MODEL, &CANARY.repeat(20_000)),
    ]
    .iter()
    .enumerate()
    {
        let mut connection = world.service.connect().await?;
        let answer = connection.post(&world.key, CHAT, request).await?;
        assert_eq!(answer.status, 200);
        let id = answer
            .header("x-receipt-id")
            .context("a receipt id")?
            .to_owned();
        let body = answer.bytes().await?;
        let found = Receipt::parse(&receipt(&mut connection, &world.key, &id).await?)?;
        let (mut asked, mut returned) = (None, None);
        for event in &found.body().events {
            match event {
                Event::RequestReceived { body_hash } => asked = Some(*body_hash),
                Event::ResponseReturned { body_hash } => returned = Some(*body_hash),
                _ => {}
            }
        }
        for (part, expected, bytes) in [
            ("request", asked, request.to_string().into_bytes()),
            ("response", returned, body),
        ] {
            let answer = connection
                .get_as(&world.key, &format!("/v1/sealgate/records/{id}/{part}"))
                .await?;
            assert_eq!(answer.status, 200, "{part}");
            let sealed = scratch.write(&format!("{index}.{part}.age"), answer.bytes().await?)?;
            let opened = open(&identity, &sealed)?;
            assert_eq!(opened, bytes, "{part} {index}");
            assert_eq!(
                Some(Sha256Digest::hash(&opened)),
                expected,
                "{part} {index}"
            );
        }
    }
    // Neither another identity, nor anything that lies about, opens or holds it.
    let other = ScratchDir::new("retention-other")?;
    let (stranger, _) = tenant(other.path())?.context("age was there before")?;
    ensure!(open(&stranger, &scratch.path().join("0.request.age")).is_err());
    for (place, bytes) in world.everything_kept().await? {
        ensure!(!holds(&bytes, CANARY), "{place} holds what was said");
    }
    // It is the tenant's, and of the key that made the request.
    let stranger = world.service.create_key("other").await?;
    let name = files_below(&world.state().join("records"))?[0].0.clone();
    let id = Path::new(&name)
        .file_name()
        .and_then(|n| n.to_str())
        .and_then(|n| n.split('.').next());
    let path = format!("/v1/sealgate/records/{}/request", id.context("an id")?);
    let mut connection = world.service.connect().await?;
    assert_eq!(connection.get_as(&stranger, &path).await?.status, 404);
    assert_eq!(connection.get(&path).await?.status, 401);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_roles_permitted_by_the_policy_delete_a_record_and_its_receipt_stays() -> Result<()> {
    let recipient = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
    let world = Operated::new(
        "retention-deletion",
        &content(recipient, "deletion = \"caller\""),
    )
    .await?;
    let ask = async || -> Result<(Connection, String)> {
        let mut connection = world.service.connect().await?;
        let answer = connection
            .post(&world.key, CHAT, &chat(MODEL, CANARY))
            .await?;
        let id = answer
            .header("x-receipt-id")
            .context("a receipt id")?
            .to_owned();
        answer.bytes().await?;
        Ok((connection, id))
    };
    let records = world.state().join("records");
    let there = |id: &str| -> Result<usize> {
        let names = files_below(&records)?;
        Ok(names.iter().filter(|(name, _)| name.contains(id)).count())
    };
    let delete = async |connection: &mut Connection, key: &str, id: &str| -> Result<u16> {
        let path = format!("/v1/sealgate/records/{id}");
        let request = post(&path, key).method("DELETE");
        Ok(connection
            .send(request, Default::default())
            .await?
            .status
            .as_u16())
    };
    let (mut connection, id) = ask().await?;
    assert_eq!(there(&id)?, 2);
    let stranger = world.service.create_key("other").await?;
    assert_eq!(delete(&mut connection, &stranger, &id).await?, 404);
    assert_eq!(there(&id)?, 2);
    assert_eq!(delete(&mut connection, &world.key, &id).await?, 204);
    assert_eq!(there(&id)?, 0);
    assert_eq!(delete(&mut connection, &world.key, &id).await?, 404);
    receipt(&mut connection, &world.key, &id).await?;

    let before = world.policy().await?;
    world
        .toggle(2, &before, &content(recipient, "deletion = \"operator\""))
        .await?;
    let (mut connection, id) = ask().await?;
    assert_eq!(delete(&mut connection, &world.key, &id).await?, 403);
    assert_eq!(there(&id)?, 2);
    let (code, said) = world.cli(&["retention", "delete", &id]).await?;
    ensure!(code == 0, "{said}");
    assert_eq!(there(&id)?, 0);
    let (code, said) = world.cli(&["retention", "delete", &id]).await?;
    ensure!(
        code == 2 && said.contains("there is no record"),
        "{code} {said}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_deletes_no_records_and_the_operator_still_does() -> Result<()> {
    let recipient = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
    let policy = content(recipient, "deletion = \"caller\"");
    let world = Operated::new("retention-revoked", &policy).await?;
    let mut connection = world.service.connect().await?;
    let answer = connection
        .post(&world.key, CHAT, &chat(MODEL, CANARY))
        .await?;
    let id = answer.header("x-receipt-id").context("an id")?.to_owned();
    answer.bytes().await?;
    let key_id = world.key.split('-').nth(2).context("an id")?;
    let (code, said) = world.cli(&["keys", "revoke", key_id]).await?;
    ensure!(code == 0, "{said}");
    let path = format!("/v1/sealgate/records/{id}");
    let request = post(&path, &world.key).method("DELETE");
    let refused = error(connection.send(request, Default::default()).await?).await?;
    assert_eq!(
        (refused.status, refused.code.as_deref()),
        (401, Some("invalid_api_key"))
    );
    let names = files_below(&world.state().join("records"))?;
    let kept = names.iter().filter(|(name, _)| name.contains(&id)).count();
    assert_eq!(kept, 2);
    let (code, said) = world.cli(&["retention", "delete", &id]).await?;
    ensure!(code == 0, "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn unrecordable_requests_are_refused_or_marked_as_the_policy_requires() -> Result<()> {
    let recipient = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
    let world = Operated::new("retention-failure", &content(recipient, "")).await?;
    // Where the folder should be there is a file: no process can write there.
    std::fs::write(world.state().join("records"), "in the way")?;
    let mut connection = world.service.connect().await?;
    let prompts = world.engine.stats().prompts;
    let answer = connection
        .post(&world.key, CHAT, &chat(MODEL, CANARY))
        .await?;
    let id = answer
        .header("x-receipt-id")
        .context("a receipt id")?
        .to_owned();
    let refused = error(answer).await?;
    assert_eq!(
        (refused.status, refused.code.as_deref()),
        (503, Some("retention_failed"))
    );
    assert_eq!(
        world.engine.stats().prompts,
        prompts,
        "nothing was forwarded"
    );
    receipt(&mut connection, &world.key, &id).await?;

    let before = world.policy().await?;
    world
        .toggle(2, &before, &content(recipient, "on_failure = \"serve\""))
        .await?;
    let mut connection = world.service.connect().await?;
    let answer = connection
        .post(&world.key, CHAT, &streamed(MODEL, CANARY))
        .await?;
    assert_eq!(answer.status, 200);
    let id = answer
        .header("x-receipt-id")
        .context("a receipt id")?
        .to_owned();
    answer.bytes().await?;
    let found = receipt(&mut connection, &world.key, &id).await?;
    ensure!(
        holds(&found, "sealgate.retention.failed"),
        "{}",
        String::from_utf8_lossy(&found)
    );
    Ok(())
}
