use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing::subscriber::with_default;

use super::*;
use crate::events::{emit, line};
use crate::metering::{Outcome, RowRetention, TokenDetails, UsageRow};
use crate::request::{Endpoint, Labels, Name};

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The log lines that are written while `act` runs.
fn logged(act: impl FnOnce()) -> String {
    let written = Written::default();
    let subscriber =
        Registry::default().with(EventLayer(Arc::new(LogWriter::new(written.clone()))));
    with_default(subscriber, act);
    let bytes = written.0.lock().expect("no panics").clone();
    String::from_utf8(bytes).expect("text")
}

const PROMPT: &str = "text of a user";

#[derive(Debug, thiserror::Error)]
#[error("{PROMPT}")]
struct Failure;

#[test]
fn logs_one_line_for_each_of_our_events() {
    let lines = logged(|| {
        emit(Event::Stopping);
        emit(Event::Stopped);
    });
    let names: Vec<_> = lines
        .lines()
        .map(|line| line.split_once(' ').expect("time and name").1)
        .collect();
    assert_eq!(names, ["stopping", "stopped"]);
}

#[test]
fn drops_events_of_libraries_whatever_their_target_and_fields_are() {
    let failure: &(dyn std::error::Error + 'static) = &Failure;
    let lines = logged(|| {
        tracing::error!("{PROMPT}");
        tracing::error!(target: "hyper::proto", body = PROMPT, "read {PROMPT}");
        tracing::error!(target: "sqlx::query", statement = %PROMPT, failure);
        let span = tracing::error_span!("request", prompt = PROMPT);
        span.in_scope(|| tracing::error!(model = PROMPT));
    });
    assert_eq!(lines, "");
}

#[test]
fn drops_events_with_our_target_and_fields_but_without_our_type() {
    let failure: &(dyn std::error::Error + 'static) = &Failure;
    let lines = logged(|| {
        tracing::error!(target: "sealgate::events", carried = PROMPT);
        tracing::error!(target: "sealgate::events", carried = failure);
        tracing::error!(target: "sealgate::events", carried = ?TypedEvent(Event::Stopped), "{PROMPT}");
        let ours: &(dyn std::error::Error + 'static) = &TypedEvent(Event::Stopping);
        tracing::error!(target: "sealgate::events", carried = ours, prompt = PROMPT, "{PROMPT}");
    });
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert!(lines.ends_with(" stopping\n"), "{lines}");
}

pub fn finished() -> UsageRow {
    let name = |text| Name::from_operator(text).expect("a name");
    UsageRow {
        at: attest_core::UnixTime::from_secs(0),
        receipt_id: "rcpt-1".to_owned(),
        key_id: "key-1".into(),
        tenant: name("acme"),
        organisation: None,
        user: None,
        labels: Labels::default(),
        model: Some(name("demo")),
        upstream: None,
        endpoint: Endpoint::Chat,
        stream: true,
        status: 200,
        prompt_tokens: Some(7),
        completion_tokens: None,
        token_details: TokenDetails::default(),
        cost: None,
        latency: std::time::Duration::from_micros(1500),
        first_byte: None,
        bytes_in: 100,
        bytes_out: 200,
        outcome: Outcome::Completed,
        token_source: crate::metering::TokenSource::Reported,
        cause: None,
    }
}

#[test]
fn a_finished_request_is_logged_as_ids_numbers_and_configured_names() {
    let usage = Arc::new(finished());
    let retention = Some(RowRetention::all_fields());
    let event = Event::RequestFinished { usage, retention };
    assert_eq!(
        line::tests::render(&event.record(), "T", Format::Text),
        "T request_finished receipt=rcpt-1 key=key-1 tenant=acme model=demo endpoint=chat stream=true status=200 \
         outcome=completed prompt_tokens=7 token_source=reported latency_us=1500 bytes_in=100 bytes_out=200"
    );
    let json: serde_json::Value =
        serde_json::from_str(&line::tests::render(&event.record(), "T", Format::Json))
            .expect("JSON");
    assert_eq!(json["stream"], true);
    assert_eq!(json["prompt_tokens"], 7);
    assert_eq!(json["tenant"], "acme");
    assert_eq!(json.get("upstream"), None);
}

#[test]
fn logs_no_line_for_a_request_without_retention() {
    let line = |retention| {
        let usage = Arc::new(finished());
        logged(|| super::super::emit(Event::RequestFinished { usage, retention }))
    };
    assert!(line(Some(RowRetention::all_fields())).contains("rcpt-1"));
    assert_eq!(line(None), "");
}
