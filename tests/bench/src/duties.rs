//! What the gateway's duties cost: the gateway beside itself without one of them, by configuration or, for wiping, as a
//! test program. No shipped program has a switch that leaves a duty out; those that no configuration leaves out are
//! measured together, as the difference between the gateway that does least and the bare proxy.

use std::time::Instant;

use anyhow::Result;

use crate::report::{Figure, Report, Spread};
use crate::round::{self, Settings};
use crate::targets::{self, FLOOR};

/// Everything, receipts signed when they are made.
pub const ALL: &str = "every duty";
pub const NOT_WIPING: &str = "nothing wiped";
pub const NOT_SIGNING: &str = "receipts not signed";
pub const NOT_LOGGING: &str = "requests not logged";
pub const NOT_KEEPING: &str = "nothing kept of requests";
/// Without wiping, signatures and log lines. Not also with nothing kept: such receipts are always signed at once.
pub const LEAST: &str = "not wiped, not signed, not logged";

/// A duty, what has it, and what does not.
const DUTIES: [(&str, &str, &str); 6] = [
    ("wiping: memory, buffers, stacks", ALL, NOT_WIPING),
    ("a receipt's signature", ALL, NOT_SIGNING),
    ("a log line", ALL, NOT_LOGGING),
    ("rows, stored receipts and a log line", ALL, NOT_KEEPING),
    ("wiping, a signature and a log line", ALL, LEAST),
    (
        "keys, limits, hashes, receipts, rows, audit, metrics",
        LEAST,
        FLOOR,
    ),
];

const FIGURES: [(&str, Figure); 3] = [
    ("saturated", Figure::CpuSaturated),
    ("deferred", Figure::CpuDeferred),
    ("at rate", Figure::CpuAtRate),
];

pub fn run(settings: &Settings) -> Result<()> {
    let mut bench = targets::start_for_duties()?;
    let measurements = round::measure_all(&mut bench, settings, Instant::now())?;
    let report = Report {
        targets: bench.targets.iter().map(|target| target.name).collect(),
        measurements,
        idle: Vec::new(),
    };
    print!("{:<52}", "µs of CPU time a request");
    FIGURES
        .iter()
        .for_each(|(name, _)| print!("{name:>12}{:>18}", ""));
    println!();
    for target in &report.targets {
        print_line(target, |figure| report.spread(target, figure));
    }
    for (duty, with, without) in DUTIES {
        print_line(duty, |figure| {
            report.compare(with, without, figure, |a, b| a - b)
        });
    }
    Ok(())
}

fn print_line(name: &str, spread: impl Fn(Figure) -> Spread) {
    print!("{name:<52}");
    for (_, figure) in FIGURES {
        let Spread {
            median,
            least,
            most,
        } = spread(figure);
        print!("{median:>12.1}{:>18}", format!("({least:.1} to {most:.1})"));
    }
    println!();
}
