//! OTLP's JSON: 64-bit integers are strings, ids are hexadecimal, times are nanoseconds since 1970.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::span::Span;
use super::sums::{Histogram, Sums};
use crate::events;
use crate::metrics::LATENCY;
use crate::request::Name;

/// `SPAN_KIND_SERVER`
const SERVER: u8 = 2;
/// `STATUS_CODE_ERROR`
const ERROR: u8 = 2;
/// `AGGREGATION_TEMPORALITY_DELTA`
const DELTA: u8 = 1;

/// An `ExportTraceServiceRequest`.
pub(super) fn traces(spans: &[Span]) -> Value {
    let spans: Vec<Value> = spans.iter().map(span).collect();
    json!({"resourceSpans": [{"resource": resource(), "scopeSpans": [{"scope": scope(), "spans": spans}]}]})
}

/// An `ExportMetricsServiceRequest` for what happened between two times.
pub(super) fn metrics(sums: &Sums, from: SystemTime, to: SystemTime) -> Value {
    let span = Interval(from, to);
    let requests = sums.requests.iter().map(|((endpoint, model, outcome), n)| {
        let labels = [
            word("endpoint", endpoint),
            word("model", or_unknown(model)),
            word("outcome", outcome),
        ];
        span.count(&labels, *n)
    });
    let tokens = sums.tokens.iter().map(|((model, direction), n)| {
        let labels = [
            word("model", or_unknown(model)),
            word("direction", direction),
        ];
        span.count(&labels, *n)
    });
    let refusals = sums.refusals.iter().map(|((status, kind), n)| {
        span.count(&[number("status", *status), word("type", kind)], *n)
    });
    let metrics = [
        sum("sealgate.requests", "{request}", requests.collect()),
        sum("sealgate.tokens", "{token}", tokens.collect()),
        sum("sealgate.refusals", "{request}", refusals.collect()),
        histogram("sealgate.request.duration", &span, sums.latency.iter()),
        histogram("sealgate.first_byte", &span, sums.first_byte.iter()),
    ];
    json!({"resourceMetrics": [{"resource": resource(), "scopeMetrics": [{"scope": scope(), "metrics": metrics}]}]})
}

fn resource() -> Value {
    json!({"attributes": [
        word("service.name", "sealgate"),
        word("service.version", env!("CARGO_PKG_VERSION")),
    ]})
}

fn scope() -> Value {
    json!({"name": "sealgate"})
}

fn span(span: &Span) -> Value {
    let attributes: Vec<Value> = span.record().fields().iter().map(attribute).collect();
    let mut value = json!({
        "traceId": hex(&span.trace_id),
        "spanId": hex(&span.span_id),
        "name": span.name,
        "kind": SERVER,
        "startTimeUnixNano": nanos(span.began),
        "endTimeUnixNano": nanos(span.ended),
        "attributes": attributes,
    });
    if span.failed {
        value["status"] = json!({"code": ERROR});
    }
    value
}

fn attribute((key, value): &(&'static str, events::Value<'_>)) -> Value {
    let value = match value {
        events::Value::Number(number) => json!({"intValue": number.to_string()}),
        events::Value::Flag(flag) => json!({"boolValue": flag}),
        events::Value::Word(word) => json!({"stringValue": word}),
        events::Value::Text(text) => json!({"stringValue": text}),
    };
    json!({"key": format!("sealgate.{key}"), "value": value})
}

fn word(key: &str, word: &str) -> Value {
    json!({"key": key, "value": {"stringValue": word}})
}

fn number(key: &str, number: u16) -> Value {
    json!({"key": key, "value": {"intValue": number.to_string()}})
}

fn or_unknown(model: &Option<Name>) -> &str {
    model.as_ref().map_or("unknown", Name::as_str)
}

fn sum(name: &str, unit: &str, points: Vec<Value>) -> Value {
    json!({"name": name, "unit": unit,
        "sum": {"aggregationTemporality": DELTA, "isMonotonic": true, "dataPoints": points}})
}

fn histogram<'a>(
    name: &str,
    span: &Interval,
    by_endpoint: impl Iterator<Item = (&'a &'static str, &'a Histogram)>,
) -> Value {
    let points: Vec<Value> = by_endpoint
        .map(|(endpoint, histogram)| span.durations(&[word("endpoint", endpoint)], histogram))
        .collect();
    json!({"name": name, "unit": "s", "histogram": {"aggregationTemporality": DELTA, "dataPoints": points}})
}

/// From the end of the last batch to the end of this one.
struct Interval(SystemTime, SystemTime);

impl Interval {
    fn count(&self, labels: &[Value], count: u64) -> Value {
        json!({"attributes": labels, "startTimeUnixNano": nanos(self.0), "timeUnixNano": nanos(self.1),
            "asInt": count.to_string()})
    }

    fn durations(&self, labels: &[Value], histogram: &Histogram) -> Value {
        let buckets: Vec<String> = histogram.buckets.iter().map(u64::to_string).collect();
        json!({"attributes": labels, "startTimeUnixNano": nanos(self.0), "timeUnixNano": nanos(self.1),
            "count": histogram.count().to_string(), "sum": histogram.sum.as_secs_f64(),
            "bucketCounts": buckets, "explicitBounds": LATENCY})
    }
}

fn nanos(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos().to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
