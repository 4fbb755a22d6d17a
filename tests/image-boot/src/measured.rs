//! Predictions beside what a TPM was given.
//!
//! Three accounts of one boot: the event log in the guest's memory, the extensions that went over the TPM's socket,
//! and the values that the TPM has in the end. They have to agree with each other, and with the prediction.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::chat;
use crate::stage::{Ending, Stage, ending, ending_within};
use attest_core::event_log::Register;
use attest_measure::log::BootLog;
use attest_measure::tdx::{rtmr1, rtmr2};
use attest_measure::uki::Uki;
use attest_measure::{register_value, sha384};
use enclave_image::debian::archive::hex;
use enclave_image::machine::guest::{Guest, Launch};
use enclave_image::machine::memory::event_log;
use enclave_image::machine::tpm::Extend;

/// The separator that firmware measures into each register of a TPM.
const SEPARATOR: [u8; 4] = [0; 4];

/// The kernel's own measurements (IMA) go into this register of a TPM, and into none of a TD.
const IMA: u32 = 10;

/// The whole story of one boot.
pub fn chat_and_measurements(stage: &Stage) -> Result<Vec<String>> {
    let launch = Launch {
        tpm: true,
        ..stage.launch("test")
    };
    let guest = stage.start(&launch, "chat")?;
    let began = std::time::Instant::now();
    match ending(&guest)? {
        Ending::Ready => {}
        other => bail!("{other:?}\n{}", guest.console().tail(20)),
    }
    let ready = began.elapsed();
    let mut seen = vec![format!("ready after {:.0} s", ready.as_secs_f64())];
    seen.extend(chat::verified(stage, &guest, TIMEOUT)?);
    seen.extend(as_predicted(stage, &guest, "test")?);
    Ok(seen)
}

/// A prompt through the image with an engine and a model: the same kernel, packages and disks as the image for
/// production, on the software platform. Emulated, each token takes seconds.
pub fn chat_with_a_model(stage: &Stage) -> Result<Vec<String>> {
    let mut launch = stage.launch("test-inference");
    let model = stage.model_of("test-inference");
    launch.disks.push(("model".into(), model));
    launch.memory_mib = 2048;
    launch.tpm = true;
    let guest = stage.start(&launch, "model")?;
    let began = std::time::Instant::now();
    match ending_within(&guest, MODEL_TIMEOUT)? {
        Ending::Ready => {}
        other => bail!("{other:?}\n{}", guest.console().tail(20)),
    }
    let ready = began.elapsed().as_secs_f64();
    let mut seen = vec![format!("ready after {ready:.0} s")];
    seen.extend(chat::verified(stage, &guest, MODEL_TIMEOUT)?);
    seen.extend(as_predicted(stage, &guest, "test-inference")?);
    let text = guest.console().text();
    ensure!(
        text.contains("init: model vd"),
        "there is no model in:\n{text}"
    );
    Ok(seen)
}

pub fn command_line(stage: &Stage) -> Result<String> {
    let bytes = std::fs::read(stage.uki("test"))?;
    Ok(Uki::parse(&bytes)?.command_line().to_owned())
}

/// What the verifier says about the log of a boot of an image.
fn compare(stage: &Stage, guest: &Guest, image: &str) -> Result<(i32, String)> {
    let log = event_log(&guest.memory())?;
    let log = log.context("there is no event log in the guest's memory")?;
    let file = guest.memory().with_file_name("binary_bios_measurements");
    std::fs::write(&file, &log)?;
    let output = Command::new(&stage.verifier)
        .arg("measure")
        .arg("--uki")
        .arg(stage.uki(image))
        .arg("--compare")
        .arg(&file)
        .output()
        .context("sealgate-verify")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let code = output.status.code().context("sealgate-verify was killed")?;
    Ok((code, text))
}

