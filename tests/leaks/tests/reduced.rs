//! The hunt, reduced to what fits into a test run. `make leaks` is the whole of it, on release builds.

use anyhow::Result;
use leaks::hunt::hunt;
use leaks::scenario::Scenario;
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
async fn without_wiping_the_same_search_finds_thousands() -> Result<()> {
    let found = table::total(&hunt(&Stage::leaving().await?, &Scenario::few()).await?);
    assert!(found.all() >= table::ENOUGH, "{found:?}");
    assert!(
        found.raw > 0 && found.escaped > 0 && found.base64 > 0,
        "{found:?}"
    );
    Ok(())
}
