//! Unified kernel images: systemd's stub with kernel, command line and initial file system as
//! sections (UAPI group, "Unified Kernel Image").
//!
//! Only images whose measurements follow from their bytes are accepted. Sections that make the stub
//! build another initial file system, choose by hardware, or read a command line from elsewhere are
//! refused by name.

use crate::bytes::to_usize;
use crate::pe::{Pe, PeError, Section};

/// A version of the stub whose measurements were compared with a real boot's.
#[derive(Debug, PartialEq, Eq)]
struct Stub {
    version: u32,
    /// The sections it measures, in its order and not that of the file (systemd,
    /// `src/fundamental/uki.h`).
    measures: &'static [&'static str],
    /// Whether it loads the kernel with `LoadImage`, so that the firmware measures it by itself.
    loads_image: bool,
    /// Whether it appends a console to a command line without one.
    appends_console: bool,
}

const STUBS: [Stub; 3] = [
    Stub {
        version: 252,
        measures: &[".linux", ".cmdline", ".initrd", ".splash", ".dtb"],
        loads_image: true,
        appends_console: false,
    },
    Stub {
        version: 257,
        measures: &[
            ".linux", ".cmdline", ".initrd", ".splash", ".dtb", ".uname", ".sbat",
        ],
        loads_image: true,
        appends_console: false,
    },
    Stub {
        version: 262,
        measures: &[
            ".linux", ".cmdline", ".initrd", ".splash", ".dtb", ".uname", ".sbat",
        ],
        loads_image: false,
        appends_console: true,
    },
];

/// Sections that change the initial file system that the kernel measures, or
/// among which the stub chooses by hardware or command line.
const UNPREDICTED: [&str; 8] = [
    ".osrel", ".ucode", ".pcrsig", ".pcrpkey", ".profile", ".dtbauto", ".hwids", ".efifw",
];

/// How much longer in memory than in the file a section may be; kernels are longer by less than 1 MiB.
const MAX_TAIL: u32 = 16 << 20;

/// Why a file is not a UKI, or not one whose measurements follow from its bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UkiError {
    /// Not a PE image.
    #[error(transparent)]
    Pe(#[from] PeError),
    /// The kernel inside is not a PE image.
    #[error("the kernel in .linux: {0}")]
    Kernel(PeError),
    /// No such section.
    #[error("the image has no {0} section: not a UKI, or not a whole one")]
    Missing(&'static str),
    /// A section that may exist only once.
    #[error("the image has {0} twice")]
    Repeated(&'static str),
    /// A section far longer in memory than in the file; the rest would be zeros.
    #[error(
        "section {index} of the image is {len} bytes long in memory, far more than in the file"
    )]
    Tail {
        /// Which, from zero.
        index: usize,
        /// Its length in memory.
        len: u32,
    },
    /// A section that makes the measurements depend on more than the image.
    #[error("the image has a {0} section, whose measurements are not predicted; leave it out")]
    Unpredicted(&'static str),
    /// The stub does not state its version of systemd.
    #[error("the stub does not state its version of systemd (section .sdmagic)")]
    Stub,
    /// A stub whose measurements were not compared with a real boot's.
    #[error(
        "the stub is from systemd {0}; predictions were compared with real boots for 252, 257 and 262 only"
    )]
    UntestedStub(u32),
    /// A command line that is not printable ASCII without spaces at its ends.
    #[error("the command line in .cmdline is not printable ASCII, or begins or ends with a space")]
    CommandLine,
    /// Later stubs append a console that depends on the machine.
    #[error(
        "the command line has no console=: a stub of systemd {version} appends one that depends on the machine"
    )]
    Console {
        /// The stub's version.
        version: u32,
    },
}

/// A unified kernel image.
#[derive(Clone, Debug)]
pub struct Uki<'a> {
    pe: Pe<'a>,
    stub: &'static Stub,
    command_line: String,
}

