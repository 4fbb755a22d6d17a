//! `image config`: packs a configuration folder into the disk `config`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use enclave_image::blob::Blob;
use enclave_image::debian::archive::hex;

#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// A folder with sealgate.toml and what it names
    folder: PathBuf,
    /// Where the disk goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub fn run(arguments: &ConfigArgs) -> Result<()> {
    let mut files = BTreeMap::new();
    let folder = &arguments.folder;
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            files.insert(name.into_owned(), fs::read(&path)?);
        }
    }
    let blob = Blob::of(&files)?;
    let out = &arguments.out;
    fs::write(out, blob.disk()).with_context(|| out.display().to_string())?;
    println!(
        "{} files, {} bytes in {}",
        files.len(),
        blob.bytes().len(),
        out.display()
    );
    println!("sha256     {}", hex(&blob.sha256()));
    println!(
        "host data  {}   (SNP: sev-snp-guest,host-data=, in base64)",
        hex(&blob.sha256())
    );
    println!("rtmr3      {}   (TDX: predicted)", hex(&blob.rtmr3()));
    Ok(())
}