/// Log, extensions, values and prediction agree.
pub fn as_predicted(stage: &Stage, guest: &Guest, image: &str) -> Result<Vec<String>> {
    let (code, text) = compare(stage, guest, image)?;
    ensure!(code == 0, "measure --compare ended with {code}:\n{text}");

    let log = std::fs::read(guest.memory().with_file_name("binary_bios_measurements"))?;
    let log = BootLog::parse(&log)?;
    let tpm = guest.tpm.as_ref().context("the machine has no TPM")?;
    let extends = tpm.extends();
    let mut registers = 0;
    for register in 0..16_u8 {
        let replayed = replay(&extends, u32::from(register));
        let value = tpm.register(register)?;
        ensure!(
            replayed == value,
            "PCR {register} holds {}, and its extensions give {}",
            hex(&value),
            hex(&replayed)
        );
        registers += usize::from(extends.iter().any(|e| e.register == u32::from(register)));
    }
    let logged: Vec<Extend> = log
        .events
        .iter()
        .filter_map(|event| {
            Some(Extend {
                register: event.pcr?,
                digest: event.digest,
            })
        })
        .collect();
    for register in (0..16).filter(|register| *register != IMA) {
        let of = |all: &[Extend]| -> Vec<[u8; 48]> {
            let mine = all.iter().filter(|e| e.register == register);
            mine.map(|e| e.digest).collect()
        };
        ensure!(
            of(&logged) == of(&extends),
            "the log tells another story of PCR {register} than the TPM heard"
        );
    }

    let uki = std::fs::read(stage.uki(image))?;
    let uki = Uki::parse(&uki)?;
    let mut seen = vec![format!(
        "{} events in {registers} PCRs: log, extensions and the TPM's values agree",
        extends.len()
    )];
    let separator = sha384(&[&SEPARATOR]);
    for (events, pcrs, name) in [
        (rtmr1(&uki)?, 2..=6, Register::Rtmr1),
        (rtmr2(&uki)?, 8..=15, Register::Rtmr2),
    ] {
        let in_range = extends
            .iter()
            .filter(|e| pcrs.contains(&e.register) && e.register != IMA);
        let without: Vec<[u8; 48]> = in_range
            .map(|e| e.digest)
            .filter(|digest| *digest != separator)
            .collect();
        let expected: Option<Vec<[u8; 48]>> = events.iter().map(|event| event.digest).collect();
        let expected = expected.context("something in the prediction is left to the host")?;
        let expected: Vec<_> = expected.into_iter().filter(|d| *d != separator).collect();
        ensure!(
            without == expected,
            "{name} is not what was predicted: {} events were measured beside separators, {} predicted",
            without.len(),
            expected.len()
        );
        let value = register_value(&events, name).context("no value")?;
        seen.push(format!(
            "{name} as predicted, {} events: {}…",
            events.len(),
            &hex(&value)[..16]
        ));
    }
    Ok(seen)
}

/// That the boot is distinguished from the predicted one.
pub fn differs_from_prediction(stage: &Stage, guest: &Guest) -> Result<String> {
    let (code, text) = compare(stage, guest, "test")?;
    ensure!(
        code == 10,
        "measure --compare ended with {code} and not with 10:\n{text}"
    );
    let line = text.lines().find(|line| line.contains("NOT as predicted"));
    Ok(format!(
        "and it is measured: {}",
        line.context("no register differs")?
    ))
}

/// A register's value from its extensions; after a start all are zeros.
fn replay(extends: &[Extend], register: u32) -> [u8; 48] {
    let mine = extends.iter().filter(|e| e.register == register);
    mine.fold([0; 48], |value, extend| sha384(&[&value, &extend.digest]))
}

/// How long a chat may take on an emulated machine.
pub const TIMEOUT: Duration = Duration::from_secs(120);

/// How long loading a model may take there, and a short answer from it.
pub const MODEL_TIMEOUT: Duration = Duration::from_secs(15 * 60);
