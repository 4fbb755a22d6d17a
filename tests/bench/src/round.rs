//! One run: everything started, then round by round every target under every shape of load, interleaved and rotated so
//! that no target always follows the same neighbour. After that the cost by the size of the ledger, the rows, and the
//! goals.

use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::goals::{self, Goal};
use crate::load::Outcome;
use crate::process::{Core, Precedence, on_core, pinned, set_precedence};
use crate::report::{self, Figure, IdleMemory, Measurement, Report, Spread};
use crate::shape::Shape;
use crate::targets::{self, Bench, Target};
use crate::{cpu, growth, idle};

#[derive(clap::Args)]
pub struct Settings {
    /// Rounds; the tables show medians over them. `BENCH_ROUNDS` does the same.
    #[arg(long, default_value_t = rounds_from_environment())]
    rounds: usize,
    /// How long each measurement takes.
    #[arg(long, default_value_t = 2000)]
    measure_ms: u64,
    /// Requests per second of the fixed-rate shape.
    #[arg(long, default_value_t = 500)]
    rate: u32,
    /// A small ledger instead of a million requests; so does `BENCH_QUICK=1`. With one round: some five minutes.
    #[arg(long, default_value_t = std::env::var_os("BENCH_QUICK").is_some())]
    quick: bool,
    /// Only these shapes of load, and neither idle connections nor the ledger's growth.
    #[arg(long, value_delimiter = ',')]
    shapes: Vec<Shape>,
    /// Only targets whose name contains one of these.
    #[arg(long, value_delimiter = ',')]
    targets: Vec<String>,
    /// Prints every measurement as it is taken.
    #[arg(long)]
    each: bool,
}

fn rounds_from_environment() -> usize {
    let set = std::env::var("BENCH_ROUNDS").ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(3)
}

const WARM_UP: Duration = Duration::from_millis(400);

/// Idle connections whose memory is measured.
const IDLE_CONNECTIONS: usize = 1000;

impl Settings {
    /// Only some shapes: for a closer look, not for the goals.
    fn is_partial(&self) -> bool {
        !self.shapes.is_empty()
    }

    fn measures(&self, target: &Target, shape: Shape) -> bool {
        let named = |name: &String| target.name.contains(name.as_str());
        target.is_measured_under(shape)
            && (self.shapes.is_empty() || self.shapes.contains(&shape))
            && (self.targets.is_empty() || self.targets.iter().any(named))
    }
}

