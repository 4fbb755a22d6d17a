//! Checks that every answered request has its row and receipt after a restart.

use std::collections::HashSet;

use anyhow::{Context, Result};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};

use crate::stage::{Gateway, Stage, TENANTS};
use crate::traffic::Answered;

/// How many receipts of each gateway are fetched; the others are looked for in its database.
const FETCHED: usize = 100;
const SHOWN: usize = 5;

#[derive(Default)]
pub struct Account {
    /// Answers whose row and receipt have to outlive the process.
    pub wanted: usize,
    pub rows: usize,
    pub receipts: usize,
    pub asked: usize,
    pub served: usize,
    pub faults: Vec<String>,
}

pub async fn take(stage: &Stage, answered: &[Answered]) -> Result<Account> {
    let mut account = Account::default();
    for (number, gateway) in stage.gateways.iter().enumerate() {
        let of_it: Vec<&Answered> = answered
            .iter()
            .filter(|one| one.gateway == number)
            .collect();
        account.of_gateway(gateway, &of_it).await?;
    }
    Ok(account)
}

impl Account {
    async fn of_gateway(&mut self, gateway: &Gateway, answered: &[&Answered]) -> Result<()> {
        let name = gateway.name;
        let kept: Vec<&&Answered> = answered
            .iter()
            .filter(|one| TENANTS[one.tenant].is_kept)
            .collect();
        self.wanted += kept.len();
        if kept.is_empty() {
            self.faults.push(format!("{name}: nothing was answered"));
        }
        let rows = ids(
            gateway,
            "SELECT receipt_id FROM usage WHERE receipt_id IS NOT NULL",
        )
        .await?;
        let receipts = ids(gateway, "SELECT receipt_id FROM receipts").await?;
        for (what, there, count) in [
            ("row", &rows, &mut self.rows),
            ("receipt", &receipts, &mut self.receipts),
        ] {
            let missing: Vec<_> = kept
                .iter()
                .filter(|one| !there.contains(&one.receipt))
                .collect();
            *count += kept.len() - missing.len();
            if !missing.is_empty() {
                self.faults.push(format!(
                    "{name}: {} of {} answers have no {what} after a restart",
                    missing.len(),
                    kept.len()
                ));
            }
            for one in missing.iter().take(SHOWN) {
                let tenant = TENANTS[one.tenant].name;
                self.faults
                    .push(format!("{name}: no {what} of {} ({tenant})", one.receipt));
            }
        }
        let unkept = answered.iter().filter(|one| !TENANTS[one.tenant].is_kept);
        for one in unkept {
            if rows.contains(&one.receipt) || receipts.contains(&one.receipt) {
                self.faults.push(format!(
                    "{name}: {} of mode zero is on the disk",
                    one.receipt
                ));
            }
        }
        self.fetch(gateway, &kept).await
    }

    /// Some of them as a client would, evenly spread over the run.
    async fn fetch(&mut self, gateway: &Gateway, kept: &[&&Answered]) -> Result<()> {
        let mut connection = gateway.service.connect().await.context(gateway.name)?;
        let mut refused = 0;
        for one in kept.iter().step_by((kept.len() / FETCHED).max(1)) {
            self.asked += 1;
            let path = format!("/v1/aci/receipts/{}", one.receipt);
            let answer = connection.get_as(&gateway.keys[one.tenant], &path).await?;
            let status = answer.status.as_u16();
            answer.bytes().await?;
            if status == 200 {
                self.served += 1;
            } else {
                refused += 1;
            }
        }
        if refused > 0 {
            self.faults.push(format!(
                "{}: {refused} of the receipts asked for are not served after a restart",
                gateway.name
            ));
        }
        Ok(())
    }
}

async fn ids(gateway: &Gateway, query: &'static str) -> Result<HashSet<String>> {
    let options = SqliteConnectOptions::new()
        .filename(gateway.database())
        .read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let found: Vec<String> = sqlx::query_scalar(query).fetch_all(&mut connection).await?;
    connection.close().await?;
    Ok(found.into_iter().collect())
}
