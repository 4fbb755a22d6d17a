//! Prints the table of all recorded evidence: what other tools said, what we say. Exits with 1 if
//! anything differs.

use std::process::ExitCode;

use evidence::{index::Index, run, table, vectors_or_skip};

fn main() -> anyhow::Result<ExitCode> {
    let Some(vectors) = vectors_or_skip("the table of recorded evidence") else {
        return Ok(ExitCode::SUCCESS);
    };
    let recordings = Index::read(&vectors)?.vectors.len();
    let rows = run(&vectors)?;
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let agreed = if row.differences.is_empty() {
                "agreed"
            } else {
                "DIFFERS"
            };
            vec![
                agreed.into(),
                row.id.clone(),
                row.at.clone(),
                row.collateral.clone(),
                row.recorded.clone(),
                row.ours.clone(),
            ]
        })
        .collect();
    table::print(
        &["", "recording", "at", "collateral", "recorded", "ours"],
        &cells,
    );
    for row in rows.iter().filter(|row| !row.differences.is_empty()) {
        println!("\n{} at {}:", row.id, row.at);
        row.differences
            .iter()
            .for_each(|difference| println!("  {difference}"));
    }
    let agreed = rows.iter().filter(|row| row.differences.is_empty()).count();
    println!(
        "\nvectors: {agreed} of {} cases of {recordings} recordings agreed",
        rows.len()
    );
    Ok(if agreed == rows.len() && agreed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
