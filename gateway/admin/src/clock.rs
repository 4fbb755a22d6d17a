//! The time by which kept things expire, and an operator's word for it.

use std::sync::Arc;

use attest_core::UnixTime;
use axum::body::Body;
use axum::extract::State;
use http::{Request, Response};
use serde::Deserialize;
use serde_json::json;

use super::{Admin, Auditing, By, Operating, body};
use attest_channel::Clock;
use attest_channel::SystemClock;
use gateway_base::errors::{ApiError, Invalid};
use gateway_path::http::json as document;

/// Larger than the one member.
const MAX_BODY: usize = 1 << 10;

/// `GET /admin/v1/retention/clock`: by what things expire, what the system says, and how far that is ahead.
pub(super) async fn show(admin: State<Arc<Admin>>, _by: By<Auditing>) -> Response<Body> {
    told(&admin)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    accept: bool,
}

/// `POST /admin/v1/retention/clock` with `{"accept": true}`: the system's clock is right. What has had its time by it
/// goes within a minute. One that is behind changes nothing.
pub(super) async fn accept(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let (head, posted) = request.into_parts();
    let word: Word = body::read(&head.headers, posted, MAX_BODY).await?;
    if !word.accept {
        return Err(Invalid::AdminBody.into());
    }
    let now = SystemClock.now();
    let noted = admin.ledger.accept_time(now).await;
    noted.map_err(|_| ApiError::Internal)?;
    admin.ledger.clock().advance_to(now);
    Ok(told(&admin))
}

fn told(admin: &Admin) -> Response<Body> {
    let (by, system) = (admin.ledger.clock().now(), SystemClock.now());
    let ahead = |one: UnixTime, other: UnixTime| one.since(other).map_or(0, |gap| gap.as_secs());
    let answer = json!({
        "expires_by": by.to_string(),
        "system": system.to_string(),
        "system_ahead_s": ahead(system, by),
        "system_behind_s": ahead(by, system),
    });
    document(answer.to_string())
}
