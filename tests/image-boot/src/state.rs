//! A disk for the state: what is written there, what of it the host can read, and what is left at the next boot.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::measured::TIMEOUT;
use crate::stage::{Ending, Stage, ending, refusal};
use enclave_image::machine::guest::{Guest, Launch};

const IMAGE: &str = "test-state";
const MIB: u64 = 1 << 20;
/// Two groups of the file system.
const SIZE: u64 = 256 * MIB;
/// In the second group's unused table of inodes: zeros, as the guest sees it.
const ZEROS: u64 = (32_768 + 2 + 100) * 4096;
const DATABASE: &[u8] = b"SQLite format 3\0";
/// The file system's name for itself, and where it is in its first block.
const FILE_SYSTEM: &[u8] = b"sealgate state 1";
const FILE_SYSTEM_AT: usize = 1024 + 104;
/// What follows the key's hex in the table of the encryption, up to the number of the disk. What is before the key is
/// where an allocator puts its own pointers once the text is freed.
const AFTER_KEY: &[u8] = b" 0 25";
/// Half of the key's digits: of a key that was overwritten in part, the rest is found.
const KEY_DIGITS: usize = 64;

fn launch(stage: &Stage, disk: &Path, monitor: &Path) -> Launch {
    let monitor = format!("unix:{},server,nowait", monitor.display());
    Launch {
        state: Some(disk.to_owned()),
        more: vec!["-monitor".into(), monitor],
        ..stage.launch(IMAGE)
    }
}

/// An empty disk of some size.
fn disk(stage: &Stage, name: &str, bytes: u64) -> Result<PathBuf> {
    let path = stage.scratch.path().join(name);
    File::create(&path)?.set_len(bytes)?;
    Ok(path)
}

pub fn encrypted_and_new_at_each_boot(stage: &Stage) -> Result<Vec<String>> {
    let disk = disk(stage, "state.img", SIZE)?;
    let (first, mut seen) = one_boot(stage, &disk, "state-1")?;
    let (second, _) = one_boot(stage, &disk, "state-2")?;
    ensure!(
        first.zeros != second.zeros,
        "a block of zeros is the same on the disk after two boots: one key for both"
    );
    ensure!(
        first.api_key != second.api_key,
        "two boots began with the same API key"
    );
    seen.push(
        "the second boot on that disk: ready, one API key and another, and the sectors are others"
            .into(),
    );
    Ok(seen)
}

struct Boot {
    /// What lies on the disk where the guest has zeros.
    zeros: Vec<u8>,
    /// That the service made in its state directory.
    api_key: String,
}

/// Boots on the disk until the service is there, stops the machine in order, and looks at what the host has then.
fn one_boot(stage: &Stage, disk: &Path, name: &str) -> Result<(Boot, Vec<String>)> {
    let monitor = stage.scratch.path().join(format!("{name}.mon"));
    let mut guest = stage.start(&launch(stage, disk, &monitor), name)?;
    match ending(&guest)? {
        Ending::Ready => {}
        other => bail!("{other:?}\n{}", guest.console().tail(20)),
    }
    // What an earlier boot left would be a second key.
    let keys = guest.console().wait_for(TIMEOUT, |line| {
        let (_, number) = line.split_once(" keys_reloaded active=")?;
        Some(number.to_owned())
    })?;
    ensure!(keys == "1", "the service found {keys} API keys and not one");
    let text = guest.console().text();
    let find = |begin: &str| -> Result<String> {
        let line = text.lines().find(|line| line.starts_with(begin));
        Ok(line
            .with_context(|| format!("no {begin:?} in:\n{text}"))?
            .trim_end()
            .to_owned())
    };
    let line = find("init: state vd")?;
    ensure!(line.ends_with(" encrypted, 256 MiB"), "{line}");
    let api_key = find("init: sealgate: sk-sealgate-")?;

    // Control: what is looked for on the disk is there to be found in memory, in the pages that are written to it.
    // The programs name the same words, but not where a block begins.
    let memory = guest.memory();
    let databases = blocks(&memory, |block| block.starts_with(DATABASE))?;
    let file_systems = blocks(&memory, names_file_system)?;
    ensure!(
        databases > 0 && file_systems > 0,
        "in memory are {databases} databases and {file_systems} file systems"
    );
    let places = count(&memory, AFTER_KEY, |_| true)?;
    let keys = count(&memory, AFTER_KEY, is_key)?;
    ensure!(
        keys == 0,
        "the key lies in the guest's memory as text, {keys} times"
    );

    stop(&mut guest, &monitor)?;
    let written = blocks(disk, is_written)?;
    ensure!(
        written > 100,
        "only {written} blocks of the disk are written"
    );
    for canary in [DATABASE, FILE_SYSTEM] {
        ensure!(
            count(disk, canary, |_| true)? == 0,
            "the disk holds {:?}",
            String::from_utf8_lossy(canary)
        );
    }
    let mut zeros = vec![0; 4096];
    let mut file = File::open(disk)?;
    file.seek(SeekFrom::Start(ZEROS))?;
    file.read_exact(&mut zeros)?;
    ensure!(
        zeros.iter().any(|byte| *byte != 0),
        "the guest's zeros are zeros on the disk"
    );
    let seen = vec![
        line,
        format!(
            "{written} blocks written, no database's head and no superblock in them; in memory {databases} and {file_systems}"
        ),
        format!("the key is nowhere in memory as text ({places} places searched)"),
    ];
    Ok((Boot { zeros, api_key }, seen))
}

