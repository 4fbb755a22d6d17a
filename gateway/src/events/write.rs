//! Lines from events.

use std::fmt::{Display, Write as _};
use std::io::Write as _;

use super::{
    AttestationFailure, EpochFailure, EpochReason, Event, Fixed, Format, LedgerWork, Room,
    UpstreamFailure,
};
use crate::{Clock, SystemClock};

/// Writes one line to standard error. A log that cannot be written to is not a reason to stop serving.
pub(super) fn line(event: &Event, format: Format) {
    let now = SystemClock.now();
    let mut line = match format {
        Format::Text => render::<Text>(event, &now),
        Format::Json => render::<Json>(event, &now),
    };
    line.push('\n');
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

/// How a line is put together.
trait Style {
    fn begin(out: &mut String, at: &dyn Display, name: &str);
    fn number(out: &mut String, key: &str, value: &dyn Display);
    fn text(out: &mut String, key: &str, value: &dyn Display);
    fn end(out: &mut String);
}

struct Text;
struct Json;

impl Style for Text {
    fn begin(out: &mut String, at: &dyn Display, name: &str) {
        let _ = write!(out, "{at} {name}");
    }
    fn number(out: &mut String, key: &str, value: &dyn Display) {
        let _ = write!(out, " {key}={value}");
    }
    fn text(out: &mut String, key: &str, value: &dyn Display) {
        let _ = write!(out, " {key}={value}");
    }
    fn end(_: &mut String) {}
}

impl Style for Json {
    fn begin(out: &mut String, at: &dyn Display, name: &str) {
        let _ = write!(out, "{{\"at\":\"{at}\",\"event\":\"{name}\"");
    }
    fn number(out: &mut String, key: &str, value: &dyn Display) {
        let _ = write!(out, ",\"{key}\":{value}");
    }
    fn text(out: &mut String, key: &str, value: &dyn Display) {
        let quoted = serde_json::Value::String(value.to_string());
        let _ = write!(out, ",\"{key}\":{quoted}");
    }
    fn end(out: &mut String) {
        out.push('}');
    }
}

/// A line being written.
struct Line<S>(String, std::marker::PhantomData<S>);

impl<S: Style> Line<S> {
    fn number(mut self, key: &str, value: impl Display) -> Self {
        S::number(&mut self.0, key, &value);
        self
    }
    fn text(mut self, key: &str, value: impl Display) -> Self {
        S::text(&mut self.0, key, &value);
        self
    }
    fn maybe(self, key: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.text(key, value),
            None => self,
        }
    }
}

fn render<S: Style>(event: &Event, at: &dyn Display) -> String {
    let named = |name: &str| {
        let mut out = String::with_capacity(160);
        S::begin(&mut out, at, name);
        Line::<S>(out, std::marker::PhantomData)
    };
    let mut line = match event {
        Event::Listening {
            address,
            epoch,
            keyset,
        } => {
            let name = if is_json::<S>() {
                "listening".to_owned()
            } else {
                format!("listening on https://{address}")
            };
            let line = named(&name);
            let line = if is_json::<S>() {
                line.text("address", address)
            } else {
                line
            };
            line.number("epoch", epoch).text("keyset", keyset)
        }
        Event::Hardened { facts } => named("hardened")
            .text("holds", facts.names(true))
            .text("lacks", facts.names(false)),
        Event::MetricsListening { address } => named("metrics").text("address", address),
        Event::EpochBegan {
            epoch,
            keyset,
            config,
            retention,
            reason,
        } => named("epoch_began")
            .number("epoch", epoch)
            .text("keyset", keyset)
            .text("config", config)
            .text("retention", retention)
            .text("reason", reason.word()),
        Event::EpochKept {
            epoch,
            reason,
            failure,
        } => named("epoch_kept")
            .number("epoch", epoch)
            .text("reason", reason.word())
            .text("failure", failure.word()),
        Event::ConfigProblem { problem } => {
            let line = named("config_problem");
            let line = match problem.line {
                Some(number) => line.number("line", number),
                None => line,
            };
            line.text("key", &problem.key)
                .text("reason", &problem.reason)
        }
        Event::RouteProblem { error } => named("route_problem").text("reason", error),
        Event::DrainCut { epoch } => named("drain_cut").number("epoch", epoch),
        Event::AcceptFailed { code } => match code {
            Some(code) => named("accept_failed").number("errno", code),
            None => named("accept_failed"),
        },
        Event::UpstreamVerified { upstream, session } => named("upstream_verified")
            .text("upstream", upstream)
            .text("session", session),
        Event::UpstreamRefused {
            upstream,
            failure,
            check,
        } => named("upstream_refused")
            .text("upstream", upstream)
            .text("failure", failure.word())
            .maybe("check", *check),
        Event::AttestationFailed { failure } => {
            named("attestation_failed").text("failure", failure.word())
        }
        Event::CollateralMissing => named("collateral_missing"),
        Event::LedgerFailed { what } => named("ledger_failed").text("what", what.word()),
        Event::KeysReloaded { active } => named("keys_reloaded").number("active", active),
        Event::Panicked { room } => named("panicked").text("room", room.word()),
        Event::Stopping => named("stopping"),
        Event::StoppedShort { connections } => {
            named("stopped_short").number("connections", connections)
        }
        Event::Stopped => named("stopped"),
    };
    S::end(&mut line.0);
    line.0
}

