//! Gives one service access to hardware evidence, and binds the host's configuration to that evidence.
//!
//! **Permissions.** Everything below `/sys/kernel/config/tsm/report` belongs to root. A directory that an
//! unprivileged user makes there, were it allowed to, would get attributes of root's again (configfs gives new inodes
//! no owner but 0), and `inblob` could not be written. What configfs does keep is an owner that was set: PID 1
//! makes one entry and gives it, file by file, to the service. The entry lives as long as the machine.
//! The firmware's event log is root's, too, and is given for reading; so is `/dev/sev-guest` of older kernels.
//!
//! **Binding.** TDX has registers that can be extended at run time: the blob's SHA-384 goes into RTMR3 before any
//! service starts. SEV-SNP has none, but 32 bytes that the host sets at launch and that stand in every report: where
//! they are not zero, they have to be the blob's SHA-256, or the machine does not start. Either way a policy can pin
//! what the operator's blob must be. Not tested on such hardware.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, SHA384, digest};
use rustix::io::Errno;

use crate::devmapper::table::hex;
use crate::mounts::Owner;
use crate::os::{Doing, OsError};

const REPORTS: &str = "/sys/kernel/config/tsm/report";
/// The entry that the collector finds.
const ENTRY: &str = "sealgate";
const LOG: &[&str] = &[
    "/sys/firmware/acpi/tables/CCEL",
    "/sys/firmware/acpi/tables/data/CCEL",
];
const OLDER: &str = "/dev/sev-guest";

const TDX: &str = "/sys/class/misc/tdx_guest";
const REGISTER: &str = "measurements/rtmr3:sha384";

const SNP: &str = "sev_guest";
/// `ATTESTATION_REPORT` of AMD's publication 56860: its length, and where `HOST_DATA` is.
const REPORT_LEN: usize = 1184;
const HOST_DATA: std::ops::Range<usize> = 0xc0..0xe0;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// The host said at launch which configuration it would give, and gave another.
    #[error("the launch's host data is {host_data}, the configuration's digest {config}")]
    OtherConfiguration { host_data: String, config: String },

    #[error("the report has {0} bytes, not {REPORT_LEN}")]
    Report(usize),

    #[error(transparent)]
    Os(#[from] OsError),
}

/// PID 1's entry of the report interface.
pub struct Entry(PathBuf);

impl Entry {
    /// Makes the entry. `None` without the interface, or without hardware behind it: the module loads on any machine.
    pub fn make() -> Result<Option<Self>, OsError> {
        Self::make_in(Path::new(REPORTS))
    }

    fn make_in(reports: &Path) -> Result<Option<Self>, OsError> {
        let entry = reports.join(ENTRY);
        match fs::create_dir(&entry) {
            Err(error)
                if matches!(
                    Errno::from_io_error(&error),
                    Some(Errno::NOENT | Errno::NXIO)
                ) =>
            {
                Ok(None)
            }
            done => done.doing("create", &entry).map(|()| Some(Self(entry))),
        }
    }

    /// What the host set at launch, if this is a guest of SEV-SNP.
    fn host_data(&self) -> Result<Option<[u8; 32]>, EvidenceError> {
        let provider = self.0.join("provider");
        let provider = fs::read_to_string(&provider).doing("read", &provider)?;
        if provider.trim_end() != SNP {
            return Ok(None);
        }
        let inblob = self.0.join("inblob");
        let mut options = OpenOptions::new();
        let mut file = options.write(true).open(&inblob).doing("open", &inblob)?;
        file.write_all(&[0; 64]).doing("write", &inblob)?;
        // The kernel processes the report data when the file is closed.
        drop(file);
        let outblob = self.0.join("outblob");
        let mut report = Vec::new();
        let file = File::open(&outblob).doing("open", &outblob)?;
        file.take(REPORT_LEN as u64 + 1)
            .read_to_end(&mut report)
            .doing("read", &outblob)?;
        if report.len() != REPORT_LEN {
            return Err(EvidenceError::Report(report.len()));
        }
        let mut host_data = [0; 32];
        host_data.copy_from_slice(&report[HOST_DATA]);
        Ok(Some(host_data))
    }

    fn give(&self, owner: Owner) -> Result<(), OsError> {
        for file in fs::read_dir(&self.0).doing("list", &self.0)? {
            hand_over(&file.doing("list", &self.0)?.path(), owner)?;
        }
        hand_over(&self.0, owner)
    }
}

/// Gives a service access to the evidence interfaces that exist. A machine without any is no error: the gateway then
/// refuses to serve confidential models.
pub fn give(entry: Option<&Entry>, owner: Owner) -> Result<bool, OsError> {
    let older = Path::new(OLDER);
    for path in LOG
        .iter()
        .map(Path::new)
        .chain([older])
        .filter(|path| path.exists())
    {
        hand_over(path, owner)?;
    }
    if let Some(entry) = entry {
        entry.give(owner)?;
    }
    Ok(entry.is_some() || older.exists())
}

fn hand_over(path: &Path, owner: Owner) -> Result<(), OsError> {
    chown(path, Some(owner.user), Some(owner.group)).doing("give", path)
}

/// The digest of the blob as it is shown: lowercase hex.
pub fn shown(blob: &[u8]) -> String {
    hex(digest(&SHA256, blob).as_ref())
}

