//! What all checks need: images, tools, a folder, and a machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::Arguments;
use enclave_image::blob::Blob;
use enclave_image::debian::archive::Archive;
use enclave_image::debian::lock::Lock;
use enclave_image::machine::console::NoLine;
use enclave_image::machine::guest::{Guest, Launch};
use enclave_image::machine::tools::Tools;
use testkit::scratch::ScratchDir;

/// Emulation on a busy machine with two cores is slow.
pub const BOOT: Duration = Duration::from_secs(240);

/// Where the service of an image listens.
const SERVICE: u16 = 8443;

pub struct Stage {
    tools: Tools,
    images: PathBuf,
    pub verifier: PathBuf,
    pub scratch: ScratchDir,
}

impl Stage {
    pub fn set(arguments: &Arguments) -> Result<Self> {
        let lock = arguments.workspace.join("enclave-image/packages.lock");
        let lock = Lock::parse(&fs::read_to_string(&lock)?).context("packages.lock")?;
        let archive = Archive {
            folder: arguments.archive.clone(),
            cache: arguments.images.join("archive"),
            mirror: std::env::var("SEALGATE_IMAGE_MIRROR").ok(),
        };
        let tools = Tools::provide(&lock, &archive, &arguments.images.join("tools"))?;
        let stage = Self {
            tools,
            images: fs::canonicalize(&arguments.images)?,
            verifier: fs::canonicalize(&arguments.verifier)
                .with_context(|| arguments.verifier.display().to_string())?,
            scratch: ScratchDir::new("image")?,
        };
        for image in ["gateway", "test"] {
            for file in [stage.uki(image), stage.root(image), stage.firmware()] {
                ensure!(
                    file.exists(),
                    "{} is missing: `image build --profile {image}` makes it",
                    file.display()
                );
            }
        }
        Ok(stage)
    }

    pub fn uki(&self, image: &str) -> PathBuf {
        self.images
            .join(image)
            .join(format!("sealgate-{image}.efi"))
    }

    pub fn root(&self, image: &str) -> PathBuf {
        self.images.join(image).join("root.img")
    }

    pub fn model_of(&self, image: &str) -> PathBuf {
        self.images.join(image).join("model.img")
    }

    /// Whether an image that may be left out was built.
    pub fn has(&self, image: &str) -> bool {
        self.uki(image).exists()
    }

    fn firmware(&self) -> PathBuf {
        self.images.join("gateway/launch/OVMF.fd")
    }

    /// As an image is meant to be started.
    pub fn launch(&self, image: &str) -> Launch {
        Launch {
            firmware: self.firmware(),
            uki: Some(self.uki(image)),
            esp: None,
            disks: vec![("root".into(), self.root(image))],
            state: None,
            forward: Some(SERVICE),
            tpm: false,
            memory_mib: 768,
            more: Vec::new(),
        }
    }

    pub fn start(&self, launch: &Launch, name: &str) -> Result<Guest> {
        Guest::start(&self.tools, launch, &self.scratch.path().join(name))
    }

    /// A disk with a configuration.
    pub fn configuration(&self, name: &str, files: &[(&str, &str)]) -> Result<(PathBuf, Blob)> {
        let files: BTreeMap<String, Vec<u8>> = files
            .iter()
            .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
            .collect();
        let blob = Blob::of(&files)?;
        let file = self.scratch.write(name, blob.disk())?;
        Ok((file, blob))
    }

    /// A copy of a file with one bit flipped.
    pub fn flipped(&self, file: &Path, at: usize) -> Result<PathBuf> {
        let mut bytes = fs::read(file)?;
        let byte = bytes.get_mut(at).context("the file is shorter")?;
        *byte ^= 1;
        Ok(self.scratch.write(&format!("flipped-{at}"), bytes)?)
    }
}

/// On a machine with more to do than it can, the emulator's timer interrupts come too late for the kernel's probe of
/// them, which then panics before anything of the image has run. That says nothing of the image either way.
#[derive(Debug, thiserror::Error)]
#[error("the emulator's timer failed: {0}")]
pub struct EmulatorFailed(String);

/// How a boot ended, or that it did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    Ready,
    /// The line in which PID 1 refused.
    Refused(String),
    /// The kernel's own.
    Panicked(String),
}

/// Waits for a boot to come to something.
pub fn ending(guest: &Guest) -> Result<Ending> {
    ending_within(guest, BOOT)
}

/// The same with another timeout.
pub fn ending_within(guest: &Guest, timeout: Duration) -> Result<Ending> {
    let seen = guest.console().wait_for(timeout, |line| {
        if line == "init: ready" {
            return Some(Ending::Ready);
        }
        if line.starts_with("init: refused ") {
            return Some(Ending::Refused(line.to_owned()));
        }
        let panic = line.find("Kernel panic - not syncing")?;
        Some(Ending::Panicked(line[panic..].to_owned()))
    });
    if let Ok(Ending::Panicked(line)) = &seen
        && line.contains("IO-APIC + timer")
    {
        bail!(EmulatorFailed(line.clone()));
    }
    seen.map_err(|error: NoLine| {
        anyhow::anyhow!(
            "{error}. Console:\n{}\n{}",
            guest.console().tail(20),
            guest.qemu_log()
        )
    })
}

/// Waits for PID 1's refusal, and that the machine is off then.
pub fn refusal(guest: &mut Guest, code: &str) -> Result<String> {
    match ending(guest)? {
        Ending::Refused(line) if line.starts_with(&format!("init: refused {code}: ")) => {
            guest.wait_until_off(Duration::from_secs(60))?;
            ensure!(
                !guest.console().text().contains("init: ready"),
                "it was ready all the same"
            );
            Ok(line)
        }
        other => bail!(
            "a refusal {code:?} was expected, and came: {other:?}\n{}",
            guest.console().tail(12)
        ),
    }
}
