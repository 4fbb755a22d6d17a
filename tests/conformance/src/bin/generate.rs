//! Writes `cases/`. SNP certificates are salted at random, as their standard wants; everything
//! else follows from the seed.

fn main() -> anyhow::Result<()> {
    let directory = conformance::run::directory();
    let kit = conformance::kit();
    kit.write(&directory)?;
    println!(
        "{} cases, {} shared files",
        kit.cases.len(),
        kit.files.len()
    );
    Ok(())
}
