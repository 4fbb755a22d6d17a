//! The hunt through what leaves the processes. `make leaks` does it with all of the traffic.

use anyhow::Result;

use leaks::keeping::Keeping;
use leaks::outputs::{Kind, gather};
use leaks::scenario::Scenario;
use leaks::table;

#[tokio::test(flavor = "multi_thread")]
async fn no_output_of_the_processes_contains_a_prompt_or_an_answer() -> Result<()> {
    let scenarios = [Scenario::few(), Scenario::failures()].concat();
    let outputs = gather(&scenarios, Keeping::Metadata).await?;
    let complaints = table::complaints_of_outputs(&outputs);
    assert!(complaints.is_empty(), "{complaints:#?}");

    let named: Vec<_> = outputs.naming().iter().map(|naming| naming.0).collect();
    for kind in [Kind::Log, Kind::File] {
        assert!(named.contains(&kind), "no request is named in any {kind:?}");
    }

    let mut logs = String::new();
    for log in outputs.all.iter().filter(|output| output.kind == Kind::Log) {
        logs.push_str(&String::from_utf8_lossy(&log.bytes));
    }
    for event in [
        "connection_opened",
        "request_refused",
        "request_finished",
        "panicked_at file=",
    ] {
        assert!(
            logs.contains(event),
            "the log is not at its most verbose: no {event}"
        );
    }
    assert!(
        !logs.contains("panic requested by"),
        "a panic's message is in the log"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_mode_zero_no_stored_output_identifies_a_request() -> Result<()> {
    let scenarios = [Scenario::few(), Scenario::failures()].concat();
    let outputs = gather(&scenarios, Keeping::Zero).await?;
    let leaks = outputs.leaks();
    assert!(leaks.is_empty(), "{leaks:#?}");
    let naming = outputs.naming();
    assert!(naming.is_empty(), "{naming:#?}");
    assert!(outputs.names.len() > 20, "{:?}", outputs.names);
    let counted = outputs.all.iter().any(|output| {
        output.kind == Kind::Metrics && String::from_utf8_lossy(&output.bytes).contains("completed")
    });
    assert!(counted, "nothing was counted");
    Ok(())
}