fn is_json<S: Style>() -> bool {
    std::any::type_name::<S>() == std::any::type_name::<Json>()
}

impl EpochReason {
    fn word(self) -> &'static str {
        match self {
            EpochReason::Start => "start",
            EpochReason::Reload => "reload",
            EpochReason::Expiry => "expiry",
        }
    }
}

impl EpochFailure {
    fn word(self) -> &'static str {
        match self {
            EpochFailure::Config => "config",
            EpochFailure::RestartNeeded(Fixed::Listen) => "server.listen_needs_restart",
            EpochFailure::RestartNeeded(Fixed::StateDir) => "server.state_dir_needs_restart",
            EpochFailure::RestartNeeded(Fixed::Tee) => "tee_needs_restart",
            EpochFailure::RestartNeeded(Fixed::Metrics) => "metrics_needs_restart",
            EpochFailure::RestartNeeded(Fixed::Receipts) => "receipts_needs_restart",
            EpochFailure::RestartNeeded(Fixed::Hardening) => "hardening_needs_restart",
            EpochFailure::Routes => "routes",
            EpochFailure::Keys => "keys",
            EpochFailure::Ledger => "ledger",
        }
    }
}

impl UpstreamFailure {
    fn word(self) -> &'static str {
        match self {
            UpstreamFailure::Unreachable => "unreachable",
            UpstreamFailure::Timeout => "timeout",
            UpstreamFailure::Tls => "tls",
            UpstreamFailure::Report => "report",
            UpstreamFailure::Rejected => "rejected",
        }
    }
}

impl AttestationFailure {
    fn word(self) -> &'static str {
        match self {
            AttestationFailure::Hardware => "hardware",
            AttestationFailure::Worker => "worker",
        }
    }
}

impl LedgerWork {
    fn word(self) -> &'static str {
        match self {
            LedgerWork::Commit => "commit",
            LedgerWork::Purge => "purge",
            LedgerWork::Keys => "keys",
            LedgerWork::Audit => "audit",
        }
    }
}

impl Room {
    fn word(self) -> &'static str {
        match self {
            Room::Listen => "listen",
            Room::Relay => "relay",
            Room::Ledger => "ledger",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Name;
    use attest_core::Sha256Digest;

    #[test]
    fn the_start_is_announced_as_operators_and_scripts_expect() {
        let event = Event::Listening {
            address: "127.0.0.1:8443".parse().expect("an address"),
            epoch: 3,
            keyset: Sha256Digest::of(b""),
        };
        let text = render::<Text>(&event, &"T");
        assert_eq!(
            text,
            "T listening on https://127.0.0.1:8443 epoch=3 \
             keyset=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        let json: serde_json::Value =
            serde_json::from_str(&render::<Json>(&event, &"T")).expect("JSON");
        assert_eq!(
            (&json["event"], &json["address"], &json["epoch"]),
            (&"listening".into(), &"127.0.0.1:8443".into(), &3.into())
        );
    }

    #[test]
    fn a_refused_upstream_is_told_with_the_check_that_failed() {
        let event = Event::UpstreamRefused {
            upstream: Name::from_operator("enclave-1").expect("a name"),
            failure: UpstreamFailure::Rejected,
            check: Some("tdx.measurement.mrtd"),
        };
        assert_eq!(
            render::<Text>(&event, &"T"),
            "T upstream_refused upstream=enclave-1 failure=rejected check=tdx.measurement.mrtd"
        );
        assert_eq!(
            render::<Json>(&event, &"T"),
            r#"{"at":"T","event":"upstream_refused","upstream":"enclave-1","failure":"rejected","check":"tdx.measurement.mrtd"}"#
        );
    }
}
