//! Parses a session (ACI/1 §8).

use serde_json::Value;

use super::{ChannelBinding, Claims, SessionError, SessionEvidence, SessionRecord};
use crate::{aci::document::Members, time::UnixTime};

pub(super) fn record(document: &Value) -> Result<SessionRecord, SessionError> {
    let session = Members::new(document, "")?;
    session.version()?;
    let established_at = session.time("established_at")?;
    let expires_at = session.time("expires_at")?;
    check_period(established_at, expires_at)?;
    Ok(SessionRecord {
        upstream_name: session.string("upstream_name")?.to_owned(),
        endpoint: session.string_or_null("endpoint")?,
        verifier_id: session.string("verifier_id")?.to_owned(),
        established_at,
        expires_at,
        identity: session.get("identity").cloned(),
        channel_binding: session
            .array("channel_binding")?
            .iter()
            .map(ChannelBinding::from_value)
            .collect::<Result<_, _>>()?,
        claims: Claims::from_members(&session.object("claims", "claims")?)?,
        evidence: SessionEvidence::from_members(&session.object("evidence", "evidence")?)?,
    })
}

pub(super) fn check_period(
    established_at: UnixTime,
    expires_at: UnixTime,
) -> Result<(), SessionError> {
    if established_at <= expires_at {
        return Ok(());
    }
    Err(SessionError::Period {
        established_at,
        expires_at,
    })
}
