//! A page of a database that was overwritten while the service was down: by a failing disk, or a bad copy.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};

use anyhow::{Context, Result, ensure};
use sqlx::Connection as _;

use crate::place::Place;
use blackbox::asking::eventually;

const PAGE: usize = 4096;

/// Which page of a file the first rows of a table are on.
async fn page_of(place: &Place, file: &str, table: &str) -> Result<u64> {
    let mut connection = place.database(file).await?;
    let page: i64 = sqlx::query_scalar("SELECT rootpage FROM sqlite_schema WHERE name = ?")
        .bind(table)
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    Ok(u64::try_from(page)? - 1)
}

fn open(place: &Place, file: &str) -> Result<File> {
    let path = place.service.directory().join("state").join(file);
    Ok(OpenOptions::new().read(true).write(true).open(path)?)
}

fn read_page(place: &Place, file: &str, page: u64) -> Result<Vec<u8>> {
    let mut content = vec![0; PAGE];
    let mut file = open(place, file)?;
    file.seek(SeekFrom::Start(page * PAGE as u64))?;
    file.read_exact(&mut content)?;
    Ok(content)
}

fn write_page(place: &Place, file: &str, page: u64, content: &[u8]) -> Result<()> {
    let mut file = open(place, file)?;
    file.seek(SeekFrom::Start(page * PAGE as u64))?;
    Ok(file.write_all(content)?)
}

/// What a start says that has to be refused.
async fn refusal(place: &mut Place, file: &str) -> Result<String> {
    let refused = place.service.start_again().await.err();
    let said = format!("{:#}", refused.context("it started")?);
    let path = place.service.directory().join("state").join(file);
    let begins = format!("sealgate: {} is damaged: ", path.display());
    // The state directory is named as in the configuration.
    let relative = format!("sealgate: state/{file} is damaged: ");
    ensure!(said.contains(&begins) || said.contains(&relative), "{said}");
    ensure!(said.contains("Restore it from a backup"), "{said}");
    Ok(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_on_a_ledger_with_an_overwritten_page_is_refused_and_names_the_file() -> Result<()>
{
    let mut place = Place::new("damaged-ledger", "").await?;
    for _ in 0..3 {
        place.answered().await?;
    }
    eventually("the rows are there", async || {
        matches!(place.count("ledger.sqlite", "usage").await, Ok(3))
    })
    .await;
    place.service.end("TERM").await?;
    const LEDGER: &str = "ledger.sqlite";
    // A valid page without rows: it hides the API keys, and SQLite reads it without a word.
    let empty = read_page(&place, LEDGER, page_of(&place, LEDGER, "records").await?)?;
    for (table, content) in [
        ("api_keys", empty),
        ("api_keys", vec![0xa5; PAGE]),
        ("api_keys", vec![0; PAGE]),
        ("usage", vec![0xa5; PAGE]),
        ("receipts", vec![0; PAGE]),
    ] {
        let page = page_of(&place, LEDGER, table).await?;
        let whole = read_page(&place, LEDGER, page)?;
        write_page(&place, LEDGER, page, &content)?;
        let said = refusal(&mut place, LEDGER).await;
        let listed = place.service.cli(&["keys", "list"]).await?;
        write_page(&place, LEDGER, page, &whole)?;
        if table == "api_keys" {
            let said = String::from_utf8_lossy(&listed.stderr);
            ensure!(
                !listed.status.success() && said.contains("is damaged"),
                "{said}"
            );
        }
        let said = said.with_context(|| table.to_owned())?;
        ensure!(said.contains("API keys"), "{said}");
    }
    place.service.start_again().await?;
    place.answered().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_on_an_audit_log_with_an_overwritten_page_is_refused_and_names_the_file()
-> Result<()> {
    let mut place = Place::new("damaged-log", "").await?;
    place.answered().await?;
    place.service.end("TERM").await?;
    const LOG: &str = "audit.sqlite";
    for (table, byte) in [("entries", 0), ("batches", 0xa5), ("openings", 0)] {
        let page = page_of(&place, LOG, table).await?;
        let whole = read_page(&place, LOG, page)?;
        write_page(&place, LOG, page, &[byte; PAGE])?;
        let said = refusal(&mut place, LOG).await;
        write_page(&place, LOG, page, &whole)?;
        let said = said.with_context(|| table.to_owned())?;
        ensure!(said.contains("auditor"), "{said}");
    }
    place.service.start_again().await?;
    place.answered().await?;
    Ok(())
}
