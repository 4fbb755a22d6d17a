//! Formats records as log lines: text for people, JSON for programs.

use std::fmt::{Display, Write as _};

use super::Format;
use super::record::{Record, Value};

/// Appends one line, without its end.
pub(super) fn write(line: &mut String, record: &Record<'_>, at: impl Display, format: Format) {
    match format {
        Format::Text => text(line, record, &at),
        Format::Json => json(line, record, &at),
    }
}

/// `TIME name key=value …`
fn text(line: &mut String, record: &Record<'_>, at: &dyn Display) {
    let _ = write!(line, "{at} {}", record.name());
    for (key, value) in record.fields() {
        line.push(' ');
        match (record.name(), *key) {
            // Operators and scripts wait for exactly this line.
            ("listening", "address") => line.push_str("on https://"),
            _ => line.extend([key, "="]),
        }
        value.push_to(line);
    }
}

/// `{"at":TIME,"event":NAME,KEY:VALUE,…}`
fn json(line: &mut String, record: &Record<'_>, at: &dyn Display) {
    let _ = write!(line, r#"{{"at":"{at}","event":"{}""#, record.name());
    for (key, value) in record.fields() {
        let _ = match value {
            Value::Text(text) => {
                let quoted = serde_json::Value::from(text.as_ref());
                write!(line, r#","{key}":{quoted}"#)
            }
            Value::Word(word) => write!(line, r#","{key}":"{word}""#),
            Value::Number(number) => write!(line, r#","{key}":{number}"#),
            Value::Flag(flag) => write!(line, r#","{key}":{flag}"#),
        };
    }
    line.push('}');
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::events::{Event, UpstreamFailure};
    use crate::request::Name;
    use attest_core::Sha256Digest;

    pub(in crate::events) fn render(record: &Record<'_>, at: &str, format: Format) -> String {
        let mut line = String::new();
        write(&mut line, record, at, format);
        line
    }

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
