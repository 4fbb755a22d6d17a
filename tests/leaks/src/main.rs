//! `make leaks`: the whole search and its control, in memory and in the outputs of the processes.
//! The last line is the figures; the status is not zero if anything was found, if the control found
//! too little, or if a service offers HTTP/2, which the search does not cover. `leaks --http2` looks for
//! the last alone.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use leaks::hunt::Sighting;
use leaks::keeping::Keeping;
use leaks::scenario::Scenario;
use leaks::stage::Stage;
use leaks::{disk, http2, hunt, outputs, panics, shutdown, table};

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let complaints = match std::env::args().nth(1).as_deref() {
        None => whole().await?,
        Some("--http2") => http2(&Stage::wiping().await?).await?,
        Some(other) => bail!("{other:?} is no argument of this program; --http2 is the only one"),
    };
    for complaint in &complaints {
        println!("{complaint}");
    }
    Ok(match complaints.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// What is wrong, if anything.
async fn whole() -> Result<Vec<String>> {
    let began = Instant::now();
    let scenarios = Scenario::all();
    eprintln!("the control: gateways that do not wipe");
    let stage = Stage::leaving().await?;
    let mut control = hunt::hunt(&stage, &scenarios).await?;
    control.extend(panics::hunt(&stage).await?);
    drop(stage);
    eprintln!("what people run");
    let stage = Stage::wiping().await?;
    let mut complaints = http2(&stage).await?;
    let mut hunted = memory(&stage, &scenarios).await?;
    drop(stage);
    for keeping in [Keeping::Zero, Keeping::Content] {
        eprintln!("what people run, in mode {}", keeping.name());
        let stage = Stage::under(keeping).await?.behind_a_proxy().await?;
        hunted.extend(memory(&stage, &scenarios).await?);
        let disk = disk::search(&stage)?;
        println!("{}", table::of_disk(&disk, keeping));
        complaints.extend(table::complaints_of_disk(&disk, keeping));
    }
    complaints.extend(table::complaints(&hunted, &control));
    eprintln!("what leaves the processes");
    let outputs = outputs::gather(&scenarios, Keeping::Metadata).await?;

    println!("{}", table::render(&hunted, &control));
    println!("{}", table::of_outputs(&outputs));
    complaints.extend(table::complaints_of_outputs(&outputs));
    println!(
        "{} searches of memory found {} copies, the control {}; {} outputs hold {}; {} s",
        hunted.len(),
        table::total(&hunted).all(),
        table::total(&control).all(),
        outputs.all.len(),
        outputs.leaks().len(),
        began.elapsed().as_secs()
    );
    Ok(complaints)
}

/// Everything through every door, handlers that panic, and at last the end of each process.
async fn memory(stage: &Stage, scenarios: &[Scenario]) -> Result<Vec<Sighting>> {
    let mut hunted = hunt::hunt(stage, scenarios).await?;
    hunted.extend(panics::hunt(stage).await?);
    hunted.extend(shutdown::hunt(stage).await?);
    Ok(hunted)
}

async fn http2(stage: &Stage) -> Result<Vec<String>> {
    let offering = http2::offered_by(stage).await?;
    if offering.is_empty() {
        println!("HTTP/2 is not offered: nothing to hunt there\n");
    }
    let complaint = |name| format!("{name} offers HTTP/2, which this hunt does not cover");
    Ok(offering.into_iter().map(complaint).collect())
}
