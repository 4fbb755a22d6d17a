//! `sealgate import`: writes a configuration, or a price table, from that of another gateway.

mod prices;

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use super::UNUSABLE;
use gateway_base::config::TeeKind;
use gateway_import::{Imported, Note, Settings, import_litellm};

#[derive(Subcommand)]
pub(super) enum ImportCommand {
    /// Write a configuration from LiteLLM's config.yaml, and list what could not be imported
    Litellm(Litellm),
    /// Print the price list of other software as a price table
    #[command(subcommand)]
    Prices(prices::PricesCommand),
}

#[derive(Args)]
pub(super) struct Litellm {
    /// LiteLLM's configuration
    #[arg(value_name = "CONFIG.YAML")]
    source: PathBuf,
    /// The directory for sealgate.toml and the upstreams' keys; files that are there are not replaced
    #[arg(short, long, value_name = "DIRECTORY")]
    output: PathBuf,
    /// What the machine shows of itself: without it no report is published
    #[arg(long, value_enum)]
    tee: Tee,
    /// The DNS name of the service
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    server_name: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Tee {
    Tdx,
    Snp,
    None,
}

impl From<Tee> for TeeKind {
    fn from(tee: Tee) -> Self {
        match tee {
            Tee::Tdx => TeeKind::Tdx,
            Tee::Snp => TeeKind::Snp,
            Tee::None => TeeKind::None,
        }
    }
}

/// Why nothing, or not everything, was written.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot read {}: {error}", .file.display())]
    Read {
        file: PathBuf,
        error: std::io::Error,
    },
    #[error("{} {error}", .file.display())]
    Source {
        file: PathBuf,
        error: gateway_import::ImportError,
    },
    #[error("cannot write {}: {error}", .file.display())]
    Write {
        file: PathBuf,
        error: std::io::Error,
    },
}

pub(super) fn run(command: ImportCommand) -> ExitCode {
    let litellm = match command {
        ImportCommand::Litellm(litellm) => litellm,
        ImportCommand::Prices(command) => return prices::run(command),
    };
    match litellm.run() {
        Ok(imported) => {
            print!("{}", report(&imported, &litellm.output));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("sealgate: {error}");
            match error {
                Failure::Source { .. } => ExitCode::from(UNUSABLE),
                Failure::Read { .. } | Failure::Write { .. } => ExitCode::FAILURE,
            }
        }
    }
}

impl Litellm {
    fn run(&self) -> Result<Imported, Failure> {
        let file = || self.source.clone();
        let text = std::fs::read_to_string(&self.source);
        let text = text.map_err(|error| Failure::Read {
            file: file(),
            error,
        })?;
        let name = self.source.file_name().unwrap_or_default();
        let settings = Settings {
            source: &name.to_string_lossy(),
            server_name: &self.server_name,
            tee: self.tee.into(),
            environment: &|name| std::env::var(name).ok().filter(|value| !value.is_empty()),
        };
        let imported = import_litellm(&text, &settings);
        let imported = imported.map_err(|error| Failure::Source {
            file: file(),
            error,
        })?;
        self.write(&imported)?;
        Ok(imported)
    }

    /// Keys are readable by this user alone.
    fn write(&self, imported: &Imported) -> Result<(), Failure> {
        directory(&self.output)?;
        // The first one written is the one that is most likely to be there already.
        write_new(&self.output.join("sealgate.toml"), 0o644, &imported.config)?;
        if let Some(script) = &imported.operations {
            write_new(&self.output.join("limits.sh"), 0o755, script)?;
        }
        if !imported.key_files.is_empty() {
            directory(&self.output.join("keys"))?;
        }
        for key in &imported.key_files {
            write_new(&self.output.join(&key.path), 0o600, key.key.expose())?;
        }
        Ok(())
    }
}

fn directory(directory: &Path) -> Result<(), Failure> {
    let created = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory);
    created.map_err(|error| Failure::Write {
        file: directory.to_owned(),
        error,
    })
}

fn write_new(file: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(mode).open(file);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Failure::Write {
        file: file.to_owned(),
        error,
    })
}

fn report(imported: &Imported, output: &Path) -> String {
    let Imported {
        models, upstreams, ..
    } = imported;
    let mut text = format!(
        "imported {models} models with {upstreams} upstreams to {}\n",
        output.join("sealgate.toml").display()
    );
    list(&mut text, "changed", &imported.changed);
    list(&mut text, "not imported", &imported.not_imported);
    text
}

fn list(text: &mut String, title: &str, notes: &[Note]) {
    if notes.is_empty() {
        return;
    }
    text.push_str(&format!("\n{title}:\n"));
    for Note { place, reason } in notes {
        text.push_str(&format!("  {place}: {reason}\n"));
    }
}
