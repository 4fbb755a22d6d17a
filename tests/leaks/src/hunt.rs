//! Runs every scenario through every entry point, and searches after each.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::time::sleep;

use crate::keeping::Keeping;
use crate::memory::{Found, Needles, search};
use crate::scenario::Scenario;
use crate::stage::{Door, Hunted, Stage};

/// By then nothing may be left.
const GRACE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(100);

/// What one process held after one scenario through one door.
#[derive(Clone, Debug)]
pub struct Sighting {
    pub scenario: &'static str,
    pub door: &'static str,
    pub process: &'static str,
    /// The mode its requests were kept under.
    pub keeping: Keeping,
    pub found: Found,
}

/// Plays the scenarios through every door.
pub async fn hunt(stage: &Stage, scenarios: &[Scenario]) -> Result<Vec<Sighting>> {
    let mut sightings = Vec::new();
    for door in &stage.doors {
        let needles = stage.needles_of(door);
        for scenario in scenarios {
            let open = scenario
                .play(door, &stage.prompts)
                .await
                .with_context(|| format!("{} through {}", scenario.name, door.name))?;
            let seen = look(stage, door, scenario.name, &door.hunted, &needles).await?;
            let copies: u64 = seen.iter().map(|sighting| sighting.found.all()).sum();
            eprintln!("{} through {}: {copies} copies", scenario.name, door.name);
            sightings.extend(seen);
            drop(open);
        }
    }
    Ok(sightings)
}

/// Searches until nothing is found or the time is over.
pub async fn look(
    stage: &Stage,
    door: &Door,
    scenario: &'static str,
    processes: &[Hunted],
    needles: &Needles,
) -> Result<Vec<Sighting>> {
    let over = Instant::now();
    let mut sightings = Vec::new();
    for process in processes {
        let found = loop {
            let found = search(process.pid, needles, |_, _| {})
                .with_context(|| format!("searching {}", process.name))?;
            if found.all() == 0 || over.elapsed() > GRACE {
                break found;
            }
            sleep(PAUSE).await;
        };
        if found.all() > 0 && std::env::var_os("LEAKS_SHOW").is_some() {
            show(needles, scenario, process)?;
        }
        sightings.push(Sighting {
            scenario,
            door: door.name,
            process: process.name,
            keeping: stage.keeping,
            found,
        });
    }
    Ok(sightings)
}

/// Where the first finds are, to help find their cause.
fn show(needles: &Needles, scenario: &str, process: &Hunted) -> Result<()> {
    let mut shown = 0;
    search(process.pid, needles, |place, around| {
        shown += 1;
        if shown <= 8 {
            let text: String = String::from_utf8_lossy(around)
                .chars()
                .map(|c| if c.is_control() { '·' } else { c })
                .collect();
            eprintln!("{scenario}: {} {place}: {text}", process.name);
        }
    })?;
    Ok(())
}
