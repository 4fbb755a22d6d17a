//! The clock by which stored data expires, and how an operator accepts the system's clock.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::{Request, Response};
use serde::Deserialize;
use serde_json::json;

use super::{Admin, Auditing, By, Operating, body};
use attest_channel::Clock;
use attest_channel::SystemClock;
use attest_core::UnixTime;
use gateway_base::errors::{ApiError, Invalid};
use gateway_path::http::json as document;

/// Larger than the one member.
const MAX_BODY: usize = 1 << 10;

/// `GET /admin/v1/retention/clock`: the time by which data expires, the system's time, and the difference.
pub(super) async fn show(admin: State<Arc<Admin>>, _by: By<Auditing>) -> Response<Body> {
    rendered(&admin)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AcceptRequest {
    accept: bool,
}

/// `POST /admin/v1/retention/clock` with `{"accept": true}`: the system's clock is right. Data that has
/// expired by it is deleted within a minute. A clock that is behind changes nothing.
pub(super) async fn accept(
    admin: State<Arc<Admin>>,
    _by: By<Operating>,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let (head, posted) = request.into_parts();
    let accepted: AcceptRequest = body::read(&head.headers, posted, MAX_BODY).await?;
    if !accepted.accept {
        return Err(Invalid::AdminBody.into());
    }
    let now = SystemClock.now();
    let noted = admin.ledger.expiry().accept_time(now).await;
    noted.map_err(|_| ApiError::Internal)?;
    // After it is stored: a crash between the two must not leave data deleted by a time that the next start does not
    // know.
    admin.ledger.clock().advance_to(now);
    Ok(rendered(&admin))
}

fn rendered(admin: &Admin) -> Response<Body> {
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
