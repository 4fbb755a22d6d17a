//! Name and fields of each event.
//!
//! Log lines and spans are made of a [`Record`] alone. Its fields are numbers, fixed words of this program, and the text
//! of digests, addresses and operator-chosen names.

use std::borrow::Cow;
use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use attest_core::retention::Field;

use super::{Event, Level};
use crate::config::Problem;
use crate::metering::{RowRetention, UsageRow};
use harden::Fact;

/// One field's value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Number(i64),
    Flag(bool),
    /// A fixed word of this program.
    Word(&'static str),
    Text(Cow<'a, str>),
}

impl Value<'_> {
    /// Appends its text.
    pub(super) fn push_to(&self, line: &mut String) {
        match self {
            Value::Number(number) => push_number(line, *number),
            Value::Flag(true) => line.push_str("true"),
            Value::Flag(false) => line.push_str("false"),
            Value::Word(word) => line.push_str(word),
            Value::Text(text) => line.push_str(text),
        }
    }
}

/// Appends a number. The standard library's formatting costs several times as much, and a line of a request has seven.
fn push_number(line: &mut String, number: i64) {
    if number < 0 {
        line.push('-');
    }
    let (mut rest, mut digits, mut first) = (number.unsigned_abs(), [b'0'; 20], 20);
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    line.extend(digits[first..].iter().map(|digit| char::from(*digit)));
}

/// An event's name and fields.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record<'a> {
    name: &'static str,
    fields: Vec<(&'static str, Value<'a>)>,
}

impl<'a> Record<'a> {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            fields: Vec::with_capacity(24),
        }
    }

    fn with(mut self, key: &'static str, value: Value<'a>) -> Self {
        self.fields.push((key, value));
        self
    }

    fn number(self, key: &'static str, value: impl TryInto<i64>) -> Self {
        self.with(key, Value::Number(value.try_into().unwrap_or(i64::MAX)))
    }

    fn micros(self, key: &'static str, value: Duration) -> Self {
        self.number(key, value.as_micros())
    }

    fn flag(self, key: &'static str, value: bool) -> Self {
        self.with(key, Value::Flag(value))
    }

    fn word(self, key: &'static str, value: &'static str) -> Self {
        self.with(key, Value::Word(value))
    }

    fn text(self, key: &'static str, value: impl Display) -> Self {
        self.with(key, Value::Text(Cow::Owned(value.to_string())))
    }

    fn name_or_id(self, key: &'static str, value: &'a str) -> Self {
        self.with(key, Value::Text(Cow::Borrowed(value)))
    }

    /// File, line and key of a problem, and its reason under `name`.
    fn problem(self, name: &'static str, file: &Path, problem: &Problem) -> Self {
        self.text("file", file.display())
            .maybe(problem.line, |r, line| r.number("line", line))
            .text("key", &problem.key)
            .text(name, &problem.reason)
    }

    fn maybe<T>(self, value: Option<T>, then: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            Some(value) => then(self, value),
            None => self,
        }
    }

    /// A finished request, with the fields that its retention allows. The log line and the span's attributes are the same.
    pub(crate) fn from_request(usage: &'a UsageRow, retention: &RowRetention) -> Self {
        let kept = |field| retention.fields.contains(&field);
        let (model, upstream) = (kept(Field::Model), kept(Field::Upstream));
        let (timing, tokens) = (kept(Field::Timing), kept(Field::Tokens));
        let receipt = kept(Field::Receipt).then_some(&usage.receipt_id);
        let by_key = kept(Field::Key);
        let key = by_key.then_some(&usage.key_id);
        let scenario = usage.labels.scenario.as_ref().filter(|_| by_key);
        let owner = usage.labels.owner.as_ref().filter(|_| by_key);
        let sizes = kept(Field::Sizes).then_some((usage.bytes_in, usage.bytes_out));
        Self::new("request_finished")
            .maybe(receipt, |r, id| r.name_or_id("receipt", id))
            .maybe(key, |r, id| r.name_or_id("key", id))
            .name_or_id("tenant", &usage.tenant)
            .maybe(usage.organisation.as_ref(), |r, name| {
                r.name_or_id("organisation", name)
            })
            .maybe(usage.user.as_ref().filter(|_| by_key), |r, name| {
                r.name_or_id("user", name)
            })
            .maybe(scenario, |r, name| r.name_or_id("scenario", name))
            .maybe(owner, |r, name| r.name_or_id("owner", name))
            .maybe(usage.model.as_ref().filter(|_| model), |r, name| {
                r.name_or_id("model", name)
            })
            .maybe(usage.upstream.as_ref().filter(|_| upstream), |r, name| {
                r.name_or_id("upstream", name)
            })
            .word("endpoint", usage.endpoint.label())
            .flag("stream", usage.stream)
            .number("status", usage.status)
            .word("outcome", usage.outcome.as_str())
            .maybe(usage.cause.filter(|_| upstream), |r, cause| {
                r.text("cause", cause)
            })
            .maybe(usage.prompt_tokens.filter(|_| tokens), |r, n| {
                r.number("prompt_tokens", n)
            })
            .maybe(usage.completion_tokens.filter(|_| tokens), |r, n| {
                r.number("completion_tokens", n)
            })
            .maybe(
                usage.token_details.cached_tokens.filter(|_| tokens),
                |r, n| r.number("cached_tokens", n),
            )
            .maybe(
                usage.token_details.reasoning_tokens.filter(|_| tokens),
                |r, n| r.number("reasoning_tokens", n),
            )
            .maybe(usage.cost.filter(|_| tokens), |r, cost| {
                r.text("cost", cost)
            })
            .maybe(usage.token_source().filter(|_| tokens), |r, source| {
                r.word("token_source", source)
            })
            .maybe(timing.then_some(usage.latency), |r, took| {
                r.micros("latency_us", took)
            })
            .maybe(usage.first_byte.filter(|_| timing), |r, took| {
                r.micros("first_byte_us", took)
            })
            .maybe(sizes, |r, (bytes_in, bytes_out)| {
                r.number("bytes_in", bytes_in)
                    .number("bytes_out", bytes_out)
            })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn fields(&self) -> &[(&'static str, Value<'a>)] {
        &self.fields
    }
}

