//! `sealgate-soft` and its kin: the gateway's own command line on the software platform.
//!
//! `PROGRAM --platform-seed HEX --measurement NAME [--quote-delay-ms N] [--panic-file PATH] COMMAND…`
//!
//! Everything after the platform's arguments is what `sealgate` takes. Its evidence is worth
//! nothing to a verifier that was not handed the platform's root.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use attest_core::parse_hex;
use sealgate::{Clock, Platform, SystemClock};

use crate::{SoftwarePlatform, TdMeasurements};

/// Runs the program with this process's arguments.
pub fn run() -> ExitCode {
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
struct Machine {
    seed: [u8; 32],
    measurements: TdMeasurements,
    quote_delay: Duration,
    panic_file: Option<PathBuf>,
}

impl Machine {
    /// Takes the platform's arguments off the front.
    fn from_arguments(arguments: impl Iterator<Item = OsString>) -> Result<(Self, Vec<OsString>)> {
        let mut arguments = arguments.peekable();
        let mut rest = vec![arguments.next().unwrap_or_default()];
        let (mut seed, mut measurement, mut delay, mut panic_file) = (None, None, 0, None);
        while let Some(flag) = arguments.next_if(is_platforms) {
            let value = arguments
                .next()
                .and_then(|value| OsString::into_string(value).ok());
            let value = value.with_context(|| format!("{} needs a value", flag.display()))?;
            match flag.to_str() {
                Some("--platform-seed") => {
                    seed = Some(parse_hex::<32>(&value).context("--platform-seed")?);
                }
                Some("--measurement") => measurement = Some(value),
                Some("--panic-file") => panic_file = Some(PathBuf::from(value)),
                _ => delay = value.parse().context("--quote-delay-ms")?,
            }
        }
        let (Some(seed), Some(measurement)) = (seed, measurement) else {
            bail!("--platform-seed HEX and --measurement NAME come first");
        };
        rest.extend(arguments);
        let machine = Self {
            seed,
            measurements: TdMeasurements::named(&measurement),
            quote_delay: Duration::from_millis(delay),
            panic_file,
        };
        Ok((machine, rest))
    }

    fn start(self) -> SoftwarePlatform {
        let platform = SoftwarePlatform::from_seed(&self.seed, SystemClock.now())
            .running(self.measurements)
            .with_quote_delay(self.quote_delay);
        match self.panic_file {
            Some(file) => platform.panicking_on(file),
            None => platform,
        }
    }
}

fn is_platforms(argument: &OsString) -> bool {
    [
        "--platform-seed",
        "--measurement",
        "--quote-delay-ms",
        "--panic-file",
    ]
    .iter()
    .any(|flag| argument == flag)
}
