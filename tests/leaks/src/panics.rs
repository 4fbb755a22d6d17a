//! A handler that panics while it holds a prompt. The shipped program has no switch for that: the
//! software platform's clock panics when the request's time of admission is asked for.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::bodies::{Ask, CHAT};
use crate::hunt::{Sighting, look};
use crate::stage::{Door, Stage};
use crate::wire::{Length, Wire};

const NAME: &str = "panic in a handler";

/// Lets a handler of each gateway panic.
pub async fn hunt(stage: &Stage) -> Result<Vec<Sighting>> {
    let mut sightings = Vec::new();
    for door in stage.doors.iter().filter(|door| door.name == "aggregator") {
        sightings.extend(panic(stage, door, &stage.panic_file("gateway")).await?);
    }
    let door = stage.enclave_door()?;
    sightings.extend(panic(stage, &door, &stage.panic_file("enclave")).await?);
    Ok(sightings)
}

async fn panic(stage: &Stage, door: &Door, file: &Path) -> Result<Vec<Sighting>> {
    die(stage, door, file).await?;
    look(stage, door, NAME, &door.hunted, &stage.needles_of(door)).await
}

/// Lets the handler of one request panic when it has read the body.
pub async fn die(stage: &Stage, door: &Door, file: &Path) -> Result<()> {
    let body = Ask::Chat(200 << 10).body("short", &stage.prompts);
    let (last, most) = body.split_last().expect("a body is not empty");
    let mut wire = Wire::open(door).await?;
    wire.head(&door.key, CHAT, Length::Announced(body.len()))
        .await?;
    wire.write(most).await?;
    std::fs::write(file, "")?;
    wire.write(&[*last]).await?;
    ensure!(wire.answer().await.is_err(), "the handler did not panic");
    ensure!(!file.exists(), "no handler read the clock");
    Ok(())
}
