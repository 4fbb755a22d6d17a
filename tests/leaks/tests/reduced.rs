//! The hunt, reduced to what fits into a test run. `make leaks` is the whole of it, on release builds.

use anyhow::{Context, Result, ensure};

use leaks::canary::{Form, Needle, Side};
use leaks::disk;
use leaks::hunt::hunt;
use leaks::keeping::Keeping;
use leaks::memory::{Needles, search};
use leaks::scenario::Scenario;
use leaks::shutdown;
use leaks::stage::Stage;
use leaks::table;

#[tokio::test(flavor = "multi_thread")]
async fn no_copy_of_a_prompt_or_an_answer_is_left_in_memory() -> Result<()> {
    let hunted = hunt(&Stage::wiping().await?, &Scenario::few()).await?;
    let left: Vec<_> = hunted.iter().filter(|s| s.found.all() > 0).collect();
    assert!(left.is_empty(), "{left:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_copy_of_finished_requests_is_left_in_a_process_that_stops_gracefully() -> Result<()> {
    let hunted = shutdown::hunt(&Stage::wiping().await?).await?;
    let left: Vec<_> = hunted.iter().filter(|s| s.found.all() > 0).collect();
    assert!(left.is_empty(), "{left:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_wiping_the_same_search_finds_thousands() -> Result<()> {
    let stage = Stage::leaving().await?;
    let found = table::total(&hunt(&stage, &Scenario::few()).await?);
    assert!(found.all() >= table::ENOUGH, "{found:?}");
    assert!(
        found.raw > 0 && found.escaped > 0 && found.base64 > 0,
        "{found:?}"
    );
    // What heads held is among it.
    let door = stage.doors.first().context("a door")?;
    for held in [
        format!("Bearer {}", door.key),
        format!("session={}", door.word),
    ] {
        let needle = Needle {
            side: Side::Prompt,
            form: Form::Raw,
            bytes: held.into_bytes(),
        };
        let needles = Needles::new(vec![needle]);
        let mut copies = 0;
        for process in &door.hunted {
            copies += search(process.pid, &needles, |_, _| {})?.all();
        }
        assert!(copies > 0, "heads are not found where nothing is wiped");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_copy_is_left_in_memory_in_mode_zero() -> Result<()> {
    let hunted = hunt(&Stage::under(Keeping::Zero).await?, &Scenario::few()).await?;
    let left: Vec<_> = hunted.iter().filter(|s| s.found.all() > 0).collect();
    assert!(left.is_empty(), "{left:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_copy_is_left_in_memory_or_unsealed_on_disk_in_mode_content() -> Result<()> {
    let stage = Stage::under(Keeping::Content).await?;
    let hunted = hunt(&stage, &Scenario::few()).await?;
    let left: Vec<_> = hunted.iter().filter(|s| s.found.all() > 0).collect();
    assert!(left.is_empty(), "{left:#?}");

    let disk = disk::search(&stage)?;
    ensure!(disk.copies.is_empty(), "{:#?}", disk.copies);
    for (gateway, sealed) in disk.sealed {
        // The first four scenarios alone make two exchanges each, of two files.
        ensure!(sealed >= 16, "{gateway} has sealed {sealed} files only");
    }
    Ok(())
}
