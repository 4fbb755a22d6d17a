//! `tdx-bundles [COUNT] [FIRST]`: so many changed bundles of a quote and its collateral, judged by us and
//! by `dcap-qvl`. Prints every way in which the answers differ with its count and the first bundle, and
//! fails at one that the table in `README.md` does not explain.

use std::process::ExitCode;

use anyhow::Context;

use differential::bundles::compare;

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |usual: u64| match arguments.next() {
        Some(text) => text.parse().context("a number"),
        None => Ok(usual),
    };
    let (count, first) = (number(100_000)?, number(1)?);
    std::panic::set_hook(Box::new(|_| ()));
    let compared = compare(first..first + count);
    println!("{compared}");
    Ok(match compared.unexplained().next() {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    })
}
