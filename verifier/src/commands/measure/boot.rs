//! `measure --compare`: compares the prediction with the log of a real boot, event by event.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::predict::{Prediction, Values};
use super::render::event_json;
use crate::failure::{Failure, exit};
use crate::inputs;
use crate::render::{Detail, OutputFormat, pretty, printable};
use attest_core::event_log::{MAX_LOG_LEN, Register};
use attest_core::to_hex;
use attest_measure::ExpectedEvent;
use attest_measure::compare::{Confirmation, Line, RegisterComparison, compare, confirms};
use attest_measure::log::{BootLog, LogSource};

pub fn run(prediction: &Prediction, path: &Path, form: OutputFormat) -> Result<u8, Failure> {
    let bytes = inputs::read(path, MAX_LOG_LEN)?;
    let log =
        BootLog::parse(&bytes).map_err(|e| Failure::malformed(path.display().to_string(), e))?;
    let (events, registers) = comparable(prediction, log.source);
    let comparisons = compare(&events, &log, &registers);
    crate::conclusion::print(&match form {
        OutputFormat::Json => pretty(&in_json(&comparisons, log.source)),
        OutputFormat::Text(detail) => comparison_text(&comparisons, log.source, detail),
    });
    let qualified = comparisons.iter().map(|one| confirms(one, log.source));
    Ok(match qualified.max_by_key(|one| severity(*one)) {
        Some(Confirmation::Refuted) => exit::REJECTED,
        Some(Confirmation::Open) => exit::UNSUPPORTED,
        Some(Confirmation::Confirmed) | None => exit::ACCEPTED,
    })
}

const fn severity(confirmation: Confirmation) -> u8 {
    match confirmation {
        Confirmation::Confirmed => 0,
        Confirmation::Open => 1,
        Confirmation::Refuted => 2,
    }
}

/// RTMR0 is compared only with a TD's log and under one profile: a machine with a TPM has other
/// tables and no hand-off block.
fn comparable(prediction: &Prediction, source: LogSource) -> (Vec<ExpectedEvent>, Vec<Register>) {
    let mut events = prediction.events.clone();
    let mut registers = vec![Register::Rtmr1, Register::Rtmr2];
    let mut rtmr0_events = prediction.launches.iter().filter_map(|l| match &l.values {
        Values::Tdx { events, .. } => Some(events),
        Values::Snp { .. } => None,
    });
    if let (LogSource::Td, Some(rtmr0), None) = (source, rtmr0_events.next(), rtmr0_events.next()) {
        events.extend(rtmr0.iter().cloned());
        registers.insert(0, Register::Rtmr0);
    }
    (events, registers)
}

const fn source_text(source: LogSource) -> &'static str {
    match source {
        LogSource::Td => "log of a TD",
        LogSource::Tpm => "log of a TPM, PCRs taken for registers",
    }
}

const fn outcome_text(confirmation: Confirmation) -> &'static str {
    match confirmation {
        Confirmation::Confirmed => "as predicted",
        Confirmation::Open => "as predicted where anything was",
        Confirmation::Refuted => "NOT as predicted",
    }
}

fn comparison_text(
    comparisons: &[RegisterComparison<'_>],
    source: LogSource,
    detail: Detail,
) -> String {
    let mut out = format!("{}\n", source_text(source));
    for comparison in comparisons {
        let outcome = outcome_text(confirms(comparison, source));
        let _ = writeln!(out, "\n{}: {outcome}", comparison.register);
        for line in &comparison.lines {
            write_line(&mut out, line, detail);
        }
    }
    out
}

fn write_line(out: &mut String, line: &Line<'_>, detail: Detail) {
    let _ = match line {
        Line::Found { expected, position } => writeln!(
            out,
            "  ✓ found    {}  event {position}: {}",
            start(expected.digest.as_ref()),
            printable(&expected.what)
        ),
        Line::Missing(expected) => writeln!(
            out,
            "  ✗ MISSING  {}  {}",
            start(expected.digest.as_ref()),
            printable(&expected.what)
        ),
        Line::LeftToTheHost(expected) => writeln!(
            out,
            "  – host     {}  {}",
            start(None),
            printable(&expected.what)
        ),
        Line::Unpredicted { event, position } if detail == Detail::EveryCheck => writeln!(
            out,
            "  + more     {}  event {position}: {}{}",
            start(Some(&event.digest)),
            event.event_type,
            event
                .pcr
                .map(|pcr| format!(", PCR {pcr}"))
                .unwrap_or_default(),
        ),
        Line::Unpredicted { event, position } => writeln!(
            out,
            "  + more     {}  event {position}: {}",
            start(Some(&event.digest)),
            event.event_type,
        ),
    };
}

fn start(digest: Option<&[u8; 48]>) -> String {
    let hex = digest.map(|digest| to_hex(digest)).unwrap_or_default();
    format!("{:<16}", hex.get(..16).unwrap_or("–"))
}

fn in_json(comparisons: &[RegisterComparison<'_>], source: LogSource) -> Value {
    let registers: Vec<_> = comparisons
        .iter()
        .map(|one| {
            json!({
                "register": one.register.number(),
                "outcome": match confirms(one, source) {
                    Confirmation::Confirmed => "confirmed",
                    Confirmation::Open => "open",
                    Confirmation::Refuted => "refuted",
                },
                "lines": one.lines.iter().map(line_in_json).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "source": match source { LogSource::Td => "td", LogSource::Tpm => "tpm" },
        "registers": registers,
    })
}

fn line_in_json(line: &Line<'_>) -> Value {
    match line {
        Line::Found { expected, position } => json!({
            "standing": "found",
            "position": position,
            "expected": event_json(expected),
        }),
        Line::Missing(expected) => {
            json!({ "standing": "missing", "expected": event_json(expected) })
        }
        Line::LeftToTheHost(expected) => {
            json!({ "standing": "left_to_the_host", "expected": event_json(expected) })
        }
        Line::Unpredicted { event, position } => json!({
            "standing": "unpredicted",
            "position": position,
            "digest": to_hex(&event.digest),
            "type": event.event_type.code(),
            "pcr": event.pcr,
        }),
    }
}
