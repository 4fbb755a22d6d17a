//! `make leaks`: the whole hunt and its control. The last line is the figures; the status is not
//! zero if anything was found, or if the control found too little.

use std::process::ExitCode;

use anyhow::Result;
use leaks::scenario::Scenario;
use leaks::stage::Stage;
use leaks::{hunt, panics, shutdown, table};

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let scenarios = Scenario::all();
    eprintln!("the control: gateways that do not wipe");
    let stage = Stage::leaving().await?;
    let mut control = hunt::hunt(&stage, &scenarios).await?;
    control.extend(panics::hunt(&stage).await?);
    drop(stage);
    eprintln!("what people run");
    let stage = Stage::wiping().await?;
    let mut hunted = hunt::hunt(&stage, &scenarios).await?;
    hunted.extend(panics::hunt(&stage).await?);
    hunted.extend(shutdown::hunt(&stage).await?);

    println!("{}", table::render(&hunted, &control));
    let complaints = table::complaints(&hunted, &control);
    for complaint in &complaints {
        println!("{complaint}");
    }
    println!(
        "{} searches found {} copies; the control found {}",
        hunted.len(),
        table::total(&hunted).all(),
        table::total(&control).all()
    );
    Ok(match complaints.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
