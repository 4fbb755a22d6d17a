//! Judges every case on disk and fails if one comes out otherwise.

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    let directory = conformance::run::directory();
    let cases = conformance::run::read_all(&directory)?;
    let mut wrong = 0;
    for case in &cases {
        if let Some(difference) = conformance::run::judge(&directory, case)? {
            println!("{difference}");
            wrong += 1;
        }
    }
    println!(
        "{} cases as expected, {wrong} otherwise",
        cases.len() - wrong
    );
    Ok(if wrong == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
