//! What an image refuses.

use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::stage::{Ending, Stage, ending, refusal};
use enclave_image::disk::verity::BLOCK;
use enclave_image::machine::guest::Guest;

/// Without a disk with a configuration there is nothing to serve.
pub fn without_configuration(stage: &Stage) -> Result<Vec<String>> {
    let mut guest = stage.start(&stage.launch("gateway"), "no-config")?;
    Ok(vec![refusal(&mut guest, "disk")?])
}

const GATEWAY: &str = r#"
[server]
listen = "0.0.0.0:8443"
names = ["localhost"]
state_dir = "/var/lib/sealgate"
mode = "direct"

[tee]
kind = "tdx"

[[model]]
id = "demo-model"
confidential = true

[[model.upstream]]
name = "engine"
url = "http://127.0.0.1:8000/v1"
"#;

/// The production image with a good configuration, on a machine that is no TD.
pub fn without_a_tee(stage: &Stage) -> Result<Vec<String>> {
    let (disk, blob) = stage.configuration("config.img", &[("sealgate.toml", GATEWAY)])?;
    let mut launch = stage.launch("gateway");
    launch.disks.push(("config".into(), disk));
    let mut guest = stage.start(&launch, "no-tee")?;
    let digest = enclave_image::debian::archive::hex(&blob.sha256());
    let mut seen = vec![without_a_tee_ends(&mut guest)?];
    let printed = format!("init: config sha256:{digest}");
    ensure!(
        guest.console().text().contains(&printed),
        "PID 1 did not print the digest of the configuration"
    );
    seen.push(printed);
    Ok(seen)
}

/// The engine is started first and has to answer; the service has nothing to show then.
pub fn inference_without_a_tee(stage: &Stage) -> Result<Vec<String>> {
    let (disk, _) = stage.configuration("inference.img", &[("sealgate.toml", GATEWAY)])?;
    let mut launch = stage.launch("inference");
    launch
        .disks
        .push(("model".into(), stage.model_of("inference")));
    launch.disks.push(("config".into(), disk));
    launch.memory_mib = 1536;
    let mut guest = stage.start(&launch, "inference")?;
    let seen = without_a_tee_ends(&mut guest)?;
    let text = guest.console().text();
    for wanted in [
        "init: model vd",
        "init: started engine",
        "init: started sealgate",
    ] {
        ensure!(text.contains(wanted), "there is no {wanted:?} in:\n{text}");
    }
    Ok(vec![
        "the engine accepted connections before the service was started".into(),
        seen,
    ])
}

pub fn flipped_model(stage: &Stage) -> Result<Vec<String>> {
    let (disk, _) = stage.configuration("inference.img", &[("sealgate.toml", GATEWAY)])?;
    let at = 3 * BLOCK + 5;
    let mut launch = stage.launch("inference");
    launch.disks.push((
        "model".into(),
        stage.flipped(&stage.model_of("inference"), at)?,
    ));
    launch.disks.push(("config".into(), disk));
    launch.memory_mib = 1536;
    let mut guest = stage.start(&launch, "flip-model")?;
    let line = corrupted(&mut guest)?;
    Ok(vec![format!("byte {at}: {line}")])
}

/// It must not be ready, and nothing may answer on its port.
fn without_a_tee_ends(guest: &mut Guest) -> Result<String> {
    let line = match ending(guest)? {
        Ending::Refused(line) => line,
        Ending::Ready => {
            // The service was started; it has to end by itself, and the machine with it.
            let line = guest.console().wait_for(Duration::from_secs(90), |line| {
                line.starts_with("init: refused ended")
                    .then(|| line.to_owned())
            });
            let Ok(line) = line else {
                bail!("it serves without a TEE:\n{}", guest.console().tail(12));
            };
            line
        }
        other => bail!("{other:?}"),
    };
    guest.wait_until_off(Duration::from_secs(60))?;
    ensure!(
        TcpStream::connect(("127.0.0.1", guest.port()?)).is_err(),
        "something still answers on its port"
    );
    let text = guest.console().text();
    let why = text
        .lines()
        .rfind(|line| line.starts_with("init: sealgate: "));
    Ok(format!(
        "{} | {line}",
        why.unwrap_or("no word of the service")
    ))
}

/// A page of the program that is started.
pub fn flipped_program(stage: &Stage) -> Result<Vec<String>> {
    let root = stage.root("test");
    let bytes = std::fs::read(&root)?;
    // Whichever it is, loader or program: its first page is read when it is started.
    let program = first_elf(&bytes);
    flipped_at(stage, program + 100)
}

/// Where the first program begins: files begin on block boundaries.
fn first_elf(image: &[u8]) -> usize {
    let blocks = image.chunks(BLOCK).enumerate();
    let mut starts = blocks.filter(|(_, block)| block.starts_with(b"\x7fELF"));
    starts.next().map_or(0, |(index, _)| index * BLOCK)
}

pub fn flipped_superblock(stage: &Stage) -> Result<Vec<String>> {
    flipped_at(stage, 1024 + 20)
}

/// The root of the tree: every read goes through it.
pub fn flipped_tree(stage: &Stage) -> Result<Vec<String>> {
    let blocks: usize = word(stage, "sealgate.blocks=")?.parse()?;
    flipped_at(stage, blocks * BLOCK + 7)
}

fn flipped_at(stage: &Stage, at: usize) -> Result<Vec<String>> {
    let mut launch = stage.launch("test");
    launch.disks[0].1 = stage.flipped(&stage.root("test"), at)?;
    let mut guest = stage.start(&launch, &format!("flip-{at}"))?;
    let line = corrupted(&mut guest)?;
    Ok(vec![format!("byte {at}: {line}")])
}

/// The kernel has to have found it, and the machine to be off.
fn corrupted(guest: &mut Guest) -> Result<String> {
    let found = ending(guest)?;
    let line = match found {
        Ending::Panicked(line) if line.contains("dm-verity device corrupted") => line,
        other => bail!("a corrupted device was expected, and came: {other:?}"),
    };
    guest.wait_until_off(Duration::from_secs(60))?;
    Ok(line)
}

pub fn another_root(stage: &Stage) -> Result<Vec<String>> {
    let mut launch = stage.launch("test");
    launch.disks[0].1 = stage.root("gateway");
    let mut guest = stage.start(&launch, "another-root")?;
    let line = match ending(&guest)? {
        Ending::Refused(line) if line.starts_with("init: refused verity: ") => line,
        Ending::Panicked(line) if line.contains("dm-verity") => line,
        other => bail!("with the root of another image came: {other:?}"),
    };
    guest.wait_until_off(Duration::from_secs(60))?;
    Ok(vec![line])
}

/// A word of the test image's command line.
fn word(stage: &Stage, name: &str) -> Result<String> {
    let uki = std::fs::read(stage.uki("test"))?;
    let uki = attest_measure::uki::Uki::parse(&uki)?;
    let mut words = uki.command_line().split(' ');
    let value = words.find_map(|word| word.strip_prefix(name));
    value
        .map(str::to_owned)
        .ok_or_else(|| anyhow::anyhow!("no {name} on the command line"))
}
