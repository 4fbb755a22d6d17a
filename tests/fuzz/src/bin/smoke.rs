//! Runs every target over seeds, truncations and mutants, prints the counts, and fails at a panic.
//!
//! `fuzz-smoke [MUTANTS] [TARGET]`: so many mutants for a target that only parses, a tenth of that
//! where an execution checks signatures. `fuzz-smoke 0 recordings`: every recorded file cut to every
//! length, for every target, and nothing else.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;

use fuzz::driver::{self, Effort};
use fuzz::recorded::truncate_all;
use fuzz::seeds::Seeds;
use fuzz_targets::{ALL, Cost};

const MUTANTS: usize = 20_000;
/// Of each file, for each target: evenly spread where the file is longer.
const RECORDED_TRUNCATIONS: usize = 1_000;
/// In the place of a target's name.
const RECORDINGS: &str = "recordings";

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let mutants = match arguments.next() {
        Some(number) => number.parse().context("the number of mutants")?,
        None => MUTANTS,
    };
    let only = arguments.next();
    let recordings = only.as_deref() == Some(RECORDINGS);
    let seeds = Seeds::make();
    let crashes = Path::new("target/fuzz/crashes");
    let (mut executions, mut panics) = (0, 0);
    // Panics are reported below, with the input that caused them.
    std::panic::set_hook(Box::new(|panic| eprintln!("    {panic}")));
    for target in ALL {
        if only.as_ref().is_some_and(|only| only != target.name) {
            continue;
        }
        let effort = match target.cost {
            Cost::Parse => Effort {
                truncations: usize::MAX,
                mutants,
            },
            Cost::Signatures => Effort {
                truncations: 2_000,
                mutants: mutants / 10,
            },
        };
        let started = Instant::now();
        let outcome = driver::run(target, seeds.of(target.name), effort, 1);
        println!(
            "{:24} {:>3} seeds {:>7} truncations {:>7} mutants  {:>5.1} s, slowest {:>6.1} ms ({} bytes), {} panics",
            target.name,
            outcome.seeds,
            outcome.truncations,
            outcome.mutants,
            started.elapsed().as_secs_f64(),
            outcome.slowest.0.as_secs_f64() * 1e3,
            outcome.slowest.1,
            outcome.panics.len(),
        );
        for input in &outcome.panics {
            println!(
                "    {}",
                driver::keep(crashes, target.name, input)?.display()
            );
        }
        executions += outcome.executions();
        panics += outcome.panics.len();
    }
    if only.is_none() {
        let count = u64::try_from(mutants / 4)?;
        let started = Instant::now();
        let outcome = driver::run_bundles(1..count + 1);
        println!(
            "{count} bundles of a TDX quote and its collateral, changed by their structure: {} accepted, {} panics  {:.1} s",
            outcome.accepted,
            outcome.panics.len(),
            started.elapsed().as_secs_f64(),
        );
        for number in &outcome.panics {
            println!("    bundle {number}");
        }
        executions += usize::try_from(count)?;
        panics += outcome.panics.len();
    }
    let vectors = match only.is_none() || recordings {
        true => evidence::vectors_or_skip("truncations of recorded evidence"),
        false => None,
    };
    if recordings && vectors.is_none() {
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(vectors) = vectors {
        let lengths = if recordings {
            usize::MAX
        } else {
            RECORDED_TRUNCATIONS
        };
        let cut = truncate_all(&vectors, lengths)?;
        println!(
            "{} recorded files, {} executions on them and on what is left of them",
            cut.files, cut.executions
        );
        for (target, path) in &cut.panics {
            println!("    {target}: {}", path.display());
        }
        executions += cut.executions;
        panics += cut.panics.len();
    }
    println!(
        "{} targets, {executions} executions, {panics} panics",
        ALL.len()
    );
    Ok(if panics == 0 && executions > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