/// Whether what is before some place ends with a key's digits.
fn is_key(before: &[u8]) -> bool {
    let start = before.len().checked_sub(KEY_DIGITS);
    start.is_some_and(|start| before[start..].iter().all(u8::is_ascii_hexdigit))
}

/// How often a needle is in a file, behind what `behind` takes.
fn count(file: &Path, needle: &[u8], behind: impl Fn(&[u8]) -> bool) -> Result<usize> {
    let bytes = fs::read(file).with_context(|| file.display().to_string())?;
    let mut found = 0;
    let mut at = 0;
    // One byte first: a window at every place of a machine's memory takes long.
    while let Some(step) = bytes[at..].iter().position(|byte| *byte == needle[0]) {
        at += step;
        if bytes[at..].starts_with(needle) && behind(&bytes[..at]) {
            found += 1;
        }
        at += 1;
    }
    Ok(found)
}

/// How many blocks of 4096 bytes are such.
fn blocks(file: &Path, such: impl Fn(&[u8]) -> bool) -> Result<usize> {
    let bytes = fs::read(file).with_context(|| file.display().to_string())?;
    Ok(bytes.chunks(4096).filter(|block| such(block)).count())
}

fn names_file_system(block: &[u8]) -> bool {
    let named = block.get(FILE_SYSTEM_AT..);
    named.is_some_and(|rest| rest.starts_with(FILE_SYSTEM))
}

fn is_written(block: &[u8]) -> bool {
    block.iter().any(|byte| *byte != 0)
}

/// Ctrl-Alt-Del: PID 1 stops the services, writes out what is not yet on the disk, and switches off.
fn stop(guest: &mut Guest, monitor: &Path) -> Result<()> {
    let mut stream = UnixStream::connect(monitor).context("the emulator's monitor")?;
    let deadline = Instant::now() + Duration::from_secs(90);
    // The guest may not read its keyboard yet.
    while guest.wait_until_off(Duration::from_secs(5)).is_err() {
        ensure!(
            Instant::now() < deadline,
            "the machine is still on:\n{}",
            guest.console().tail(12)
        );
        let asked = guest.console().text().contains("init: stopping");
        if !asked {
            stream.write_all(b"sendkey ctrl-alt-delete\n")?;
        }
    }
    ensure!(
        guest.console().text().contains("init: stopped"),
        "it did not stop in order:\n{}",
        guest.console().tail(12)
    );
    Ok(())
}

pub fn too_small(stage: &Stage) -> Result<Vec<String>> {
    let disk = disk(stage, "small.img", 32 * MIB)?;
    let monitor = stage.scratch.path().join("small.mon");
    let mut guest = stage.start(&launch(stage, &disk, &monitor), "state-small")?;
    let line = refusal(&mut guest, "state")?;
    ensure!(
        blocks(&disk, is_written)? == 0,
        "it was written to all the same"
    );
    Ok(vec![line])
}

pub fn absent(stage: &Stage) -> Result<Vec<String>> {
    let mut guest = stage.start(&stage.launch(IMAGE), "state-absent")?;
    Ok(vec![refusal(&mut guest, "disk")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_whole_and_partial_copies_of_a_key() {
        let digits = "0a".repeat(64);
        let whole = format!("aes-xts-plain64 {digits} 0 254:16 0");
        let part = format!("\0\0\0\0{} 0 253:0 0", &digits[..KEY_DIGITS]);
        let less = format!("\0{} 0 254:16 0", &digits[1..KEY_DIGITS]);
        let file = std::env::temp_dir().join(format!("image-boot-count-{}", std::process::id()));
        fs::write(&file, [whole, part, less].concat()).expect("a file can be written");
        let all = count(&file, AFTER_KEY, |_| true);
        let keys = count(&file, AFTER_KEY, is_key);
        fs::remove_file(&file).expect("it is there");
        assert_eq!((all.expect("read"), keys.expect("read")), (3, 2));
    }
}
