//! The device mapper's ioctl, the only unsafe call of this module.

#![allow(unsafe_code)]

use std::fs::File;

use rustix::io;
use rustix::ioctl::{Direction, Opcode, Updater, ioctl, opcode};

use super::message::{Bytes, Command, HEADER_LEN, Message};

/// `_IOWR(0xfd, number, struct dm_ioctl)`: the number encodes the header's length, whatever follows it.
const fn code(command: Command) -> Opcode {
    opcode::from_components(Direction::ReadWrite, 0xfd, command as u8, HEADER_LEN)
}

/// Sends a request and takes the answer in its place.
pub fn call(control: &File, command: Command, message: &mut Message) -> io::Result<()> {
    match command {
        Command::Create => send::<{ code(Command::Create) }>(control, message.bytes()),
        Command::Load => send::<{ code(Command::Load) }>(control, message.bytes()),
        Command::Resume => send::<{ code(Command::Resume) }>(control, message.bytes()),
    }
}

fn send<const CODE: Opcode>(control: &File, bytes: &mut Bytes) -> io::Result<()> {
    // SAFETY: `CODE` is one of the device mapper's read-write requests. For each of them the kernel reads and writes
    // at most as many bytes as the message's own `data_size` says, which `Message` fixes to the length of `Bytes`
    // and nothing changes between; any bytes are valid `Bytes`, so whatever it writes is a valid value.
    unsafe { ioctl(control, Updater::<CODE, Bytes>::new(bytes)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_numbers_are_those_of_the_kernels_header() {
        // Computed by a C compiler from linux/dm-ioctl.h: DM_DEV_CREATE, DM_TABLE_LOAD, DM_DEV_SUSPEND.
        assert_eq!(code(Command::Create), 0xc138_fd03);
        assert_eq!(code(Command::Load), 0xc138_fd09);
        assert_eq!(code(Command::Resume), 0xc138_fd06);
    }
}
