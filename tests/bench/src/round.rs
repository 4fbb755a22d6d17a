//! One run: everything started, then round by round every target under every shape of load, interleaved and rotated so
//! that no target always follows the same neighbour.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::cpu;
use crate::load::Outcome;
use crate::process::{Core, on_core, pinned};
use crate::report::{self, Measurement, Shape};
use crate::targets::{self, Target};

#[derive(clap::Args)]
pub struct Settings {
    /// Rounds; the table shows medians over them.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each measurement takes.
    #[arg(long, default_value_t = 2000)]
    measure_ms: u64,
    /// Requests per second of the fixed-rate shape.
    #[arg(long, default_value_t = 500)]
    rate: u32,
}

const WARM_UP: Duration = Duration::from_millis(400);

pub fn run(settings: &Settings) -> Result<()> {
    let started = Instant::now();
    let busy = cpu::load_average().filter(|load| *load > 0.5);
    let mut bench = targets::start()?;
    let mut measurements = Vec::new();
    for round in 0..settings.rounds {
        for shape in [Shape::Saturated, Shape::Rate, Shape::Stream] {
            for place in 0..bench.targets.len() {
                let at = (place + round) % bench.targets.len();
                let target = &mut bench.targets[at];
                let outcome = measure(target, shape, settings).with_context(|| {
                    format!("{} under {shape:?}: {}", target.name, target.last_words())
                })?;
                measurements.push(Measurement {
                    target: target.name,
                    shape,
                    round,
                    outcome,
                });
            }
        }
        eprintln!(
            "round {} of {} in {:.0} s",
            round + 1,
            settings.rounds,
            started.elapsed().as_secs_f64()
        );
    }
    // Rotation changes who is measured first; the table keeps the order in which targets were started.
    measurements.sort_by_key(|m| {
        bench
            .targets
            .iter()
            .position(|target| target.name == m.target)
    });
    let rows = report::rows(&measurements);
    println!("\n{}", report::render(&rows, settings.rate));
    println!(
        "{} rounds of {} ms for each figure; {}; 64 connections, 0.6 KB prompt, 1 KB answer; streams: 8 × 200 chunks, one per 5 ms each.",
        settings.rounds,
        settings.measure_ms,
        if pinned() {
            "the target alone on core 1, load and engine on core 0"
        } else {
            "cores shared: no taskset, or one core"
        }
    );
    for note in &bench.notes {
        println!("{note}");
    }
    if let Some(load) = busy {
        println!(
            "This machine was busy when the run began (load average {load:.1}): the figures are worth little."
        );
    }
    let failures: u64 = measurements.iter().map(|m| m.outcome.failures).sum();
    for failed in measurements.iter().filter(|m| m.outcome.failures > 0) {
        println!(
            "{} failed {} requests under {:?}, the first with: {}",
            failed.target,
            failed.outcome.failures,
            failed.shape,
            failed.outcome.first_failure.as_deref().unwrap_or("?")
        );
    }
    println!("{}", report::last_line(&rows, failures));
    ensure!(failures == 0, "{failures} requests failed");
    Ok(())
}

fn measure(target: &mut Target, shape: Shape, settings: &Settings) -> Result<Outcome> {
    let mut arguments: Vec<String> = vec![
        "load".into(),
        "--url".into(),
        target.url.clone(),
        "--model".into(),
        target.model.into(),
    ];
    let mut add = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
    if let Some(key) = &target.key {
        add("key", key.clone());
    }
    if let Some(pid) = target.pid {
        add("pid", pid.to_string());
    }
    match shape {
        Shape::Saturated => add("connections", "64".into()),
        Shape::Rate => {
            add("connections", "64".into());
            add("rate", settings.rate.to_string());
        }
        Shape::Stream => {
            add("connections", "8".into());
            add("chunks", "200".into());
            add("pause-us", "5000".into());
        }
    }
    add("warmup-ms", WARM_UP.as_millis().to_string());
    add("measure-ms", settings.measure_ms.to_string());
    let output = on_core(Core::Load, &std::env::current_exe()?)
        .args(&arguments)
        .output()?;
    ensure!(
        output.status.success(),
        "the load failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let outcome: Outcome = serde_json::from_slice(&output.stdout)?;
    ensure!(
        outcome.requests > 0 || outcome.chunks > 0,
        "nothing was answered: {}",
        outcome
            .first_failure
            .as_deref()
            .unwrap_or("no failure either")
    );
    Ok(outcome)
}
