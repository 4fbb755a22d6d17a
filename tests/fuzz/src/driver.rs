//! Running a target over its seeds, over every truncation of them, and over mutants.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fuzz_targets::Target;

use crate::bundle::Bundles;
use crate::mutate::{Numbers, mutant};

/// What came of a target.
#[derive(Debug)]
pub struct Outcome {
    pub seeds: usize,
    pub truncations: usize,
    pub mutants: usize,
    /// Inputs at which the target panicked, at most [`KEPT`].
    pub panics: Vec<Vec<u8>>,
    /// The longest that one execution took, and the size of its input.
    pub slowest: (Duration, usize),
}

const KEPT: usize = 8;

impl Outcome {
    pub fn executions(&self) -> usize {
        self.seeds + self.truncations + self.mutants
    }

    fn execute(&mut self, target: &Target, input: &[u8]) {
        let started = Instant::now();
        let survived = catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_ok();
        let took = started.elapsed();
        if took > self.slowest.0 {
            self.slowest = (took, input.len());
        }
        if !survived && self.panics.len() < KEPT {
            self.panics.push(input.to_vec());
        }
    }
}

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Truncations of each seed at most, evenly spread and with the shortest and longest among them.
    pub truncations: usize,
    pub mutants: usize,
}

/// What came of bundles.
#[derive(Debug, Default)]
pub struct BundleOutcome {
    pub accepted: usize,
    /// Numbers of the bundles at which verification panicked.
    pub panics: Vec<u64>,
}

/// Judges the bundles of these numbers, each twice with what the first time found authentic.
pub fn run_bundles(numbers: std::ops::Range<u64>) -> BundleOutcome {
    let bundles = Bundles::default();
    let mut outcome = BundleOutcome::default();
    for number in numbers {
        let bundle = bundles.make(number);
        let judged = catch_unwind(AssertUnwindSafe(|| {
            fuzz_targets::appraise_bundle(&bundle.quote, &bundle.collateral)
        }));
        match judged {
            Ok(accepted) => outcome.accepted += usize::from(accepted),
            Err(_) => outcome.panics.push(number),
        }
    }
    outcome
}

/// Runs `target`. The same `number` gives the same mutants of the same seeds.
pub fn run(target: &Target, seeds: &[Vec<u8>], effort: Effort, number: u64) -> Outcome {
    let mut outcome = Outcome {
        seeds: 0,
        truncations: 0,
        mutants: 0,
        panics: Vec::new(),
        slowest: (Duration::ZERO, 0),
    };
    for seed in seeds {
        outcome.execute(target, seed);
        outcome.seeds += 1;
        for len in truncations(seed.len(), effort.truncations) {
            outcome.execute(target, &seed[..len]);
            outcome.truncations += 1;
        }
    }
    let mut numbers = Numbers::from(number);
    for _ in 0..effort.mutants {
        outcome.execute(target, &mutant(seeds, &mut numbers));
        outcome.mutants += 1;
    }
    outcome
}

/// Lengths below `len`: all of them, or `at_most` evenly spread.
pub fn truncations(len: usize, at_most: usize) -> Vec<usize> {
    if len <= at_most {
        return (0..len).collect();
    }
    let mut lengths: Vec<usize> = (0..at_most).map(|turn| turn * len / at_most).collect();
    lengths.push(len - 1);
    lengths
}

/// Keeps what a target panicked at, for `libfuzzer/` or a regression test to run again.
pub fn keep(directory: &Path, name: &str, input: &[u8]) -> std::io::Result<PathBuf> {
    let digest = attest_core::Sha256Digest::hash(input).to_hex();
    let path = directory.join(format!("{name}-{}", &digest[..16]));
    std::fs::create_dir_all(directory)?;
    std::fs::write(&path, input)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fuzz_targets::Cost;

    #[test]
    fn reports_a_target_that_panics_and_keeps_the_input() {
        let target = Target {
            name: "fragile",
            run: |data| assert!(data.len() != 3, "panics on purpose"),
            cost: Cost::Parse,
        };
        let effort = Effort {
            truncations: 100,
            mutants: 0,
        };
        let outcome = run(&target, &[b"12345".to_vec()], effort, 0);
        assert_eq!(outcome.panics, [b"123".to_vec()]);
        assert_eq!(outcome.executions(), 6);
    }

    #[test]
    fn truncations_cover_every_length() {
        assert_eq!(truncations(3, 10), [0, 1, 2]);
        assert_eq!(truncations(0, 10), [0; 0]);
        assert_eq!(truncations(100, 4), [0, 25, 50, 75, 99]);
    }
}
