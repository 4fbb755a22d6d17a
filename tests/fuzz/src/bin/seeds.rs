//! Writes every target's seeds, one folder each, where libFuzzer looks for them.
//!
//! `fuzz-seeds [FOLDER]`, or `fuzz-seeds --roots` for the roots that are built into the targets.

use std::path::PathBuf;

use fuzz::seeds::{Seeds, roots};
use fuzz_targets::ALL;

fn main() -> anyhow::Result<()> {
    let argument = std::env::args_os().nth(1);
    if argument.as_ref().is_some_and(|it| it == "--roots") {
        return write_roots();
    }
    let directory = argument.map(PathBuf::from);
    let directory = directory.unwrap_or_else(|| "target/fuzz/seeds".into());
    let seeds = Seeds::make();
    let mut written = 0;
    for target in ALL {
        let folder = directory.join(target.name);
        std::fs::create_dir_all(&folder)?;
        for (place, seed) in seeds.of(target.name).iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{place:02}")), seed)?;
            written += 1;
        }
    }
    println!(
        "{written} seeds for {} targets in {}",
        ALL.len(),
        directory.display()
    );
    Ok(())
}

fn write_roots() -> anyhow::Result<()> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/targets/roots"));
    for (name, der) in roots() {
        std::fs::write(folder.join(format!("testonly-{name}.der")), der)?;
    }
    Ok(())
}
