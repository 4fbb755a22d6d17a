//! Stores verified receipts as files, with the report of the keyset that signed them and the session they cite, so that
//! an auditor can check them later with `sealgate-verify receipt`. The files contain hashes and evidence, never content.
//!
//! What cannot be fetched or written is reported, and does not affect the response.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use attest_channel::AttestedChannel;
use attest_core::{Nonce, Report, Session, SessionId, Sha256Digest};

use super::fetch;
use super::journal::Journal;
use super::receipts::{Exchange, ReceiptId, VerifiedReceipt};
use crate::failure::Failure;
use crate::inputs;
use crate::receipt_check::UpstreamOutcome;

/// The directory of stored receipts.
pub struct ReceiptArchive(PathBuf);

impl ReceiptArchive {
    pub fn open(dir: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(dir).map_err(|e| Failure::Unwritable {
            path: dir.to_owned(),
            cause: e.kind().to_string(),
        })?;
        Ok(Self(dir.to_owned()))
    }

    pub fn receipt(&self, id: &ReceiptId, bytes: &[u8]) -> std::io::Result<()> {
        self.put(&format!("{}.receipt.json", id.as_str()), bytes)
    }

    /// Named by the keyset, since every receipt names the keyset that signed it; with the nonce the
    /// report was requested with, which an auditor needs to check it again.
    pub fn report(
        &self,
        keyset: &Sha256Digest,
        nonce: &Nonce,
        bytes: &[u8],
    ) -> std::io::Result<()> {
        self.put(
            &format!("{}.nonce", keyset.to_hex()),
            nonce.to_string().as_bytes(),
        )?;
        self.put(&report_name(keyset), bytes)
    }

    pub fn has_report(&self, keyset: &Sha256Digest) -> bool {
        self.0.join(report_name(keyset)).exists()
    }

    pub fn session(&self, id: &SessionId, bytes: &[u8]) -> std::io::Result<()> {
        self.put(&session_name(id), bytes)
    }

    pub fn has_session(&self, id: &SessionId) -> bool {
        self.0.join(session_name(id)).exists()
    }

    /// Written under a temporary name and renamed, so that a file is complete or absent.
    fn put(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        let partial = self.0.join(format!(".{name}.partial"));
        std::fs::write(&partial, bytes)?;
        std::fs::rename(partial, self.0.join(name))
    }
}

fn session_name(id: &SessionId) -> String {
    format!("{}.session.json", id.to_hex())
}

fn report_name(keyset: &Sha256Digest) -> String {
    format!("{}.report.json", keyset.to_hex())
}

/// Stores a verified receipt with its report and its session.
pub async fn store(
    channel: &Arc<AttestedChannel>,
    archive: &ReceiptArchive,
    exchange: &Exchange,
    receipt: &VerifiedReceipt,
    journal: &dyn Journal,
) {
    let id = exchange.receipt_id.as_str();
    let report_failure = |what: &str, result: Result<(), String>| {
        if let Err(why) = result {
            journal.line(&format!(
                "{what} of receipt {id} could not be stored: {why}"
            ));
        }
    };
    let written = archive.receipt(&exchange.receipt_id, &receipt.bytes);
    report_failure("the text", written.map_err(|e| e.kind().to_string()));
    report_failure("the report", store_report(channel, archive, exchange).await);
    report_failure(
        "the session",
        store_session(channel, archive, exchange, &receipt.upstream).await,
    );
}

/// Once per keyset, with a new nonce, so that the report can be verified offline later.
async fn store_report(
    channel: &Arc<AttestedChannel>,
    archive: &ReceiptArchive,
    exchange: &Exchange,
) -> Result<(), String> {
    let keyset = exchange.peer.keyset_digest();
    if archive.has_report(&keyset) {
        return Ok(());
    }
    let nonce = inputs::fresh_nonce().map_err(|e| e.to_string())?;
    let path = format!("/v1/aci/attestation?nonce={nonce}&collateral=1");
    let bytes = fetch::fetch(channel, &path, None, fetch::MAX_REPORT)
        .await
        .map_err(|e| e.reason)?;
    match Report::parse(&bytes) {
        Ok(report) if report.keyset_digest() == keyset => archive
            .report(&keyset, &nonce, &bytes)
            .map_err(|e| e.kind().to_string()),
        Ok(_) => Err("another keyset answered".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

async fn store_session(
    channel: &Arc<AttestedChannel>,
    archive: &ReceiptArchive,
    exchange: &Exchange,
    outcome: &UpstreamOutcome,
) -> Result<(), String> {
    let UpstreamOutcome::Verified(id) = outcome else {
        return Ok(());
    };
    if archive.has_session(id) {
        return Ok(());
    }
    let path = format!("/v1/aci/sessions/{}", id.to_hex());
    let bytes = fetch::fetch(
        channel,
        &path,
        exchange.authorization.as_ref(),
        fetch::MAX_SESSION,
    )
    .await
    .map_err(|e| e.reason)?;
    let session = Session::parse(&bytes).map_err(|e| e.to_string())?;
    session.check_id(*id).map_err(|e| e.to_string())?;
    archive
        .session(id, &bytes)
        .map_err(|e| e.kind().to_string())
}
