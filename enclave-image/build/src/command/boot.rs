//! `image boot`: boots an image under emulation and shows its console.

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::places::Places;
use enclave_image::machine::guest::{Guest, Launch};
use enclave_image::machine::tools::Tools;
use enclave_image::say;

#[derive(Debug, Args)]
pub struct BootArgs {
    #[command(flatten)]
    places: Places,
    /// Which image
    #[arg(long, value_name = "NAME")]
    profile: String,
    /// The disk that `image config` made
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The disk `state` of an image that has one: a file of the size that it is to have
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// The machine's memory in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    memory: u32,
    /// The guest's port that a port of this machine's loopback leads to
    #[arg(long, value_name = "PORT", default_value_t = 8443)]
    port: u16,
    /// Further arguments for QEMU
    #[arg(last = true)]
    more: Vec<String>,
}

/// Prints the console until the machine is off.
pub fn run(arguments: &BootArgs) -> Result<()> {
    let places = &arguments.places;
    let archive = places.archive();
    let tools = Tools::provide(&places.lock()?, &archive, &places.output().join("tools"))?;
    let folder = places.output().join(&arguments.profile);
    let uki = folder.join(format!("sealgate-{}.efi", arguments.profile));
    ensure!(
        uki.exists(),
        "{} is missing: `image build` makes it",
        uki.display()
    );
    let mut disks = vec![("root".to_owned(), folder.join("root.img"))];
    let model = folder.join("model.img");
    if model.exists() {
        disks.push(("model".into(), model));
    }
    if let Some(config) = &arguments.config {
        disks.push(("config".into(), config.clone()));
    }
    let launch = Launch {
        firmware: folder.join("launch/OVMF.fd"),
        uki: Some(uki),
        esp: None,
        disks,
        state: arguments.state.clone(),
        forward: Some(arguments.port),
        tpm: false,
        memory_mib: arguments.memory,
        more: arguments.more.clone(),
    };
    let run = std::env::temp_dir().join(format!("sealgate-boot-{}", std::process::id()));
    let mut guest = Guest::start(&tools, &launch, &run)?;
    say::step(&format!(
        "Booting under emulation; port {} of the guest is 127.0.0.1:{}",
        arguments.port,
        guest.port()?
    ));
    let mut shown = 0;
    loop {
        let text = guest.console().text();
        std::io::stdout().write_all(&text.as_bytes()[shown..])?;
        std::io::stdout().flush()?;
        shown = text.len();
        if guest.wait_until_off(Duration::from_millis(200)).is_ok() {
            break;
        }
    }
    if !std::io::stdout().is_terminal() {
        print!("{}", guest.qemu_log());
    }
    drop(guest);
    fs::remove_dir_all(&run).with_context(|| run.display().to_string())
}
