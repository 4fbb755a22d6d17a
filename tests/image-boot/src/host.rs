//! What a host can add to a launch, and what comes of it: refused, measured, or nothing.

use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::measured;
use crate::stage::{Ending, Stage, ending, refusal};
use enclave_image::disk::cpio;
use enclave_image::disk::tree::{Origin, Tree};
use enclave_image::machine::guest::Launch;

/// A launch of the test image with something more, and a TPM that measures.
fn launch_with(stage: &Stage, more: &[&str]) -> Launch {
    Launch {
        tpm: true,
        more: more.iter().map(|word| (*word).to_owned()).collect(),
        ..stage.launch("test")
    }
}

/// The stub takes a host's command line in place of the image's.
pub fn command_line(stage: &Stage) -> Result<Vec<String>> {
    let own = measured::command_line(stage)?;
    let launch = launch_with(stage, &["-append", &format!("{own} sealgate.debug=1")]);
    let mut guest = stage.start(&launch, "append")?;
    let line = refusal(&mut guest, "cmdline")?;
    let differs = measured::differs_from_prediction(stage, &guest)?;
    Ok(vec![line, differs])
}

/// Outside of a TEE the stub appends what SMBIOS says (`io.systemd.stub.kernel-cmdline-extra`).
pub fn smbios(stage: &Stage) -> Result<Vec<String>> {
    let launch = launch_with(
        stage,
        &[
            "-smbios",
            "type=11,value=io.systemd.stub.kernel-cmdline-extra=init=/bin/sh",
        ],
    );
    let mut guest = stage.start(&launch, "smbios")?;
    let line = refusal(&mut guest, "cmdline")?;
    let differs = measured::differs_from_prediction(stage, &guest)?;
    Ok(vec![line, differs])
}

/// Whether the kernel gets it or not, it must not run unmeasured.
pub fn initial_file_system(stage: &Stage) -> Result<Vec<String>> {
    let mut tree = Tree::default();
    let text = b"#!/bin/sh\necho the host was here\n".to_vec();
    tree.add_file("/init", 0o755, text, Origin::Definition)?;
    let file = stage.scratch.write("host.cpio", cpio::pack(&tree)?)?;
    let launch = launch_with(stage, &["-initrd", &file.display().to_string()]);
    let mut guest = stage.start(&launch, "initrd")?;
    let ended = match ending(&guest) {
        Err(_) if guest.qemu_log().contains("too old to load a ram disk") => {
            guest.wait_until_off(Duration::from_secs(10))?;
            return Ok(vec![
                "QEMU takes none beside a UKI, and does not start".into(),
            ]);
        }
        other => other?,
    };
    ensure!(
        !guest.console().text().contains("the host was here"),
        "the host's program ran"
    );
    match ended {
        Ending::Ready => {
            // The image's own ran: then it must have measured as predicted, or differently and be refused by policy.
            let outcome = match measured::as_predicted(stage, &guest, "test") {
                Ok(_) => "ignored: the image's own ran, and measured as predicted".to_owned(),
                Err(_) => measured::differs_from_prediction(stage, &guest)?,
            };
            Ok(vec![outcome])
        }
        Ending::Refused(line) | Ending::Panicked(line) => Ok(vec![line]),
    }
}

/// Started from a system partition, the stub takes more from beside the image: credentials become files of the initial
/// file system, and an add-on brings words for the command line.
pub fn beside_the_image(stage: &Stage) -> Result<Vec<String>> {
    let esp = stage.scratch.path().join("esp");
    let boot = esp.join("EFI/BOOT");
    let extra = boot.join("BOOTX64.EFI.extra.d");
    std::fs::create_dir_all(&extra)?;
    std::fs::copy(stage.uki("test"), boot.join("BOOTX64.EFI"))?;
    std::fs::write(extra.join("host.cred"), "a credential of the host's")?;
    let launch = Launch {
        uki: None,
        esp: Some(esp),
        ..launch_with(stage, &[])
    };
    let mut guest = stage.start(&launch, "esp")?;
    let line = refusal(&mut guest, "initramfs")?;
    let differs = measured::differs_from_prediction(stage, &guest)?;
    Ok(vec![line, differs])
}

/// Items that the guest does not read.
pub fn fw_cfg(stage: &Stage) -> Result<Vec<String>> {
    let launch = launch_with(
        stage,
        &[
            "-fw_cfg",
            "name=opt/io.systemd.credentials/passwd.hashed-password.root,string=x",
            "-fw_cfg",
            "name=opt/org.example/anything,string=hello",
        ],
    );
    let guest = stage.start(&launch, "fw-cfg")?;
    match ending(&guest)? {
        Ending::Ready => measured::as_predicted(stage, &guest, "test"),
        other => bail!("{other:?}\n{}", guest.console().tail(12)),
    }
}
