//! An attestation policy that pins the predicted values, each with the inputs it follows from.

use std::fmt::Write as _;

use attest_core::event_log::Register;
use attest_core::to_hex;
use attest_measure::register_value;

use super::predict::{Launch, Prediction, Values};
use super::render::{UNCONFIRMED, left_to_the_host, order_text};
use crate::render::printable;

pub fn text(prediction: &Prediction) -> String {
    let file = file_name(&prediction.uki_path);
    let mut out = format!(
        "# Written by `sealgate-verify measure` {} from files alone; nothing has been launched for it.\n\
         #\n\
         # Origin: image {}, {},\n\
         # with the command line {:?}.\n\
         # RTMR1 and RTMR2 follow from the image. The inputs of each other value are stated above it.\n\n\
         name = {}\n\
         description = \"Predicted for {}\"\n",
        env!("CARGO_PKG_VERSION"),
        printable(&file),
        prediction.uki_digest,
        printable(&prediction.command_line),
        quoted(&format!("predicted-{}", stem(&prediction.uki_path))),
        escaped(&file),
    );
    let tdx: Vec<_> = with_values(prediction, |values| matches!(values, Values::Tdx { .. }));
    let snp: Vec<_> = with_values(prediction, |values| matches!(values, Values::Snp { .. }));
    if !tdx.is_empty() || snp.is_empty() {
        tdx_section(&mut out, prediction, &tdx);
    }
    if !snp.is_empty() {
        snp_section(&mut out, &snp);
    }
    out
}

fn with_values(prediction: &Prediction, selected: impl Fn(&Values) -> bool) -> Vec<&Launch> {
    let launches = prediction.launches.iter();
    launches.filter(|launch| selected(&launch.values)).collect()
}

fn tdx_section(out: &mut String, prediction: &Prediction, launches: &[&Launch]) {
    if launches.is_empty() {
        out.push_str(
            "\n[tdx]\n\
             # No launch profile was given: the firmware (MRTD) is NOT pinned, and the host that chooses it\n\
             # decides what the other registers contain. For inspection, not for prompts.\n\
             measurements = \"partial\"\n",
        );
        image_registers(out, prediction);
        return;
    }
    out.push_str("\n[tdx]\nmeasurements = \"pinned\"\ntcb_statuses = [\"UpToDate\"]\n");
    for launch in launches {
        let Values::Tdx {
            mrtd,
            page_order,
            events,
        } = &launch.values
        else {
            continue;
        };
        image_table(out, "tdx", launch);
        let _ = write!(
            out,
            "# MRTD: {UNCONFIRMED}. Firmware {},\n# {}, pages added {}.\nmrtd = [\"{}\"]\n",
            printable(&file_name(&launch.firmware_path)),
            launch.firmware_digest,
            order_text(*page_order),
            to_hex(mrtd),
        );
        match register_value(events, Register::Rtmr0) {
            Some(value) => {
                let _ = write!(
                    out,
                    "# RTMR0: {UNCONFIRMED}. Firmware and machine as the profile has them.\n\
                     rtmr0 = [\"{}\"]\n",
                    to_hex(&value)
                );
            }
            None => {
                let _ = writeln!(
                    out,
                    "# RTMR0 is not pinned; the host decides {}.\n\
                     # If reports contain an event log, [event_log] required = true has its replay checked against RTMR0.\n\
                     # The host's values include ACPI tables, whose code the guest's kernel runs: unless their events\n\
                     # are compared with known ones, the host is trusted not to attack through them.",
                    left_to_the_host(events).join("; ")
                );
            }
        }
        image_registers(out, prediction);
    }
}

fn image_registers(out: &mut String, prediction: &Prediction) {
    let named = [
        (Register::Rtmr1, "rtmr1", "the image and the kernel in it"),
        (
            Register::Rtmr2,
            "rtmr2",
            "sections, command line and initial file system of the image",
        ),
    ];
    for (register, name, what) in named {
        let value = prediction.register(register);
        let value = value.map(|value| to_hex(&value)).unwrap_or_default();
        let _ = write!(out, "# {register}: {what}.\n{name} = [\"{value}\"]\n");
    }
}

fn snp_section(out: &mut String, launches: &[&Launch]) {
    out.push_str(
        "\n[snp]\n\
         # The host's ACPI tables hold code that the guest's kernel runs, and no launch digest covers them: whatever\n\
         # is pinned here, the host is trusted not to attack through them.\n\
         measurements = \"pinned\"\n",
    );
    for launch in launches {
        let Values::Snp {
            measurement,
            machine,
        } = &launch.values
        else {
            continue;
        };
        image_table(out, "snp", launch);
        let _ = write!(
            out,
            "# Launch digest: {UNCONFIRMED}. Firmware {},\n# {}, {} × {}, guest features {:#x},\n\
             # kernel hashes on.\nmeasurement = [\"{}\"]\n",
            printable(&file_name(&launch.firmware_path)),
            launch.firmware_digest,
            machine.machine.processors,
            printable(&machine.cpu),
            machine.machine.guest_features,
            to_hex(measurement),
        );
    }
}

fn image_table(out: &mut String, section: &str, launch: &Launch) {
    let _ = write!(
        out,
        "\n[[{section}.image]]\nname = {}\n",
        quoted(&launch.profile)
    );
}

/// Only the file's name: paths of the machine that built the policy do not belong into it.
fn file_name(path: &std::path::Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

fn stem(path: &std::path::Path) -> String {
    let stem = path.file_stem().unwrap_or(path.as_os_str());
    stem.to_string_lossy().into_owned()
}

/// A TOML string.
fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

fn escaped(text: &str) -> String {
    let shown = text.chars().filter(|c| !c.is_control());
    shown
        .flat_map(|c| match c {
            '"' | '\\' => vec!['\\', c],
            other => vec![other],
        })
        .collect()
}
