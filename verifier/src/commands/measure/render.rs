//! Renders a prediction as text and as JSON. Values that the host decides are marked as such.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::predict::{Launch, Prediction, Values};
use crate::render::{Detail, printable};
use attest_core::event_log::Register;
use attest_core::to_hex;
use attest_measure::tdx::PageOrder;
use attest_measure::{ExpectedEvent, Origin, register_value};

/// Printed with every value of MRTD and RTMR0.
pub const UNCONFIRMED: &str = "predicted, not confirmed on hardware";

pub fn text(prediction: &Prediction, detail: Detail) -> String {
    let mut out = format!(
        "image {}\n  {}\n  stub of systemd {}, command line {:?}\n",
        printable(&prediction.uki_path.display().to_string()),
        prediction.uki_digest,
        prediction.stub_version,
        printable(&prediction.command_line),
    );
    out.push_str("\nTDX, from the image alone\n");
    for register in [Register::Rtmr1, Register::Rtmr2] {
        let value = prediction.register(register).map(|value| to_hex(&value));
        let _ = writeln!(out, "  {register}  {}", value.unwrap_or_default());
        if detail == Detail::EveryCheck {
            prediction
                .events_of(register)
                .for_each(|event| event_line(&mut out, event));
        }
    }
    for launch in &prediction.launches {
        launch_text(&mut out, launch, detail);
    }
    out
}

fn launch_text(out: &mut String, launch: &Launch, detail: Detail) {
    let _ = writeln!(
        out,
        "\nprofile {}\n  firmware {}\n  {}",
        printable(&launch.profile),
        printable(&launch.firmware_path.display().to_string()),
        launch.firmware_digest,
    );
    match &launch.values {
        Values::Snp {
            measurement,
            machine,
        } => {
            let _ = writeln!(
                out,
                "  SNP launch digest  {}\n    for {} × {}, guest features {:#x}, kernel hashes on; {UNCONFIRMED}",
                to_hex(measurement),
                machine.machine.processors,
                printable(&machine.cpu),
                machine.machine.guest_features,
            );
        }
        Values::Tdx {
            mrtd,
            page_order,
            events,
        } => {
            let _ = writeln!(
                out,
                "  MRTD   {}\n    from the firmware, pages added {}; {UNCONFIRMED}",
                to_hex(mrtd),
                order_text(*page_order),
            );
            match register_value(events, Register::Rtmr0) {
                Some(value) => {
                    let _ = writeln!(out, "  RTMR0  {}\n    {UNCONFIRMED}", to_hex(&value));
                }
                None => {
                    let _ = writeln!(
                        out,
                        "  RTMR0  left to the host and its event log: {}",
                        left_to_the_host(events).join("; ")
                    );
                }
            }
            if detail == Detail::EveryCheck {
                events.iter().for_each(|event| event_line(out, event));
            }
        }
    }
}

fn event_line(out: &mut String, event: &ExpectedEvent) {
    let digest = event.digest.map(|digest| to_hex(&digest));
    let _ = writeln!(
        out,
        "    {:<8}  {}  {}",
        event.origin.as_str(),
        digest.as_deref().and_then(|d| d.get(..24)).unwrap_or("–"),
        printable(&event.what),
    );
}

pub fn order_text(order: PageOrder) -> &'static str {
    match order {
        PageOrder::PerPage => "and measured page by page",
        PageOrder::PerSection => "section by section, then measured",
    }
}

/// The events that the host decides, because of which a register has no predicted value.
pub fn left_to_the_host(events: &[ExpectedEvent]) -> Vec<&str> {
    let open = events.iter().filter(|event| event.origin == Origin::Host);
    open.map(|event| event.what.as_str()).collect()
}

pub fn json(prediction: &Prediction) -> Value {
    let registers = [("rtmr1", Register::Rtmr1), ("rtmr2", Register::Rtmr2)];
    let mut tdx = serde_json::Map::new();
    for (name, register) in registers {
        let events: Vec<_> = prediction.events_of(register).cloned().collect();
        tdx.insert(name.to_owned(), register_json(&events, register));
    }
    json!({
        "image": {
            "file": prediction.uki_path.display().to_string(),
            "sha256": prediction.uki_digest.to_hex(),
            "stub_version": prediction.stub_version,
            "command_line": prediction.command_line,
        },
        "tdx": tdx,
        "launches": prediction.launches.iter().map(launch_json).collect::<Vec<_>>(),
    })
}

fn launch_json(launch: &Launch) -> Value {
    let mut value = json!({
        "profile": launch.profile,
        "firmware": launch.firmware_path.display().to_string(),
        "firmware_sha256": launch.firmware_digest.to_hex(),
        "standing": UNCONFIRMED,
    });
    match &launch.values {
        Values::Snp {
            measurement,
            machine,
        } => {
            value["snp"] = json!({
                "measurement": to_hex(measurement),
                "vcpus": machine.machine.processors,
                "cpu": machine.cpu,
                "guest_features": machine.machine.guest_features,
            });
        }
        Values::Tdx {
            mrtd,
            page_order,
            events,
        } => {
            value["tdx"] = json!({
                "mrtd": to_hex(mrtd),
                "page_order": match page_order {
                    PageOrder::PerPage => "per-page",
                    PageOrder::PerSection => "per-section",
                },
                "rtmr0": register_json(events, Register::Rtmr0),
            });
        }
    }
    value
}

fn register_json(events: &[ExpectedEvent], register: Register) -> Value {
    json!({
        "value": register_value(events, register).map(|value| to_hex(&value)),
        "events": events.iter().map(event_json).collect::<Vec<_>>(),
    })
}

pub fn event_json(event: &ExpectedEvent) -> Value {
    json!({
        "register": event.register.number(),
        "type": event.event_type.code(),
        "digest": event.digest.map(|digest| to_hex(&digest)),
        "what": event.what,
        "origin": event.origin.as_str(),
    })
}
