//! The bare proxy of [`crate::floor`].

use std::net::SocketAddr;

use anyhow::{Context, Result};

use super::{FLOOR, Folder, MODEL, Target, chat_url, write_certificate};
use crate::process::{Core, Process, free_address};

pub fn start(folder: &Folder, engine: SocketAddr) -> Result<Target> {
    let address = free_address()?;
    let (certificate, key) = write_certificate(folder.path(), "floor")?;
    let arguments = [
        "floor".to_owned(),
        "--listen".to_owned(),
        address.to_string(),
        "--engine".to_owned(),
        engine.to_string(),
        "--certificate".to_owned(),
        certificate,
        "--key".to_owned(),
        key,
    ];
    let log = folder.path().join("floor.log");
    let mut process = Process::start(Core::Target, &std::env::current_exe()?, &arguments, log)?;
    process.wait_for(address).context("the bare proxy")?;
    Ok(Target::new(FLOOR, chat_url(address), MODEL).run_by(process))
}
