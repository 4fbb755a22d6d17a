//! Formats records as log lines: text for people, JSON for programs.

use std::fmt::{Display, Write as _};

use super::Format;
use super::record::{Record, Value};

/// One line, without its end.
pub(super) fn render(record: &Record, at: impl Display, format: Format) -> String {
    let mut line = String::with_capacity(320);
    match format {
        Format::Text => text(&mut line, record, &at),
        Format::Json => json(&mut line, record, &at),
    }
    line
}

/// `TIME name key=value …`
fn text(line: &mut String, record: &Record, at: &dyn Display) {
    let _ = write!(line, "{at} {}", record.name());
    for (key, value) in record.fields() {
        let _ = match (record.name(), *key) {
            // Operators and scripts wait for exactly this line.
            ("listening", "address") => write!(line, " on https://{value}"),
            _ => write!(line, " {key}={value}"),
        };
    }
}

/// `{"at":TIME,"event":NAME,KEY:VALUE,…}`
fn json(line: &mut String, record: &Record, at: &dyn Display) {
    let _ = write!(line, r#"{{"at":"{at}","event":"{}""#, record.name());
    for (key, value) in record.fields() {
        let _ = match value {
            Value::Text(text) => {
                let quoted = serde_json::Value::String(text.clone());
                write!(line, r#","{key}":{quoted}"#)
            }
            Value::Word(word) => write!(line, r#","{key}":"{word}""#),
            Value::Number(_) | Value::Flag(_) => write!(line, r#","{key}":{value}"#),
        };
    }
    line.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{Event, UpstreamFailure};
    use crate::request::Name;
    use attest_core::Sha256Digest;

    #[test]
    fn the_listening_line_has_the_address_as_a_url() {
        let event = Event::Listening {
            address: "127.0.0.1:8443".parse().expect("an address"),
            epoch: 3,
            keyset: Sha256Digest::hash(b""),
        };
        let text = render(&event.record(), "T", Format::Text);
        assert_eq!(
            text,
            "T listening on https://127.0.0.1:8443 epoch=3 \
             keyset=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        let json: serde_json::Value =
            serde_json::from_str(&render(&event.record(), "T", Format::Json)).expect("JSON");
        assert_eq!(
            (&json["event"], &json["address"], &json["epoch"]),
            (&"listening".into(), &"127.0.0.1:8443".into(), &3.into())
        );
    }

    #[test]
    fn a_refused_upstream_is_logged_with_the_check_that_failed() {
        let event = Event::UpstreamRefused {
            upstream: Name::from_operator("enclave-1").expect("a name"),
            failure: UpstreamFailure::Rejected,
            check: Some("tdx.measurement.mrtd"),
        };
        assert_eq!(
            render(&event.record(), "T", Format::Text),
            "T upstream_refused upstream=enclave-1 failure=rejected check=tdx.measurement.mrtd"
        );
        assert_eq!(
            render(&event.record(), "T", Format::Json),
            r#"{"at":"T","event":"upstream_refused","upstream":"enclave-1","failure":"rejected","check":"tdx.measurement.mrtd"}"#
        );
    }
}