/// What binds the configuration to hardware evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Extended into RTMR3.
    Rtmr3,
    /// Equal to SNP's host data.
    HostData,
    /// SNP whose host data the host left zero: a policy sees that.
    HostDataUnset,
    /// This machine has neither.
    Nothing,
}

/// Binds the blob to hardware evidence if the machine can. A TD whose kernel offers no register is refused, and so
/// is host data with another digest.
pub fn bind(blob: &[u8], entry: Option<&Entry>) -> Result<Bound, EvidenceError> {
    bind_with(blob, entry, Path::new(TDX))
}

fn bind_with(blob: &[u8], entry: Option<&Entry>, tdx: &Path) -> Result<Bound, EvidenceError> {
    if tdx.exists() {
        extend(&tdx.join(REGISTER), blob)?;
        return Ok(Bound::Rtmr3);
    }
    let Some(host_data) = entry.map(Entry::host_data).transpose()?.flatten() else {
        return Ok(Bound::Nothing);
    };
    if host_data == [0; 32] {
        return Ok(Bound::HostDataUnset);
    }
    if host_data != digest(&SHA256, blob).as_ref() {
        let host_data = hex(&host_data);
        return Err(EvidenceError::OtherConfiguration {
            host_data,
            config: shown(blob),
        });
    }
    Ok(Bound::HostData)
}

fn extend(register: &Path, blob: &[u8]) -> Result<(), OsError> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).open(register).doing("open", register)?;
    file.write_all(digest(&SHA384, blob).as_ref())
        .doing("extend", register)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder =
                std::env::temp_dir().join(format!("enclave-init-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).expect("a folder can be made");
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// An entry as SNP's driver shows it, with this host data in its report.
    fn snp(folder: &Folder, host_data: &[u8; 32], length: usize) -> Entry {
        let entry = Entry::make_in(&folder.0)
            .expect("it can be made")
            .expect("there is a folder");
        let mut report = vec![0x5a; length];
        report[HOST_DATA].copy_from_slice(host_data);
        fs::write(entry.0.join("provider"), "sev_guest\n").expect("a file can be written");
        fs::write(entry.0.join("inblob"), "").expect("a file can be written");
        fs::write(entry.0.join("outblob"), report).expect("a file can be written");
        entry
    }

    const NO_TDX: &str = "/nonexistent";

    #[test]
    fn the_digest_shown_is_sha256_of_the_blob() {
        // FIPS 180-2, appendix B.1
        assert_eq!(
            shown(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_tdx_guest_gets_the_blobs_digest_and_is_refused_without_a_register() {
        let guest = Folder::new("tdx");
        let refused = bind_with(b"abc", None, &guest.0);
        fs::create_dir_all(guest.0.join("measurements")).expect("a folder can be made");
        fs::write(guest.0.join(REGISTER), b"").expect("a file can be written");
        let extended = bind_with(b"abc", None, &guest.0);
        let written = fs::read(guest.0.join(REGISTER)).expect("it was written");
        assert!(matches!(
            refused,
            Err(EvidenceError::Os(OsError { errno: 2, .. }))
        ));
        assert_eq!(extended, Ok(Bound::Rtmr3));
        assert_eq!(written.len(), 48);
        // FIPS 180-2, appendix D.1
        assert_eq!(written[..4], [0xcb, 0x00, 0x75, 0x3f]);
    }

    #[test]
    fn host_data_of_an_snp_guest_has_to_be_the_blobs_digest_or_zero() {
        let of_blob: [u8; 32] = digest(&SHA256, b"abc")
            .as_ref()
            .try_into()
            .expect("32 bytes");
        let asked = |name: &str, host_data: &[u8; 32], length| {
            let folder = Folder::new(name);
            let entry = snp(&folder, host_data, length);
            bind_with(b"abc", Some(&entry), Path::new(NO_TDX))
        };
        assert_eq!(asked("snp-same", &of_blob, REPORT_LEN), Ok(Bound::HostData));
        assert_eq!(
            asked("snp-zero", &[0; 32], REPORT_LEN),
            Ok(Bound::HostDataUnset)
        );
        let refused = EvidenceError::OtherConfiguration {
            host_data: "11".repeat(32),
            config: shown(b"abc"),
        };
        assert_eq!(asked("snp-other", &[0x11; 32], REPORT_LEN), Err(refused));
        for length in [REPORT_LEN - 1, REPORT_LEN + 1] {
            assert_eq!(
                asked("snp-length", &of_blob, length),
                Err(EvidenceError::Report(length))
            );
        }
    }

    #[test]
    fn without_hardware_evidence_the_configuration_is_reported_as_unbound() {
        assert_eq!(
            bind_with(b"abc", None, Path::new(NO_TDX)),
            Ok(Bound::Nothing)
        );
    }

    #[test]
    fn one_entry_is_made_where_the_interface_is_and_nothing_where_it_is_not() {
        let folder = Folder::new("tsm");
        let gone = folder.0.join("gone");
        assert!(
            Entry::make_in(&gone)
                .expect("no interface is no error")
                .is_none()
        );
        assert!(Entry::make_in(&folder.0).expect("it can be made").is_some());
        let again = Entry::make_in(&folder.0).err();
        assert_eq!(again.expect("the entry exists").errno, 17);
    }
}