impl<'a> Uki<'a> {
    /// Reads an image.
    pub fn parse(file: &'a [u8]) -> Result<Self, UkiError> {
        let pe = Pe::parse(file)?;
        for (index, section) in pe.sections().iter().enumerate() {
            let len = section.virtual_len;
            if len > section.raw_len.saturating_add(MAX_TAIL) {
                return Err(UkiError::Tail { index, len });
            }
        }
        if let Some(name) = UNPREDICTED
            .into_iter()
            .find(|name| find(&pe, name).is_some())
        {
            return Err(UkiError::Unpredicted(name));
        }
        let version = stub_version(&pe).ok_or(UkiError::Stub)?;
        let stub = STUBS.iter().find(|stub| stub.version == version);
        let stub = stub.ok_or(UkiError::UntestedStub(version))?;
        for name in stub.measures.iter().copied() {
            let with_name = pe.sections().iter().filter(|s| s.name() == Some(name));
            if with_name.count() > 1 {
                return Err(UkiError::Repeated(name));
            }
        }
        let mut uki = Self {
            pe,
            stub,
            command_line: String::new(),
        };
        uki.command_line = command_line(&uki.required(".cmdline")?)?;
        let has_console = uki
            .command_line
            .split(' ')
            .any(|word| word.starts_with("console="));
        if stub.appends_console && !has_console {
            return Err(UkiError::Console { version });
        }
        Ok(uki)
    }

    /// The image as a PE file.
    pub const fn pe(&self) -> &Pe<'a> {
        &self.pe
    }

    /// The version of systemd that the stub is from.
    pub const fn stub_version(&self) -> u32 {
        self.stub.version
    }

    /// Whether the firmware measures the kernel by itself, besides the image around it.
    pub(crate) const fn stub_loads_kernel_as_image(&self) -> bool {
        self.stub.loads_image
    }

    /// The command line that the kernel gets.
    pub fn command_line(&self) -> &str {
        &self.command_line
    }

    /// A section's contents in memory: those in the file, and zeros up to its length.
    pub fn section(&self, name: &str) -> Option<Vec<u8>> {
        find(&self.pe, name).map(|section| in_memory(&self.pe, section))
    }

    /// The kernel.
    pub fn kernel(&self) -> Result<Vec<u8>, UkiError> {
        self.required(".linux")
    }

    /// The initial file system.
    pub fn initrd(&self) -> Result<Vec<u8>, UkiError> {
        self.required(".initrd")
    }

    /// The sections that the stub measures, in its order, with their contents.
    pub fn measured_sections(&self) -> Vec<(&'static str, Vec<u8>)> {
        let sections = self.stub.measures.iter().copied();
        let with_bytes = sections.filter_map(|name| Some((name, self.section(name)?)));
        with_bytes.filter(|(_, bytes)| !bytes.is_empty()).collect()
    }

    fn required(&self, name: &'static str) -> Result<Vec<u8>, UkiError> {
        let bytes = self.section(name).filter(|bytes| !bytes.is_empty());
        bytes.ok_or(UkiError::Missing(name))
    }
}

fn find<'s>(pe: &'s Pe<'_>, name: &str) -> Option<&'s Section> {
    pe.sections().iter().find(|s| s.name() == Some(name))
}

fn in_memory(pe: &Pe<'_>, section: &Section) -> Vec<u8> {
    let raw = pe.raw(section);
    let len = to_usize(section.virtual_len);
    // In the file a section is padded to the alignment; in memory it may be longer than that.
    let kept = raw.get(..len).unwrap_or(raw);
    let mut bytes = kept.to_vec();
    bytes.resize(len, 0);
    bytes
}

/// `#### LoaderInfo: systemd-stub 257.13-1~deb13u1 ####`
fn stub_version(pe: &Pe<'_>) -> Option<u32> {
    let magic = in_memory(pe, find(pe, ".sdmagic")?);
    let text = String::from_utf8_lossy(&magic).into_owned();
    let (_, rest) = text.split_once("#### LoaderInfo: systemd-stub ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// As the stub passes it on. Refused are control characters and spaces at the ends, which the stub would change.
fn command_line(bytes: &[u8]) -> Result<String, UkiError> {
    let text = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    let printable = text.iter().all(|byte| (b' '..=b'~').contains(byte));
    let trimmed = !text.starts_with(b" ") && !text.ends_with(b" ");
    if text.is_empty() || !printable || !trimmed {
        return Err(UkiError::CommandLine);
    }
    String::from_utf8(text.to_vec()).map_err(|_| UkiError::CommandLine)
}
