//! The messages to the device mapper: `struct dm_ioctl`, followed by, if a table is loaded, one
//! `struct dm_target_spec` with its parameters. Native byte order; written at fixed offsets, so that no Rust struct has to have C's layout.
//!
//! | bytes | field of `dm_ioctl` |
//! |---|---|
//! | 0..12 | version 4.0.0 |
//! | 12..16 | data_size: of the whole buffer |
//! | 16..20 | data_start: where the target begins |
//! | 20..24 | target_count |
//! | 28..32 | flags |
//! | 40..48 | dev, an answer: bits 8..20 major, 0..8 and 20..32 minor |
//! | 48..176 | name, ended by zero |
//! | 176..305 | uuid, empty here |
//!
//! | bytes after `data_start` | field of `dm_target_spec` |
//! |---|---|
//! | 0..8 | sector_start, 0 |
//! | 8..16 | length in sectors of 512 bytes |
//! | 20..24 | next: length of this target and its parameters |
//! | 24..40 | target type, ended by zero |
//! | 40.. | parameters, ended by zero |

use super::table::Table;

pub const HEADER_LEN: usize = 312;
const SPEC_LEN: usize = 40;
const NAME: std::ops::Range<usize> = 48..176;
const LEN: usize = 2048;

const READ_ONLY: u32 = 1;
/// The kernel wipes its copy of the request: it may hold a key.
const SECURE_DATA: u32 = 1 << 15;

/// The buffer as the kernel sees it.
#[repr(C, align(8))]
pub struct Bytes([u8; LEN]);

/// Requests, by their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Command {
    Create = 3,
    Load = 9,
    /// `DM_DEV_SUSPEND` without the suspend flag.
    Resume = 6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    ReadOnly,
    ReadWrite,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    #[error("{0:?} is no name for a device")]
    Name(String),

    #[error("the table is too long: {0} bytes")]
    TooLong(usize),
}

pub struct Message(Box<Bytes>);

impl Message {
    /// A request about a device and nothing more.
    pub fn about(name: &str, access: Access) -> Result<Self, MessageError> {
        let plain = name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        if name.is_empty() || name.len() >= NAME.len() || !plain {
            return Err(MessageError::Name(name.to_owned()));
        }
        let mut message = Self(Box::new(Bytes([0; LEN])));
        message.put(0, &4u32.to_ne_bytes());
        message.put(12, &(LEN as u32).to_ne_bytes());
        message.put(16, &(HEADER_LEN as u32).to_ne_bytes());
        let read_only = match access {
            Access::ReadOnly => READ_ONLY,
            Access::ReadWrite => 0,
        };
        message.put(28, &(read_only | SECURE_DATA).to_ne_bytes());
        message.put(NAME.start, name.as_bytes());
        Ok(message)
    }

    /// A request that carries a table of one target.
    pub fn with_table(name: &str, access: Access, table: &Table) -> Result<Self, MessageError> {
        let mut message = Self::about(name, access)?;
        let parameters = table.parameters.as_bytes();
        // With the closing zero, and rounded up as the kernel wants the next target aligned.
        let whole = (SPEC_LEN + parameters.len() + 1).next_multiple_of(8);
        if HEADER_LEN + whole > LEN {
            return Err(MessageError::TooLong(parameters.len()));
        }
        message.put(20, &1u32.to_ne_bytes());
        message.put(HEADER_LEN + 8, &table.sectors.to_ne_bytes());
        message.put(HEADER_LEN + 20, &(whole as u32).to_ne_bytes());
        message.put(HEADER_LEN + 24, table.target.as_bytes());
        message.put(HEADER_LEN + SPEC_LEN, parameters);
        Ok(message)
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub fn bytes(&mut self) -> &mut Bytes {
        &mut self.0
    }

    /// The minor number in the kernel's answer (`huge_encode_dev`).
    pub fn minor(&self) -> u64 {
        let mut dev = [0; 8];
        dev.copy_from_slice(&self.0.0[40..48]);
        let dev = u64::from_ne_bytes(dev);
        (dev & 0xff) | ((dev >> 12) & 0xfff00)
    }

    /// Overwrites what may be a key.
    pub fn wipe(&mut self) {
        for byte in &mut self.0.0 {
            *byte = 0;
        }
        std::hint::black_box(&mut self.0.0);
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.wipe();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table {
            sectors: 0x0102_0304_0506,
            target: "verity",
            parameters: "1 254:0".to_owned(),
        }
    }

    fn number(bytes: &[u8], at: usize) -> u32 {
        u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
    }

    #[test]
    fn a_request_is_laid_out_as_the_kernels_header_says() {
        // Offsets by a C compiler: offsetof(struct dm_ioctl, name) = 48, sizeof = 312; sizeof(dm_target_spec) = 40.
        let message = Message::with_table("root", Access::ReadOnly, &table()).expect("it fits");
        let bytes = &message.0.0;
        assert_eq!(
            (number(bytes, 0), number(bytes, 4), number(bytes, 8)),
            (4, 0, 0)
        );
        assert_eq!(number(bytes, 12) as usize, std::mem::size_of::<Bytes>());
        assert_eq!(number(bytes, 16), 312);
        assert_eq!(number(bytes, 20), 1);
        assert_eq!(number(bytes, 28), READ_ONLY | SECURE_DATA);
        assert_eq!(&bytes[48..53], b"root\0");
        assert_eq!(bytes[176], 0);
        let target = &bytes[312..];
        assert_eq!(&target[0..8], &[0; 8]);
        assert_eq!(&target[8..16], &0x0102_0304_0506u64.to_ne_bytes());
        assert_eq!(number(target, 20), 48);
        assert_eq!(&target[24..31], b"verity\0");
        assert_eq!(&target[40..48], b"1 254:0\0");
    }

    #[test]
    fn a_request_without_a_table_says_that_there_is_none() {
        let message = Message::about("state", Access::ReadWrite).expect("it is a name");
        assert_eq!(number(&message.0.0, 20), 0);
        assert_eq!(number(&message.0.0, 28) & READ_ONLY, 0);
    }

    #[test]
    fn names_and_tables_that_do_not_fit_are_refused() {
        let about = |name: &str| Message::about(name, Access::ReadOnly).err();
        for name in ["", "a/b", "a b", "A", &"a".repeat(128)] {
            assert_eq!(about(name), Some(MessageError::Name(name.to_owned())));
        }
        assert_eq!(about(&"a".repeat(127)), None);
        let mut long = table();
        long.parameters = "x".repeat(LEN - HEADER_LEN - SPEC_LEN);
        let refused = Message::with_table("root", Access::ReadOnly, &long).err();
        assert_eq!(refused, Some(MessageError::TooLong(long.parameters.len())));
        long.parameters.pop();
        assert!(Message::with_table("root", Access::ReadOnly, &long).is_ok());
    }

    #[test]
    fn the_minor_number_is_read_from_the_answer() {
        let mut message = Message::about("root", Access::ReadOnly).expect("it is a name");
        for (major, minor) in [(254u64, 0u64), (253, 7), (254, 300)] {
            let dev = (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12);
            message.put(40, &dev.to_ne_bytes());
            assert_eq!(message.minor(), minor);
        }
    }

    #[test]
    fn a_wiped_message_holds_nothing() {
        let mut message =
            Message::with_table("state", Access::ReadWrite, &table()).expect("it fits");
        message.wipe();
        assert!(message.0.0.iter().all(|byte| *byte == 0));
    }
}
