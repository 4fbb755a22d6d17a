use std::sync::Arc;
use std::time::Duration;

use attest_core::UnixTime;

use super::*;
use crate::events::Event;
use crate::metering::{Outcome, RowRetention, TokenDetails, UsageRow};
use crate::request::{Endpoint, Labels};

fn usage() -> UsageRow {
    let name = |text| Name::from_operator(text).expect("a name");
    UsageRow {
        at: UnixTime::from_secs(0),
        receipt_id: "rcpt-1".to_owned(),
        key_id: "key-1".into(),
        tenant: name("acme"),
        organisation: None,
        user: None,
        labels: Labels::default(),
        model: Some(name("demo")),
        upstream: Some(name("enclave-1")),
        endpoint: Endpoint::Chat,
        stream: true,
        status: 502,
        prompt_tokens: Some(7),
        completion_tokens: None,
        token_details: TokenDetails::default(),
        cost: None,
        latency: Duration::from_millis(1500),
        first_byte: None,
        bytes_in: 100,
        bytes_out: 200,
        outcome: Outcome::UpstreamUnavailable,
        token_source: crate::metering::TokenSource::Reported,
        cause: None,
    }
}

fn ten_seconds() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(10)
}

#[test]
fn a_span_has_the_fields_of_the_log_line_in_otlp_types() {
    let document = traces(&[Span::from_usage(
        Arc::new(usage()),
        RowRetention::all_fields(),
        ten_seconds(),
    )]);
    let span = &document["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["name"], "POST /v1/chat/completions");
    assert_eq!(span["kind"], 2);
    assert_eq!(span["startTimeUnixNano"], "8500000000");
    assert_eq!(span["endTimeUnixNano"], "10000000000");
    assert_eq!(span["status"]["code"], 2);
    assert_eq!(span["traceId"].as_str().map(str::len), Some(32));
    assert_eq!(span["spanId"].as_str().map(str::len), Some(16));
    let attributes = span["attributes"].as_array().expect("a list");
    let of = |key: &str| {
        let found = attributes.iter().find(|a| a["key"] == key);
        found.map(|attribute| attribute["value"].clone())
    };
    assert_eq!(
        of("sealgate.receipt"),
        Some(json!({"stringValue": "rcpt-1"}))
    );
    assert_eq!(of("sealgate.stream"), Some(json!({"boolValue": true})));
    assert_eq!(of("sealgate.status"), Some(json!({"intValue": "502"})));
    assert_eq!(of("sealgate.completion_tokens"), None);
    let usage = usage();
    let logged = events::Record::from_request(&usage, &RowRetention::all_fields());
    assert_eq!(attributes.len(), logged.fields().len());
}

#[test]
fn the_trace_id_depends_on_the_receipt_alone() {
    let other = UsageRow {
        receipt_id: "rcpt-2".to_owned(),
        ..usage()
    };
    let id = |usage: UsageRow| {
        Span::from_usage(Arc::new(usage), RowRetention::all_fields(), ten_seconds()).trace_id
    };
    assert_eq!(id(usage()), id(usage()));
    assert_ne!(id(usage()), id(other));
}

#[test]
fn sums_are_deltas_between_two_times() {
    let mut sums = Sums::default();
    for _ in 0..2 {
        let usage = Arc::new(usage());
        sums.add(&Event::RequestFinished {
            usage,
            retention: Some(RowRetention::all_fields()),
        });
    }
    sums.add(&Event::RequestRefused {
        endpoint: Endpoint::Chat,
        status: 401,
        kind: "invalid_request_error",
    });
    sums.add(&Event::Stopping);
    assert_eq!(sums.events(), 3);
    let document = metrics(&sums, UNIX_EPOCH, ten_seconds());
    let metrics = &document["resourceMetrics"][0]["scopeMetrics"][0]["metrics"];
    let of = |name: &str| {
        let found = metrics.as_array().expect("a list").iter();
        found
            .clone()
            .find(|m| m["name"] == name)
            .cloned()
            .expect("a metric")
    };
    let requests = of("sealgate.requests");
    assert_eq!(requests["sum"]["aggregationTemporality"], 1);
    assert_eq!(requests["sum"]["isMonotonic"], true);
    let point = &requests["sum"]["dataPoints"][0];
    assert_eq!(point["asInt"], "2");
    assert_eq!(point["startTimeUnixNano"], "0");
    assert_eq!(point["timeUnixNano"], "10000000000");
    assert_eq!(of("sealgate.tokens")["sum"]["dataPoints"][0]["asInt"], "14");
    let refusals = of("sealgate.refusals");
    let labels = &refusals["sum"]["dataPoints"][0]["attributes"];
    assert_eq!(labels[0]["value"], json!({"intValue": "401"}));
    let durations = of("sealgate.request.duration");
    let point = &durations["histogram"]["dataPoints"][0];
    assert_eq!(point["count"], "2");
    assert_eq!(point["sum"], 3.0);
    let buckets = point["bucketCounts"].as_array().expect("a list");
    assert_eq!(buckets.len(), LATENCY.len() + 1);
    // 1.5 s lies below the bound of 2.5 s, the ninth.
    assert_eq!(buckets[8], "2");
    assert_eq!(
        of("sealgate.first_byte")["histogram"]["dataPoints"],
        json!([])
    );
}
