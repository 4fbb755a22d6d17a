//! The audit log exported over the admin API, and verified as an auditor does.

use std::path::Path;

use anyhow::{Result, ensure};

use super::{Administered, refusal};
use blackbox::asking::{CHAT, chat, eventually};
use blackbox::world::MODEL;
use testkit::process::{run, sibling};

/// Fetches the archive and unpacks it with the system's tar.
async fn taken_home(admin: &Administered, name: &str, query: &str) -> Result<()> {
    let path = format!("/admin/v1/log/export{query}");
    let mut connection = admin.connect().await?;
    let answer = connection.get_as(&admin.auditor, &path).await?;
    ensure!(answer.status == 200, "{}", answer.status);
    assert_eq!(answer.header("content-type"), Some("application/x-tar"));
    let home = admin.world.directory.path();
    let archive = home.join(format!("{name}.tar"));
    std::fs::write(&archive, answer.bytes().await?)?;
    std::fs::create_dir(home.join(name))?;
    let unpacked = std::process::Command::new("tar")
        .arg("-xf")
        .arg(&archive)
        .arg("-C")
        .arg(home.join(name))
        .output()?;
    ensure!(unpacked.status.success(), "{unpacked:?}");
    Ok(())
}

async fn replayed(admin: &Administered, name: &str) -> Result<(i32, String)> {
    let arguments = ["log", "replay", "--export", name];
    let home = admin.world.directory.path();
    let output = run(&sibling("sealgate-verify")?, arguments, home).await?;
    let said = String::from_utf8([output.stdout, output.stderr].concat())?;
    Ok((output.status.code().unwrap_or(-1), said))
}

fn files_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_replays_the_exported_log_and_a_truncated_archive_is_rejected() -> Result<()> {
    let admin = Administered::new("admin-export").await?;
    let mut client = admin.world.enclave.connect().await?;
    let answer = client
        .post(&admin.world.key, CHAT, &chat(MODEL, "hello"))
        .await?;
    answer.bytes().await?;
    eventually("the receipt is entered", async || {
        let log = admin.get(&admin.auditor, "/admin/v1/log?count=500").await;
        let Ok(answer) = log else { return false };
        answer
            .json()
            .await
            .is_ok_and(|log| log.to_string().contains("\"receipts\""))
    })
    .await;
    taken_home(&admin, "public", "").await?;
    let (code, said) = replayed(&admin, "public").await?;
    ensure!(code == 0 && said.contains("ACCEPTED"), "{code} {said}");
    let home = admin.world.directory.path();
    assert_eq!(files_in(&home.join("public/openings")), 0);
    assert_eq!(files_in(&home.join("public/receipts")), 0);

    taken_home(&admin, "private", "?private=1").await?;
    let (code, said) = replayed(&admin, "private").await?;
    ensure!(code == 0 && said.contains("ACCEPTED"), "{code} {said}");
    assert!(
        files_in(&home.join("private/openings")) >= 4,
        "three administrators and a key"
    );
    assert!(files_in(&home.join("private/receipts")) >= 1);

    std::fs::remove_file(home.join("public/checkpoint"))?;
    let (code, said) = replayed(&admin, "public").await?;
    ensure!(code != 0, "without its head it is not whole: {said}");
    for query in ["?private=2", "?private=1&x=1", "?size=3"] {
        let path = format!("/admin/v1/log/export{query}");
        let refused = admin.get(&admin.auditor, &path).await?;
        assert_eq!(refusal(refused).await?.0, 400, "{query}");
    }
    Ok(())
}
