//! How much was used, by tenant and model, or in other groups.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, Uri};
use serde_json::{Value, json};

use super::usage_groups::{Format, Grouping, as_csv, as_json};
use super::{Admin, By, Viewing};
use attest_core::UnixTime;
use gateway_base::errors::{ApiError, Invalid};
use gateway_path::http::json as document;
use gateway_store::ledger::{Dimension, GroupsError, MAX_GROUPS, UsageQuery, UsageSum};

const DAY: u64 = 86_400;
/// 9999-12-31T23:59:59Z: later times have no form in RFC 3339, which the answer uses.
const LAST_SECOND: u64 = 253_402_300_799;

/// `GET /admin/v1/usage?since=SECONDS&until=SECONDS`: requests and tokens, by default of the last day. With
/// `group_by=LIST`, with filters (`tenant=NAME`) or as `format=csv` in groups.
pub(super) async fn usage(
    admin: State<Arc<Admin>>,
    _by: By<Viewing>,
    uri: Uri,
) -> Result<Response<Body>, ApiError> {
    let (span, grouping) = parse(uri.query(), admin.clock.now())?;
    let Span { since, until } = span;
    if let Some(by) = grouping.by() {
        return grouped(&admin, span, by, grouping).await;
    }
    let sums = admin.ledger.usage().sums(since, until).await;
    let sums = sums.map_err(|_| ApiError::Internal)?;
    let rows: Vec<Value> = sums.iter().map(row).collect();
    let answer = json!({ "since": since.to_string(), "until": until.to_string(), "usage": rows });
    Ok(document(answer.to_string()))
}

fn row(sum: &UsageSum) -> Value {
    json!({
        "tenant": sum.tenant.as_str(),
        "model": sum.model.as_ref().map(|model| model.as_str()),
        "requests": sum.requests,
        "failed": sum.failed,
        "prompt_tokens": sum.prompt_tokens,
        "completion_tokens": sum.completion_tokens,
        "cost": sum.cost.map(|cost| cost.to_string()),
        "bytes_in": sum.bytes_in,
        "bytes_out": sum.bytes_out,
    })
}

async fn grouped(
    admin: &Admin,
    Span { since, until }: Span,
    by: Vec<Dimension>,
    Grouping {
        filters, format, ..
    }: Grouping,
) -> Result<Response<Body>, ApiError> {
    let query = UsageQuery {
        since,
        until,
        by,
        filters,
    };
    let groups = admin.ledger.usage().groups(&query).await;
    let groups = groups.map_err(|error| match error {
        GroupsError::Store(_) => ApiError::Internal,
        GroupsError::TooMany => Invalid::TooManyGroups { limit: MAX_GROUPS }.into(),
    })?;
    if format == Format::Csv {
        let mut response = Response::new(Body::from(as_csv(&query.by, &groups)));
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
        headers.insert(CONTENT_TYPE, kind);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        return Ok(response);
    }
    let names: Vec<&str> = query.by.iter().map(|one| one.as_str()).collect();
    let rows: Vec<Value> = groups.iter().map(|one| as_json(&query.by, one)).collect();
    let answer = json!({
        "since": since.to_string(),
        "until": until.to_string(),
        "group_by": names,
        "usage": rows,
    });
    Ok(document(answer.to_string()))
}

/// The parameters of groups are taken out; the span's are left.
fn parse(query: Option<&str>, now: UnixTime) -> Result<(Span, Grouping), Invalid> {
    let mut grouping = Grouping::default();
    let mut rest = Vec::new();
    for pair in query.unwrap_or_default().split('&') {
        let taken = match pair.split_once('=') {
            Some((name, value)) => grouping.read(name, value)?,
            None => false,
        };
        if !taken {
            rest.push(pair);
        }
    }
    Ok((Span::parse(Some(&rest.join("&")), now)?, grouping))
}

/// From `since` on, before `until`.
#[derive(Debug, PartialEq)]
struct Span {
    since: UnixTime,
    until: UnixTime,
}

impl Span {
    fn parse(query: Option<&str>, now: UnixTime) -> Result<Self, Invalid> {
        let (mut since, mut until) = (None, None);
        for pair in query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
        {
            let (name, value) = pair.split_once('=').ok_or(Invalid::Query)?;
            let place = match name {
                "since" => &mut since,
                "until" => &mut until,
                _ => return Err(Invalid::Query),
            };
            let digits = value.len() <= 12 && value.bytes().all(|b| b.is_ascii_digit());
            let secs: Option<u64> = digits.then(|| value.parse().ok()).flatten();
            let secs = secs.filter(|secs| *secs <= LAST_SECOND);
            if place.replace(secs.ok_or(Invalid::Query)?).is_some() {
                return Err(Invalid::Query);
            }
        }
        // What happens in this very second counts.
        let until = until.unwrap_or_else(|| now.secs().saturating_add(1));
        let since = since.unwrap_or_else(|| until.saturating_sub(DAY));
        if since > until {
            return Err(Invalid::Query);
        }
        let (since, until) = (UnixTime::from_secs(since), UnixTime::from_secs(until));
        Ok(Self { since, until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(query: Option<&str>) -> Result<(u64, u64), Invalid> {
        let span = Span::parse(query, UnixTime::from_secs(100_000))?;
        Ok((span.since.secs(), span.until.secs()))
    }

    #[test]
    fn the_default_span_is_the_last_day() {
        assert_eq!(span(None), Ok((13_601, 100_001)));
        assert_eq!(span(Some("until=90000")), Ok((3_600, 90_000)));
        assert_eq!(span(Some("since=5&until=7")), Ok((5, 7)));
        assert_eq!(span(Some("since=5")), Ok((5, 100_001)));
    }

    #[test]
    fn accepts_times_until_the_last_second_that_rfc_3339_can_write() {
        let last = UnixTime::from_secs(LAST_SECOND);
        assert_eq!(last.to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(
            span(Some("since=5&until=253402300799")),
            Ok((5, LAST_SECOND))
        );
    }

    #[test]
    fn rejects_a_malformed_span() {
        for bad in [
            "since",
            "since=",
            "since=-1",
            "since=1e3",
            "since=7&until=5",
            "since=1&since=1",
            "since=1234567890123",
            "since=5&until=253402300800",
            "since=999999999999&until=999999999999",
            "from=1",
        ] {
            assert_eq!(span(Some(bad)), Err(Invalid::Query), "{bad}");
        }
    }
}
