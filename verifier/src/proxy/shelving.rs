//! Puts a verified receipt on the shelf together with what it rests on: the report of the keyset
//! that signed it, and the session it cites. What cannot be kept is said, and breaks nothing.

use std::sync::Arc;

use attest_channel::AttestedChannel;
use attest_core::{Report, Session};

use super::fetch;
use super::journal::Journal;
use super::keep::Shelf;
use super::receipts::{Exchange, Verified};
use crate::inputs;
use crate::receipt_check::Behind;

pub async fn keep(
    channel: &Arc<AttestedChannel>,
    shelf: &Shelf,
    exchange: &Exchange,
    receipt: &Verified,
    journal: &dyn Journal,
) {
    let id = exchange.receipt_id.as_str();
    let told = |what: &str, outcome: Result<(), String>| {
        if let Err(why) = outcome {
            journal.line(&format!("{what} of receipt {id} could not be kept: {why}"));
        }
    };
    let written = shelf.receipt(&exchange.receipt_id, &receipt.bytes);
    told("the text", written.map_err(|e| e.kind().to_string()));
    told("the report", report(channel, shelf, exchange).await);
    told(
        "the session",
        session(channel, shelf, exchange, &receipt.behind).await,
    );
}

/// Once per keyset, with a nonce of its own, so that it can be judged offline later.
async fn report(
    channel: &Arc<AttestedChannel>,
    shelf: &Shelf,
    exchange: &Exchange,
) -> Result<(), String> {
    let keyset = exchange.peer.keyset_digest();
    if shelf.has_report(&keyset) {
        return Ok(());
    }
    let nonce = inputs::fresh_nonce().map_err(|e| e.to_string())?;
    let path = format!("/v1/aci/attestation?nonce={nonce}&collateral=1");
    let bytes = fetch::once(channel, &path, None, fetch::MAX_REPORT)
        .await
        .map_err(|e| e.why)?;
    match Report::parse(&bytes) {
        Ok(report) if report.keyset_digest() == keyset => shelf
            .report(&keyset, &nonce, &bytes)
            .map_err(|e| e.kind().to_string()),
        Ok(_) => Err("another keyset answered".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

async fn session(
    channel: &Arc<AttestedChannel>,
    shelf: &Shelf,
    exchange: &Exchange,
    behind: &Behind,
) -> Result<(), String> {
    let Behind::Verified(id) = behind else {
        return Ok(());
    };
    if shelf.has_session(id) {
        return Ok(());
    }
    let path = format!("/v1/aci/sessions/{}", id.to_hex());
    let bytes = fetch::once(
        channel,
        &path,
        exchange.authorization.as_ref(),
        fetch::MAX_SESSION,
    )
    .await
    .map_err(|e| e.why)?;
    let session = Session::parse(&bytes).map_err(|e| e.to_string())?;
    session.check_id(*id).map_err(|e| e.to_string())?;
    shelf.session(id, &bytes).map_err(|e| e.kind().to_string())
}