impl Event {
    /// Whether it may have a log line. A request without retention is only counted.
    pub(crate) fn is_logged_one_by_one(&self) -> bool {
        !matches!(
            self,
            Event::RequestFinished {
                retention: None,
                ..
            }
        )
    }

    /// Whether it is about a single request or connection. Its line may wait for others; a kill can lose it.
    pub(crate) fn is_frequent(&self) -> bool {
        matches!(
            self,
            Event::RequestFinished { .. }
                | Event::RequestRefused { .. }
                | Event::HeadRefused { .. }
                | Event::ConnectionOpened { .. }
                | Event::HandshakeFailed { .. }
                | Event::ConnectionClosed { .. }
        )
    }

    /// Its level.
    pub fn level(&self) -> Level {
        match self {
            Event::Panicked { .. } | Event::PanickedAt { .. } => Level::Error,
            Event::EpochKept { .. }
            | Event::ConfigProblem { .. }
            | Event::ConfigWarning { .. }
            | Event::DrainCut { .. }
            | Event::AcceptFailed { .. }
            | Event::ConnectionsEvicted { .. }
            | Event::UpstreamRefused { .. }
            | Event::AttestationFailed { .. }
            | Event::CollateralMissing
            | Event::ResolverEnded
            | Event::DescriptorsShort { .. }
            | Event::LedgerFailed { .. }
            | Event::RowsLost { .. }
            | Event::LogLinesLost { .. }
            | Event::DatabaseNotChecked { .. }
            | Event::AuditEntriesRemoved { .. }
            | Event::StoppedUnwritten { .. }
            | Event::ClockDoubted { .. }
            | Event::IdentityKeysFailed { .. }
            | Event::BudgetThreshold { .. }
            | Event::BudgetExhausted { .. }
            | Event::CreditExhausted { .. }
            | Event::TelemetryFailed { .. }
            | Event::StoppedShort { .. } => Level::Warn,
            Event::RequestRefused { .. } | Event::HeadRefused { .. } => Level::Debug,
            Event::ConnectionOpened { .. }
            | Event::HandshakeFailed { .. }
            | Event::ConnectionClosed { .. } => Level::Trace,
            _ => Level::Info,
        }
    }

