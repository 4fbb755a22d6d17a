//! Whether a gateway's ledger has one row for each answered request. Read from the admin API, so that it holds whatever
//! the database looks like.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::client::{Endpoint, fetch};

/// Where a gateway's rows can be counted.
pub struct Ledger {
    pub url: String,
    pub key: String,
}

/// Rows may be committed a little after the answer.
const COMMITTED_WITHIN: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
struct Usage {
    usage: Vec<Sum>,
}

#[derive(Deserialize)]
struct Sum {
    requests: u64,
}

impl Ledger {
    /// How many requests have a row, once that is `answered`, or after a time.
    pub fn committed(&self, answered: u64) -> Result<u64> {
        let give_up = Instant::now() + COMMITTED_WITHIN;
        loop {
            let rows = self.count()?;
            if rows >= answered || Instant::now() >= give_up {
                return Ok(rows);
            }
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    fn count(&self) -> Result<u64> {
        let endpoint = Endpoint::parse(&self.url)?;
        let request = endpoint.request("GET", Some(&self.key), "");
        let (status, text) = fetch(&endpoint, &request)?;
        ensure!(status == 200, "the usage query was answered {status}");
        let usage: Usage = serde_json::from_slice(&text).context("the usage query")?;
        Ok(usage.usage.iter().map(|sum| sum.requests).sum())
    }
}
