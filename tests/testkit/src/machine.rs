//! `sealgate-soft` and its variants: the gateway's own command line on the software platform.
//!
//! `PROGRAM --platform-seed HEX --measurement NAME [--cpu tdx|snp] [--gpus N] [--event-log yes|no]
//! [--quote-delay-ms N] [--panic-file PATH] [--clock-file PATH] [--fault-file PATH] COMMAND…`
//!
//! Everything after the platform's arguments is what `sealgate` takes. Its evidence is worth
//! nothing to a verifier that was not handed the platform's root.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::platform::FaultFile;
use crate::{SoftwarePlatform, TdMeasurements};
use attest_channel::Clock;
use attest_channel::SystemClock;
use attest_core::parse_hex;
use gateway_contract::platform::Platform;

/// Runs the program with this process's arguments.
pub fn run() -> ExitCode {
    if let Some(ended) = harden::run_resolver() {
        return ended;
    }
    match Machine::from_arguments(std::env::args_os()) {
        Ok((machine, arguments)) => sealgate::cli::run_with(arguments, |_| {
            Ok(Arc::new(machine.start()) as Arc<dyn Platform>)
        }),
        Err(error) => {
            eprintln!("sealgate-soft: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// What the platform's arguments say.
#[derive(Default)]
struct Machine {
    seed: Option<[u8; 32]>,
    measurement: Option<String>,
    snp: bool,
    gpus: usize,
    event_log: bool,
    quote_delay: Duration,
    panic_file: Option<PathBuf>,
    clock_file: Option<PathBuf>,
    faults: FaultFile,
}

impl Machine {
    /// Takes the platform's arguments off the front.
    fn from_arguments(arguments: impl Iterator<Item = OsString>) -> Result<(Self, Vec<OsString>)> {
        let mut arguments = arguments.peekable();
        let mut rest = vec![arguments.next().unwrap_or_default()];
        let mut machine = Self::default();
        while let Some(flag) = arguments.next_if(is_platforms) {
            let value = arguments
                .next()
                .and_then(|value| OsString::into_string(value).ok());
            let value = value.with_context(|| format!("{} needs a value", flag.display()))?;
            machine
                .take(flag.to_str().unwrap_or_default(), value)
                .with_context(|| flag.display().to_string())?;
        }
        if machine.seed.is_none() || machine.measurement.is_none() {
            bail!("--platform-seed HEX and --measurement NAME come first");
        }
        rest.extend(arguments);
        Ok((machine, rest))
    }

    fn take(&mut self, flag: &str, value: String) -> Result<()> {
        match flag {
            "--platform-seed" => self.seed = Some(parse_hex::<32>(&value)?),
            "--measurement" => self.measurement = Some(value),
            "--cpu" => self.snp = one_of(&value, ["tdx", "snp"])?,
            "--gpus" => self.gpus = value.parse()?,
            "--event-log" => self.event_log = one_of(&value, ["no", "yes"])?,
            "--panic-file" => self.panic_file = Some(PathBuf::from(value)),
            "--clock-file" => self.clock_file = Some(PathBuf::from(value)),
            "--fault-file" => self.faults = FaultFile::at(PathBuf::from(value)),
            _ => self.quote_delay = Duration::from_millis(value.parse()?),
        }
        Ok(())
    }

    fn start(self) -> SoftwarePlatform {
        let seed = self.seed.unwrap_or_default();
        let name = self.measurement.unwrap_or_default();
        let platform = SoftwarePlatform::from_seed(&seed, SystemClock.now())
            .with_quote_delay(self.quote_delay)
            .with_faults(self.faults)
            .with_gpus(&name, self.gpus);
        let platform = match (self.snp, self.event_log) {
            (true, _) => platform.as_snp_guest(&name),
            (false, true) => platform.booting(&name),
            (false, false) => platform.running(TdMeasurements::named(&name)),
        };
        let platform = match self.clock_file {
            Some(file) => platform.with_clock_off_by(file),
            None => platform,
        };
        match self.panic_file {
            Some(file) => platform.panicking_on(file),
            None => platform,
        }
    }
}

/// Whether it is the second of two words.
fn one_of(value: &str, words: [&str; 2]) -> Result<bool> {
    match words.iter().position(|word| *word == value) {
        Some(place) => Ok(place == 1),
        None => bail!("must be {} or {}", words[0], words[1]),
    }
}

fn is_platforms(argument: &OsString) -> bool {
    [
        "--platform-seed",
        "--measurement",
        "--cpu",
        "--gpus",
        "--event-log",
        "--quote-delay-ms",
        "--panic-file",
        "--clock-file",
        "--fault-file",
    ]
    .iter()
    .any(|flag| argument == flag)
}
