//! The device mapper, through its ioctls (`include/uapi/linux/dm-ioctl.h`, interface version 4).
//!
//! Three requests make a device: create it, load a table of one target, resume it. `message` lays the bytes out,
//! `table` writes the targets, `ioctl` makes the call. No library is used: this code is in the trusted base and is
//! smaller than a library would be.

mod ioctl;
pub mod message;
pub mod table;

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::os::{Doing, OsError};
use message::{Access, Command, Message, MessageError};
use table::Table;

const CONTROL: &str = "/dev/mapper/control";
const NODE_TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapperError {
    #[error(transparent)]
    Message(#[from] MessageError),

    #[error("the kernel made no {0}")]
    NoNode(String),

    #[error(transparent)]
    Os(#[from] OsError),
}

/// Makes the device `name` with one target, and gives its path.
pub fn create(name: &str, table: &Table, access: Access) -> Result<String, MapperError> {
    let control = std::fs::File::options()
        .read(true)
        .write(true)
        .open(CONTROL);
    let control = control.doing("open", CONTROL)?;

    let mut made = Message::about(name, access)?;
    ioctl::call(&control, Command::Create, &mut made).doing("create", name)?;
    let path = format!("/dev/dm-{}", made.minor());

    let mut load = Message::with_table(name, access, table)?;
    ioctl::call(&control, Command::Load, &mut load).doing("load a table into", name)?;
    drop(load);

    let mut resume = Message::about(name, access)?;
    ioctl::call(&control, Command::Resume, &mut resume).doing("resume", name)?;
    wait_for(path)
}

fn wait_for(path: String) -> Result<String, MapperError> {
    let deadline = Instant::now() + NODE_TIMEOUT;
    while !Path::new(&path).exists() {
        if Instant::now() >= deadline {
            return Err(MapperError::NoNode(path));
        }
        sleep(PAUSE);
    }
    Ok(path)
}
