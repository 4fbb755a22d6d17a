//! The cost of wiping memory: CPU time per request of the gateway beside the same program with an allocator that leaves memory
//! as it is. Both run side by side and are measured in turns, so that what the machine does besides falls on both.

use anyhow::{Context, Result, ensure};

use crate::load::Outcome;
use crate::process::{Core, on_core};
use crate::targets::{self, Target};

#[derive(clap::Args)]
pub struct Settings {
    /// Turns for each program and shape; the figures are medians over them.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each turn takes.
    #[arg(long, default_value_t = 1500)]
    measure_ms: u64,
}

/// More than this and the hunt for its cause comes first.
const ALLOWED: f64 = 1.25;

struct Shape {
    name: &'static str,
    prompt: usize,
    chunks: u32,
    connections: usize,
}

const SHAPES: [Shape; 4] = [
    shape("8 KB", 8 << 10, 0, 16),
    shape("8 KB, streamed", 8 << 10, 50, 32),
    shape("200 KB", 200 << 10, 0, 16),
    shape("200 KB, streamed", 200 << 10, 50, 32),
];

const fn shape(name: &'static str, prompt: usize, chunks: u32, connections: usize) -> Shape {
    Shape {
        name,
        prompt,
        chunks,
        connections,
    }
}

pub fn run(settings: &Settings) -> Result<()> {
    let bench = targets::start_wiping_and_not()?;
    let mut ratios = Vec::new();
    println!(
        "{:20} {:>14} {:>14} {:>8}   CPU per request, direct mode, on the software platform",
        "prompt", "wiping", "not wiping", "ratio"
    );
    for shape in &SHAPES {
        let mut spent = [Vec::new(), Vec::new()];
        for round in 0..settings.rounds {
            for place in 0..2 {
                let which = (place + round) % 2;
                let target = &bench.targets[which];
                let micros = measure(target, shape, settings)
                    .with_context(|| format!("{}: {}", target.name, target.last_words()))?;
                spent[which].push(micros);
            }
        }
        let [wiping, leaving] = spent.map(median);
        let ratio = wiping / leaving;
        println!(
            "{:20} {wiping:>11.1} µs {leaving:>11.1} µs {ratio:>8.2}",
            shape.name
        );
        ratios.push(ratio);
    }
    let worst = ratios.iter().copied().fold(0.0, f64::max);
    let each: Vec<String> = SHAPES
        .iter()
        .zip(&ratios)
        .map(|(shape, ratio)| format!("{} {ratio:.2}x", shape.name))
        .collect();
    println!(
        "wiping costs: {}; worst {worst:.2}x, allowed {ALLOWED}x",
        each.join("; ")
    );
    ensure!(worst <= ALLOWED, "wiping costs too much");
    Ok(())
}

fn measure(target: &Target, shape: &Shape, settings: &Settings) -> Result<f64> {
    let pid = target.pid.context("a gateway has a process")?;
    let key = target.key.as_deref().context("a gateway asks for a key")?;
    let arguments = [
        ("url", target.url.clone()),
        ("key", key.to_owned()),
        ("model", target.model.to_owned()),
        ("pid", pid.to_string()),
        ("connections", shape.connections.to_string()),
        ("prompt-bytes", shape.prompt.to_string()),
        ("chunks", shape.chunks.to_string()),
        ("pause-us", "4000".to_owned()),
        ("warmup-ms", "300".to_owned()),
        ("measure-ms", settings.measure_ms.to_string()),
    ];
    let mut load = on_core(Core::Load, &std::env::current_exe()?);
    load.arg("load");
    for (name, value) in arguments {
        load.arg(format!("--{name}")).arg(value);
    }
    let output = load.output()?;
    ensure!(
        output.status.success(),
        "the load failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let outcome: Outcome = serde_json::from_slice(&output.stdout)?;
    ensure!(
        outcome.failures == 0,
        "{} requests failed, the first with: {}",
        outcome.failures,
        outcome.first_failure.as_deref().unwrap_or("?")
    );
    ensure!(outcome.requests > 0, "nothing was answered");
    Ok(outcome.cpu_us / outcome.requests as f64)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
