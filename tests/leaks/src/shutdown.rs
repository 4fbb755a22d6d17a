//! Graceful shutdown: a process that gets SIGTERM finishes what it has begun. While one last
//! stream without canaries keeps it alive, nothing of the others may be left.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::sleep;

use crate::bodies::{Ask, CHAT, holder};
use crate::hunt::{Sighting, look};
use crate::stage::{Door, Hunted, Stage};
use crate::wire::{Length, Wire};

const NAME: &str = "graceful shutdown";
/// Until a process has noticed that it is to stop.
const NOTICED: Duration = Duration::from_millis(300);

/// Stops one process after the other, each in the middle of an answer.
pub async fn hunt(stage: &Stage) -> Result<Vec<Sighting>> {
    let mut sightings = Vec::new();
    for door in &stage.doors {
        let first = door.hunted.first().context("a door leads somewhere")?;
        sightings.extend(stop(stage, door, first).await?);
    }
    let door = stage.enclave_door()?;
    let enclave = door.hunted.first().context("a door leads somewhere")?;
    sightings.extend(stop(stage, &door, enclave).await?);
    Ok(sightings)
}

async fn stop(stage: &Stage, door: &Door, process: &Hunted) -> Result<Vec<Sighting>> {
    // The head of this request is in use, so it holds no canary.
    let without_canaries = Door {
        word: "holder".to_owned(),
        ..door.clone()
    };
    let mut holding = Wire::open(&without_canaries).await?;
    send(&mut holding, &without_canaries, &holder()).await?;
    holding.answer().await?.expect(&[200])?;

    let mut wire = Wire::open(door).await?;
    // So long an answer that its end cannot be on its way before it is read.
    let body = Ask::Chat(200 << 10).body("huge", &stage.prompts);
    send(&mut wire, door, &body).await?;
    let head = wire.answer().await?;
    head.expect(&[200])?;
    let kill = std::process::Command::new("kill")
        .args(["-TERM", &process.pid.to_string()])
        .status()?;
    anyhow::ensure!(kill.success(), "{} cannot be signalled", process.name);
    sleep(NOTICED).await;
    wire.body(&head)
        .await
        .context("an answer that was begun is finished")?;
    // A proxy passes the holder's API key on, and has it until the end of its answer.
    let needles = match door.tls {
        true => stage.needles_of(door),
        false => stage.needles_without_keys(),
    };
    let processes = std::slice::from_ref(process);
    let sightings = look(stage, door, NAME, processes, &needles).await?;
    drop((wire, holding));
    Ok(sightings)
}

async fn send(wire: &mut Wire, door: &Door, body: &[u8]) -> Result<()> {
    wire.head(&door.key, CHAT, Length::Announced(body.len()))
        .await?;
    wire.write(body).await
}