/// Prints everything. The verdict is the exit status and the last line.
pub fn run(settings: &Settings) -> Result<ExitCode> {
    let started = Instant::now();
    let busy = cpu::load_average().filter(|load| *load > 0.5);
    let mut problems = Vec::new();
    let mut bench = targets::start()?;
    // First: memory that a load has left would be reused by idle connections.
    let idle = match settings.is_partial() {
        false => idle_memory(&bench)?,
        true => Vec::new(),
    };
    let measurements = measure_all(&mut bench, settings, started)?;
    problems.extend(failed_requests(&measurements));
    let report = Report {
        targets: bench.targets.iter().map(|target| target.name).collect(),
        measurements,
        idle,
    };
    let mut goals = goals::of_report(&report);
    problems.extend(missing_rows(&bench.targets)?);
    let notes = std::mem::take(&mut bench.notes);
    drop(bench);
    let points = match settings.is_partial() {
        false => ledger_growth(settings, &mut problems)?,
        true => Vec::new(),
    };
    goals.push(growth::goal(&points));

    println!("\n{}\n{}", report::render(&report), growth::render(&points));
    print_conditions(settings, started, &notes, busy);
    goals.iter().for_each(|goal| println!("{}", goal.line()));
    print_with_deferred_work(&report);
    problems
        .iter()
        .for_each(|problem| println!("FAILED: {problem}"));
    println!("{}", last_line(&report, &goals, &problems));
    Ok(match missed(&goals) == 0 && problems.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Every target but the one that is measured is stopped meanwhile.
pub fn measure_all(
    bench: &mut Bench,
    settings: &Settings,
    started: Instant,
) -> Result<Vec<Measurement>> {
    let mut measurements = Vec::new();
    bench.targets.iter().for_each(Target::stop);
    for round in 0..settings.rounds {
        for shape in Shape::ALL {
            set_precedence(bench.engine.id(), shape.precedence());
            for turn in 0..shape.turns() {
                let round = round * shape.turns() + turn;
                for place in 0..bench.targets.len() {
                    let at = (place + round) % bench.targets.len();
                    let target = &mut bench.targets[at];
                    if settings.measures(target, shape) {
                        measurements.push(measured(target, shape, round, settings)?);
                    }
                }
            }
        }
        eprintln!(
            "round {} of {} in {:.0} s",
            round + 1,
            settings.rounds,
            started.elapsed().as_secs_f64()
        );
    }
    bench.targets.iter().for_each(Target::go_on);
    Ok(measurements)
}

fn measured(
    target: &mut Target,
    shape: Shape,
    round: usize,
    settings: &Settings,
) -> Result<Measurement> {
    target.set_precedence(shape.precedence());
    target.go_on();
    let outcome = under(target, shape, &[], settings)
        .with_context(|| format!("{} under {shape:?}: {}", target.name, target.last_words()))?;
    target.stop();
    if shape != Shape::NewConnections {
        target.answered += outcome.answered;
    }
    if settings.each {
        let seen = serde_json::to_string(&outcome)?;
        eprintln!("{round} {shape:?} {}: {seen}", target.name);
    }
    Ok(Measurement {
        target: target.name,
        shape,
        round,
        outcome,
    })
}

/// One load on one target, for the time of one measurement.
fn under(target: &Target, shape: Shape, more: &[String], settings: &Settings) -> Result<Outcome> {
    let mut arguments = vec!["load".to_owned()];
    arguments.extend(shape.arguments(settings.rate));
    arguments.extend_from_slice(more);
    let mut add = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
    add("url", target.url.clone());
    add("model", target.model.to_owned());
    if let Some(key) = &target.key {
        add("key", key.clone());
    }
    if let Some(pid) = target.pid {
        add("pid", pid.to_string());
    }
    add("warmup-ms", WARM_UP.as_millis().to_string());
    add("measure-ms", settings.measure_ms.to_string());
    let printed = output_of(&arguments, shape.precedence())?;
    let outcome: Outcome = serde_json::from_slice(&printed)?;
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

/// What this program prints with these arguments, beside the engine.
fn output_of(arguments: &[String], precedence: Precedence) -> Result<Vec<u8>> {
    let program = on_core(Core::Load, &std::env::current_exe()?)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if precedence != Precedence::Usual {
        set_precedence(program.id(), precedence);
    }
    let output = program.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{} failed: {}",
        arguments[0],
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

fn idle_memory(bench: &Bench) -> Result<IdleMemory> {
    let mut measured = Vec::new();
    for target in bench
        .targets
        .iter()
        .filter(|target| target.is_measured_under(Shape::NewConnections))
    {
        let Some(pid) = target.pid else {
            continue;
        };
        let arguments = [
            "idle".to_owned(),
            "--url".to_owned(),
            target.url.clone(),
            "--connections".to_owned(),
            IDLE_CONNECTIONS.to_string(),
            "--pid".to_owned(),
            pid.to_string(),
        ];
        let output = output_of(&arguments, Precedence::Usual).with_context(|| target.name)?;
        let outcome: idle::Outcome = serde_json::from_slice(&output)?;
        measured.push((target.name, outcome.kib_per_connection));
    }
    Ok(measured)
}

fn ledger_growth(settings: &Settings, problems: &mut Vec<String>) -> Result<Vec<growth::Point>> {
    let mut bench = targets::start_for_growth()?;
    let mut load = |target: &mut Target, requests: Option<u64>| -> Result<Outcome> {
        let until = requests.map(|number| ["--requests".to_owned(), number.to_string()]);
        let more = until.as_ref().map_or(&[][..], |words| &words[..]);
        let outcome = under(target, Shape::Saturated, more, settings)?;
        target.answered += outcome.answered;
        ensure!(
            outcome.failures == 0,
            "{} requests failed",
            outcome.failures
        );
        Ok(outcome)
    };
    let sizes: &[u64] = match settings.quick {
        true => &growth::QUICK_SIZES,
        false => &growth::SIZES,
    };
    let [gateway, floor] = &mut bench.targets[..] else {
        anyhow::bail!("two targets were started");
    };
    let turns = settings.rounds.max(growth::TURNS);
    let points = growth::measure(gateway, floor, sizes, turns, &mut load)?;
    problems.extend(missing_rows(&bench.targets)?);
    Ok(points)
}

fn failed_requests(measurements: &[Measurement]) -> Vec<String> {
    measurements
        .iter()
        .filter(|m| m.outcome.failures > 0)
        .map(|m| {
            format!(
                "{} failed {} requests under {:?}, the first with: {}",
                m.target,
                m.outcome.failures,
                m.shape,
                m.outcome.first_failure.as_deref().unwrap_or("?")
            )
        })
        .collect()
}

/// Gateways whose ledger does not have exactly one row for each answer.
fn missing_rows(targets: &[Target]) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for target in targets {
        let Some(ledger) = &target.ledger else {
            continue;
        };
        let committed = ledger
            .committed(target.answered)
            .with_context(|| target.name)?;
        if committed != target.answered {
            problems.push(format!(
                "{} answered {} requests and committed {committed} rows",
                target.name, target.answered
            ));
        }
    }
    Ok(problems)
}

fn print_conditions(settings: &Settings, started: Instant, notes: &[String], busy: Option<f64>) {
    println!(
        "{} rounds of {} ms for each figure, {:.0} s; {}; CPU time; 64 connections, 0.6 KB prompt, 1 KB answer unless the column says otherwise, 200 KB with 16 connections; rate: {} a second; streams: 8 × 200 chunks, one per 5 ms each, unpaced 8 × 400.",
        settings.rounds,
        settings.measure_ms,
        started.elapsed().as_secs_f64(),
        if pinned() {
            "the target alone on core 1, load and engine on core 0"
        } else {
            "cores shared: no taskset, or one core"
        },
        settings.rate
    );
    notes.iter().for_each(|note| println!("{note}"));
    if let Some(load) = busy {
        println!(
            "This machine was busy when the run began (load average {load:.1}): the figures are worth little."
        );
    }
}

fn missed(goals: &[Goal]) -> usize {
    let missed = goals
        .iter()
        .filter(|goal| goal.result() == goals::Result::Missed);
    missed.count()
}

/// Work that a gateway does later is left out of the figures above; here it is counted in.
fn print_with_deferred_work(report: &Report) {
    let (now, later) = (Figure::CpuSaturated, Figure::CpuDeferred);
    let nginx = report.get(targets::NGINX, now);
    for target in &report.targets {
        let Spread {
            median,
            least,
            most,
        } = report.spread(target, later);
        if median.is_finite() && *target != targets::NGINX {
            let all = report.get(target, now) + median;
            println!(
                "{target}: deferred work, saturated: {median:.1} µs per request ({least:.1} to {most:.1}); with it {all:.1} µs, {:.2} times nginx",
                all / nginx
            );
        }
    }
}

/// One line for a reader in a hurry.
fn last_line(report: &Report, goals: &[Goal], problems: &[String]) -> String {
    let parts: Vec<String> = report
        .targets
        .iter()
        .filter(|target| report.get(target, Figure::CpuSaturated) > 0.0)
        .map(|target| {
            format!(
                "{target} {:.0} req/s {:.0} µs/req {:.0} µs at rate {:.1} µs/chunk",
                report.get(target, Figure::RequestsPerSecond),
                report.get(target, Figure::CpuSaturated),
                report.get(target, Figure::CpuAtRate),
                report.get(target, Figure::CpuPerPacedChunk)
            )
        })
        .collect();
    let met = goals
        .iter()
        .filter(|goal| goal.result() == goals::Result::Met)
        .count();
    let missed = missed(goals);
    let verdict = match missed == 0 && problems.is_empty() {
        true => "PASS",
        false => "FAIL",
    };
    format!(
        "bench: {verdict}: {met} goals met, {missed} missed, {} not measured, {} problems; {}",
        goals.len() - met - missed,
        problems.len(),
        parts.join("; ")
    )
}
