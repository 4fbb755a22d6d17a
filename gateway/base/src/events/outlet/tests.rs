use std::sync::Arc;

use tracing::subscriber::with_default;

use super::*;
use crate::events::emit;
use crate::metering::{Keep, Outcome, UsageRow};
use crate::request::Endpoint;
use crate::request::Name;

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

/// What the outlet lets out while `act` runs.
fn let_out(act: impl FnOnce()) -> String {
    let written = Written::default();
    let subscriber = Registry::default().with(Outlet(Lines::to(written.clone())));
    with_default(subscriber, act);
    let bytes = written.0.lock().expect("no panics").clone();
    String::from_utf8(bytes).expect("text")
}

const WORDS: &str = "what the user said";

#[derive(Debug, thiserror::Error)]
#[error("{WORDS}")]
struct Failure;

#[test]
fn our_events_come_out_a_line_each() {
    let said = let_out(|| {
        emit(Event::Stopping);
        emit(Event::Stopped);
    });
    let names: Vec<_> = said
        .lines()
        .map(|line| line.split_once(' ').expect("time and name").1)
        .collect();
    assert_eq!(names, ["stopping", "stopped"]);
}

#[test]
fn nothing_of_a_librarys_events_comes_out_whatever_they_are_called() {
    let failure: &(dyn std::error::Error + 'static) = &Failure;
    let said = let_out(|| {
        tracing::error!("{WORDS}");
        tracing::error!(target: "hyper::proto", body = WORDS, "read {WORDS}");
        tracing::error!(target: "sqlx::query", statement = %WORDS, failure);
        let span = tracing::error_span!("request", prompt = WORDS);
        span.in_scope(|| tracing::error!(model = WORDS));
    });
    assert_eq!(said, "");
}

#[test]
fn our_target_and_our_fields_let_nothing_out_without_our_type() {
    let failure: &(dyn std::error::Error + 'static) = &Failure;
    let said = let_out(|| {
        tracing::error!(target: "sealgate::events", carried = WORDS);
        tracing::error!(target: "sealgate::events", carried = failure);
        tracing::error!(target: "sealgate::events", carried = ?Carried(Event::Stopped), "{WORDS}");
        let ours: &(dyn std::error::Error + 'static) = &Carried(Event::Stopping);
        tracing::error!(target: "sealgate::events", carried = ours, prompt = WORDS, "{WORDS}");
    });
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.ends_with(" stopping\n"), "{said}");
}

fn finished() -> UsageRow {
    let name = |text| Name::from_operator(text).expect("a name");
    UsageRow {
        at: attest_core::UnixTime::from_secs(0),
        receipt_id: "rcpt-1".to_owned(),
        key_id: "key-1".into(),
        tenant: name("acme"),
        model: Some(name("demo")),
        upstream: None,
        endpoint: Endpoint::Chat,
        stream: true,
        status: 200,
        prompt_tokens: Some(7),
        completion_tokens: None,
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
fn a_finished_request_is_told_in_ids_numbers_and_configured_names() {
    let usage = Box::new(finished());
    let keep = Some(Keep::everything());
    let event = Event::RequestFinished { usage, keep };
    assert_eq!(
        line::render(&event.record(), "T", Format::Text),
        "T request_finished receipt=rcpt-1 key=key-1 tenant=acme model=demo endpoint=chat stream=true status=200 \
         outcome=completed prompt_tokens=7 token_source=reported latency_us=1500 bytes_in=100 bytes_out=200"
    );
    let json: serde_json::Value =
        serde_json::from_str(&line::render(&event.record(), "T", Format::Json)).expect("JSON");
    assert_eq!(json["stream"], true);
    assert_eq!(json["prompt_tokens"], 7);
    assert_eq!(json["tenant"], "acme");
    assert_eq!(json.get("upstream"), None);
}

#[test]
fn of_a_request_that_nothing_is_kept_of_no_line_is_told() {
    let told = |keep| {
        let usage = Box::new(finished());
        let_out(|| super::super::emit(Event::RequestFinished { usage, keep }))
    };
    assert!(told(Some(Keep::everything())).contains("rcpt-1"));
    assert_eq!(told(None), "");
}
