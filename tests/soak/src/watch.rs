//! Memory and descriptors of the processes, once a second, and whether they grow.
//!
//! The last third of the run is compared with the first; both have the same traffic. Ten per cent of the run are left
//! out at the beginning: caches fill.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

const EVERY: Duration = Duration::from_secs(1);
/// Growth of the mean, beside [`GROWTH`] per cent: receipts of mode `zero` stay for ten minutes in memory, and a
/// database's caches fill to their bounds.
const ROOM: u64 = 32 << 20;
const GROWTH: u64 = 20;
/// More descriptors at the most than in the first third: connections that are being closed.
const MORE_DESCRIPTORS: u64 = 48;

#[derive(Clone, Copy, Debug)]
struct Sample {
    resident: u64,
    descriptors: u64,
}

/// What was seen of one process.
pub struct Samples {
    name: &'static str,
    samples: Vec<Sample>,
}

pub struct Watch {
    stop: Arc<Notify>,
    watching: JoinHandle<Vec<Samples>>,
}

pub fn begin(processes: Vec<(&'static str, u32)>) -> Watch {
    let stop = Arc::new(Notify::new());
    let stopped = stop.clone();
    let watching = tokio::spawn(async move {
        let mut seen: Vec<Samples> = processes
            .iter()
            .map(|(name, _)| Samples {
                name,
                samples: Vec::new(),
            })
            .collect();
        loop {
            for (samples, (_, id)) in seen.iter_mut().zip(&processes) {
                samples.samples.extend(sample(*id));
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stopped.notified() => return seen,
            }
        }
    });
    Watch { stop, watching }
}

impl Watch {
    pub async fn end(self) -> Vec<Samples> {
        self.stop.notify_one();
        self.watching.await.unwrap_or_default()
    }
}

fn sample(id: u32) -> Option<Sample> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    let descriptors = fs::read_dir(format!("/proc/{id}/fd")).ok()?.count() as u64;
    Some(Sample {
        resident: kilobytes << 10,
        descriptors,
    })
}

impl Samples {
    /// The first third without the beginning, and the last one.
    fn thirds(&self) -> (&[Sample], &[Sample]) {
        let count = self.samples.len();
        let first = self.samples.get(count / 10..count / 3).unwrap_or_default();
        let last = self.samples.get(count - count / 3..).unwrap_or_default();
        (first, last)
    }

    fn resident(&self) -> (u64, u64) {
        let mean = |part: &[Sample]| {
            let sum: u64 = part.iter().map(|sample| sample.resident).sum();
            sum / (part.len() as u64).max(1)
        };
        let (first, last) = self.thirds();
        (mean(first), mean(last))
    }

    fn descriptors(&self) -> (u64, u64) {
        let most = |part: &[Sample]| part.iter().map(|sample| sample.descriptors).max();
        let (first, last) = self.thirds();
        (most(first).unwrap_or(0), most(last).unwrap_or(0))
    }

    fn faults(&self) -> Vec<String> {
        let name = self.name;
        let mut faults = Vec::new();
        let (first, last) = self.resident();
        if first == 0 || last == 0 {
            faults.push(format!("{name} could not be watched"));
        }
        if last > first + first * GROWTH / 100 + ROOM {
            let (first, last) = (mebibytes(first), mebibytes(last));
            faults.push(format!("{name} grew from {first} to {last} MiB"));
        }
        let (first, last) = self.descriptors();
        if last > first + MORE_DESCRIPTORS {
            faults.push(format!("{name} grew from {first} to {last} descriptors"));
        }
        faults
    }
}

pub fn faults(seen: &[Samples]) -> Vec<String> {
    seen.iter().flat_map(Samples::faults).collect()
}

pub fn summary(seen: &[Samples]) -> String {
    let one = |samples: &Samples| {
        let (first, last) = samples.resident();
        let (few, many) = samples.descriptors();
        format!(
            "{} {} to {} MiB, {few} to {many} descriptors",
            samples.name,
            mebibytes(first),
            mebibytes(last)
        )
    };
    seen.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(resident: impl Fn(u64) -> u64, descriptors: impl Fn(u64) -> u64) -> Samples {
        let sample = |second| Sample {
            resident: resident(second) << 20,
            descriptors: descriptors(second),
        };
        Samples {
            name: "it",
            samples: (0..600).map(sample).collect(),
        }
    }

    #[test]
    fn growing_memory_or_descriptors_are_faults() {
        assert!(samples(|_| 100, |second| second % 100).faults().is_empty());
        // Caches that fill at the beginning.
        assert!(
            samples(|second| 60 + second.min(60), |_| 10)
                .faults()
                .is_empty()
        );
        let leaking = samples(|second| 60 + second / 2, |second| 10 + second / 4).faults();
        assert_eq!(leaking.len(), 2, "{leaking:?}");
        assert_eq!(samples(|_| 0, |_| 0).faults().len(), 1, "it was not seen");
    }
}