    /// Its name and fields.
    pub(super) fn record(&self) -> Record<'_> {
        match self {
            Event::Listening {
                address,
                epoch,
                keyset,
            } => Record::new("listening")
                .text("address", address)
                .number("epoch", *epoch)
                .text("keyset", keyset),
            Event::Hardened { facts, required } => Record::new("hardened")
                .text("holds", facts.names(true))
                .text("lacks", facts.names(false))
                .text("required", Fact::list(required)),
            Event::DescriptorsShort {
                limit,
                needed,
                requests,
            } => Record::new("descriptors_short")
                .number("limit", *limit)
                .number("needed", *needed)
                .number("requests", *requests),
            Event::ResolverEnded => Record::new("resolver_ended"),
            Event::AdminListening { address } => Record::new("admin").text("address", address),
            Event::HealthListening { address } => Record::new("health").text("address", address),
            Event::MetricsListening { address } => Record::new("metrics").text("address", address),
            Event::EpochBegan {
                epoch,
                keyset,
                config,
                retention,
                reason,
            } => Record::new("epoch_began")
                .number("epoch", *epoch)
                .text("keyset", keyset)
                .text("config", config)
                .text("retention", retention)
                .word("reason", reason.as_str()),
            Event::EpochKept {
                epoch,
                reason,
                failure,
                file,
                problem,
            } => {
                let line = Record::new("epoch_kept")
                    .number("epoch", *epoch)
                    .word("reason", reason.as_str())
                    .word("failure", failure.as_str());
                match problem {
                    Some(problem) => line.problem("problem", file, problem),
                    None => line,
                }
            }
            Event::ConfigProblem { file, problem } => {
                Record::new("config_problem").problem("reason", file, problem)
            }
            Event::ConfigWarning { file, problem } => {
                Record::new("config_warning").problem("reason", file, problem)
            }
            Event::DrainCut { epoch } => Record::new("drain_cut").number("epoch", *epoch),
            Event::AcceptFailed { code } => match code {
                Some(code) => Record::new("accept_failed").number("errno", *code),
                None => Record::new("accept_failed"),
            },
            Event::ConnectionsEvicted { connections } => {
                Record::new("connections_evicted").number("connections", *connections)
            }
            Event::UpstreamVerified { upstream, session } => Record::new("upstream_verified")
                .text("upstream", upstream)
                .text("session", session),
            Event::UpstreamRefused {
                upstream,
                failure,
                check,
            } => Record::new("upstream_refused")
                .text("upstream", upstream)
                .word("failure", failure.as_str())
                .maybe(*check, |r, check| r.word("check", check)),
            Event::AttestationFailed { failure } => {
                Record::new("attestation_failed").word("failure", failure.as_str())
            }
            Event::CollateralMissing => Record::new("collateral_missing"),
            Event::LedgerFailed { what, failure } => Record::new("ledger_failed")
                .word("what", what.as_str())
                .word("cause", failure.cause.as_str())
                .maybe(failure.code, |r, code| r.number("sqlite_code", code))
                .word("reason", failure.message()),
            Event::LedgerRecovered { what, after } => Record::new("ledger_recovered")
                .word("what", what.as_str())
                .number("after_ms", after.as_millis()),
            Event::RowsLost {
                usage,
                receipts,
                sessions,
            } => Record::new("rows_lost")
                .number("usage", *usage)
                .number("receipts", *receipts)
                .number("sessions", *sessions),
            Event::LogLinesLost { lines } => Record::new("log_lines_lost").number("lines", *lines),
            Event::DatabaseNotChecked { database } => {
                Record::new("database_not_checked").word("database", database)
            }
            Event::AuditEntriesRemoved { count } => {
                Record::new("audit_entries_removed").number("count", *count)
            }
            Event::StoppedUnwritten {
                usage,
                receipts,
                sessions,
                log_entries,
            } => Record::new("stopped_unwritten")
                .number("usage", *usage)
                .number("receipts", *receipts)
                .number("sessions", *sessions)
                .number("log_entries", *log_entries),
            Event::Purged {
                usage,
                receipts,
                sessions,
                records,
            } => Record::new("purged")
                .number("usage", *usage)
                .number("receipts", *receipts)
                .number("sessions", *sessions)
                .number("records", *records),
            Event::ClockDoubted { ahead, by } => Record::new("clock_doubted")
                .word("is", if *ahead { "ahead" } else { "behind" })
                .number("by_s", by.as_secs()),
            Event::BudgetThreshold {
                budget,
                soft_percent,
                spent,
                limit,
                resets_at,
            } => Record::new("budget_threshold")
                .text("budget", budget)
                .number("percent", *soft_percent)
                .text("spent", spent)
                .text("limit", limit)
                .maybe(*resets_at, |r, at| r.text("resets_at", at)),
            Event::BudgetExhausted { budget, resets_at } => Record::new("budget_exhausted")
                .text("budget", budget)
                .maybe(*resets_at, |r, at| r.text("resets_at", at)),
            Event::CreditExhausted { scope } => {
                Record::new("credit_exhausted").text("scope", scope)
            }
            Event::KeysReloaded { active } => {
                Record::new("keys_reloaded").number("active", *active)
            }
            Event::IdentityKeysLoaded {
                issuer,
                keys,
                ignored,
            } => Record::new("identity_keys_loaded")
                .text("issuer", issuer)
                .number("keys", *keys)
                .number("ignored", *ignored),
            Event::IdentityKeysFailed { issuer, failure } => Record::new("identity_keys_failed")
                .text("issuer", issuer)
                .word("failure", failure.as_str()),
            Event::Panicked { component } => {
                Record::new("panicked").word("room", component.as_str())
            }
            Event::PanickedAt { file, line } => Record::new("panicked_at")
                .text("file", file)
                .number("line", *line),
            Event::Stopping => Record::new("stopping"),
            Event::StoppedShort { connections } => {
                Record::new("stopped_short").number("connections", *connections)
            }
            Event::Stopped => Record::new("stopped"),
            Event::RequestFinished { usage, retention } => match retention {
                Some(retention) => Record::from_request(usage, retention),
                None => Record::new("request_finished"),
            },
            Event::RequestRefused {
                endpoint,
                status,
                kind,
            } => Record::new("request_refused")
                .word("endpoint", endpoint.label())
                .number("status", *status)
                .word("type", kind),
            Event::HeadRefused { epoch, fault } => Record::new("head_refused")
                .number("epoch", *epoch)
                .word("fault", fault.as_str()),
            Event::ConnectionOpened { epoch } => {
                Record::new("connection_opened").number("epoch", *epoch)
            }
            Event::HandshakeFailed { epoch } => {
                Record::new("handshake_failed").number("epoch", *epoch)
            }
            Event::ConnectionClosed { epoch } => {
                Record::new("connection_closed").number("epoch", *epoch)
            }
            Event::TelemetryFailed { failure, lost } => Record::new("telemetry_failed")
                .word("failure", failure.as_str())
                .number("lost", *lost),
        }
    }
}
