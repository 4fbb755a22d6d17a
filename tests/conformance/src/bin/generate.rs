//! Writes the cases that are not in `cases/` yet, or all of them again with `--again`. SNP
//! certificates are salted at random, as their standard wants; everything else follows from the seed.

fn main() -> anyhow::Result<()> {
    let directory = conformance::run::directory();
    let again = std::env::args().any(|argument| argument == "--again");
    let kit = conformance::kit();
    let written = kit.write(&directory, again)?;
    println!("{written} of {} cases written", kit.cases.len());
    Ok(())
}
