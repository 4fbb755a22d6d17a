//! What can go wrong with a whole machine's evidence: one thing at a time, named in a file that a
//! test writes before the machine starts.

use std::path::{Path, PathBuf};

/// One thing that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// GPUs answer another nonce than they were asked with.
    OtherNonce,
    /// In the place of the last GPU stands the evidence of another machine's.
    SplicedGpu,
    /// The first GPU measures what no manifest lists, as one in DevTools mode does.
    DevTools,
    /// The last GPU shows nothing.
    MissingGpu,
    /// The first GPU shows itself twice, in the place of the last one too.
    DoubledGpu,
    /// The firmware's manifest lists other measurements.
    OtherManifest,
    /// The firmware's manifest is signed by another key.
    ForgedManifest,
    /// A byte of the event log is another.
    AlteredLog,
}

impl Fault {
    pub const ALL: [Self; 8] = [
        Self::OtherNonce,
        Self::SplicedGpu,
        Self::DevTools,
        Self::MissingGpu,
        Self::DoubledGpu,
        Self::OtherManifest,
        Self::ForgedManifest,
        Self::AlteredLog,
    ];

    /// As the file says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OtherNonce => "other-nonce",
            Self::SplicedGpu => "spliced-gpu",
            Self::DevTools => "devtools",
            Self::MissingGpu => "missing-gpu",
            Self::DoubledGpu => "doubled-gpu",
            Self::OtherManifest => "other-manifest",
            Self::ForgedManifest => "forged-manifest",
            Self::AlteredLog => "altered-log",
        }
    }
}

/// The file that names the fault, if there is one.
#[derive(Clone, Debug, Default)]
pub struct FaultFile(Option<PathBuf>);

impl FaultFile {
    pub fn at(path: PathBuf) -> Self {
        Self(Some(path))
    }

    /// Writes what is to go wrong from now on; nothing with `None`.
    pub fn write(path: &Path, fault: Option<Fault>) -> std::io::Result<()> {
        std::fs::write(path, fault.map_or("", Fault::name))
    }

    /// The current fault. An unreadable file or an unknown name is a mistake in the test.
    pub fn read(&self) -> Option<Fault> {
        let file = self.0.as_deref()?;
        let text = std::fs::read_to_string(file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let name = text.trim();
        if name.is_empty() {
            return None;
        }
        let known = Fault::ALL.into_iter().find(|fault| fault.name() == name);
        Some(known.unwrap_or_else(|| panic!("no fault is called {name:?}")))
    }
}
