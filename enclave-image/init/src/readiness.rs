//! Checks randomness and time before any service starts.
//!
//! **Randomness.** A host that decides when interrupts come can starve or steer a pool that is filled by them. The
//! processor's own generator cannot be steered from outside, so a machine without it is refused, and the kernel's pool
//! has to be ready before a key is made: `getrandom` blocks until then. That the kernel mixed the processor's
//! words in is the kernel's doing (`random.trust_cpu`, on unless the measured command line says otherwise).
//!
//! **Time.** The guest's first clock is the host's word (RTC, later kvm-clock or the TSC that the host started). A
//! clock set back would make old collateral look current. Nothing inside the guest can tell, except that a time before
//! the image was made is a lie: `sealgate.not-before` of the measured command line is held against it. Beyond that
//! the gateway's verdicts about upstreams are as good as the host's clock, while a client that judges this
//! gateway uses its own.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::rand::{GetRandomFlags, getrandom};

use crate::os::{Doing, OsError};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntropyError {
    #[error("the processor has no random number generator (rdrand)")]
    NoHardware,

    #[error(transparent)]
    Os(#[from] OsError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the clock shows {shown}, which is before the image was made ({not_before})")]
pub struct ClockError {
    /// Unix seconds.
    pub shown: u64,
    pub not_before: u64,
}

/// Waits until the kernel's pool is ready.
pub fn entropy() -> Result<(), EntropyError> {
    let path = "/proc/cpuinfo";
    let processors = fs::read_to_string(path).doing("read", path)?;
    if !has_generator(&processors) {
        return Err(EntropyError::NoHardware);
    }
    let mut bytes = [0u8; 32];
    getrandom(&mut bytes, GetRandomFlags::empty()).doing("draw from", "the random pool")?;
    Ok(())
}

/// Whether every processor of `/proc/cpuinfo` has `rdrand`.
pub fn has_generator(processors: &str) -> bool {
    let mut flags = processors
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(key, _)| key.trim_end() == "flags")
        .peekable();
    flags.peek().is_some()
        && flags.all(|(_, words)| words.split_ascii_whitespace().any(|word| word == "rdrand"))
}

/// Refuses a clock from before the image was made.
pub fn clock(not_before: Option<u64>, now: SystemTime) -> Result<(), ClockError> {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    match not_before {
        Some(not_before) if since.as_secs() < not_before => Err(ClockError {
            shown: since.as_secs(),
            not_before,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detects_a_processor_without_a_generator() {
        let with =
            "processor\t: 0\nflags\t\t: fpu rdrand sse\n\nprocessor\t: 1\nflags\t\t: rdrand\n";
        assert!(has_generator(with));
        assert!(!has_generator(&with.replace(": rdrand", ": rdrandom")));
        assert!(!has_generator("processor: 0\nmodel name: rdrand\n"));
        assert!(!has_generator(""));
    }

    #[test]
    fn a_clock_before_the_image_is_refused_and_any_later_one_is_not() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(clock(Some(100), at(100)), Ok(()));
        assert_eq!(clock(None, at(0)), Ok(()));
        let refused = ClockError {
            shown: 99,
            not_before: 100,
        };
        assert_eq!(clock(Some(100), at(99)), Err(refused));
        let before_1970 = UNIX_EPOCH - Duration::from_secs(5);
        assert_eq!(
            clock(Some(1), before_1970),
            Err(ClockError {
                shown: 0,
                not_before: 1
            })
        );
    }
}
