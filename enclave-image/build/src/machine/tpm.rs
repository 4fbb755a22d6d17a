//! A software TPM, and a proxy between it and QEMU that records what is measured.
//!
//! QEMU drives its TPM emulator over a control socket (swtpm, `swtpm_ioctls(3)`) and passes it one end of a pair of
//! sockets for commands. The proxy keeps that end and gives the TPM one of another pair, so that every
//! `TPM2_PCR_Extend` passes through it, and registers can be read without the guest.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::tools::Tools;

const SHA384: u16 = 0x000c;
const PCR_EXTEND: u32 = 0x182;
const PCR_READ: u32 = 0x17e;
const STARTUP: u32 = 0x144;

/// One extension of a register, in the SHA-384 bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extend {
    pub register: u32,
    pub digest: [u8; 48],
}

/// A running TPM.
#[derive(Debug)]
pub struct Tpm {
    swtpm: Child,
    socket: PathBuf,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    // Written by the thread that passes commands on, read by tests.
    extends: Mutex<Vec<Extend>>,
    /// Our end of the pair; held for one command and its response.
    commands: Mutex<Option<UnixStream>>,
}

impl Tpm {
    /// Starts one, new, with its files in a folder.
    pub fn start(tools: &Tools, folder: &Path) -> Result<Self> {
        let state = folder.join("tpm-state");
        fs::create_dir_all(&state)?;
        let control = folder.join("swtpm.sock");
        let mut command = tools.command("swtpm");
        command.args(["socket", "--tpm2"]);
        command
            .arg("--tpmstate")
            .arg(format!("dir={}", state.display()));
        command
            .arg("--ctrl")
            .arg(format!("type=unixio,path={}", control.display()));
        let log = fs::File::create(folder.join("swtpm.log"))?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let swtpm = command.spawn().context("swtpm")?;
        let socket = folder.join("tpm.sock");
        let listener = UnixListener::bind(&socket).with_context(|| socket.display().to_string())?;
        let shared = Arc::new(Shared::default());
        let tpm = Self {
            swtpm,
            socket,
            shared: Arc::clone(&shared),
        };
        let control = connect(&control, Duration::from_secs(20))?;
        std::thread::spawn(move || {
            let Ok((qemu, _)) = listener.accept() else {
                return;
            };
            // Ends when QEMU closes its end.
            let _ = proxy_control(&qemu, &control, &shared);
        });
        Ok(tpm)
    }

    /// Where QEMU connects.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What was measured since the machine started, in order.
    pub fn extends(&self) -> Vec<Extend> {
        locked(&self.shared.extends).clone()
    }

    /// A register's value in the SHA-384 bank.
    pub fn register(&self, register: u8) -> Result<[u8; 48]> {
        let mut select = [0; 3];
        ensure!(register < 24, "there is no register {register}");
        select[usize::from(register / 8)] = 1 << (register % 8);
        let mut command = vec![0x80, 0x01];
        command.extend_from_slice(&20_u32.to_be_bytes());
        command.extend_from_slice(&PCR_READ.to_be_bytes());
        command.extend_from_slice(&1_u32.to_be_bytes());
        command.extend_from_slice(&SHA384.to_be_bytes());
        command.push(3);
        command.extend_from_slice(&select);
        let mut tpm = locked(&self.shared.commands);
        let tpm = tpm
            .as_mut()
            .context("the machine has not connected to its TPM yet")?;
        tpm.write_all(&command)?;
        let response = message(tpm)?;
        value_in(&response).with_context(|| {
            format!("the TPM has no SHA-384 bank, or does not answer for register {register}")
        })
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        let _ = self.swtpm.kill();
        let _ = self.swtpm.wait();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(path: &Path, within: Duration) -> Result<UnixStream> {
    let deadline = Instant::now() + within;
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => return Ok(stream),
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            Err(error) => bail!("swtpm does not answer on {}: {error}", path.display()),
        }
    }
}

/// Passes control messages on, and replaces the command socket when QEMU passes it.
fn proxy_control(qemu: &UnixStream, control: &UnixStream, shared: &Arc<Shared>) -> io::Result<()> {
    let (mut answers, mut to_qemu) = (control.try_clone()?, qemu.try_clone()?);
    std::thread::spawn(move || io::copy(&mut answers, &mut to_qemu));
    let mut bytes = [0; 4096];
    loop {
        let (read, descriptor) = receive(qemu, &mut bytes)?;
        if read == 0 {
            control.shutdown(std::net::Shutdown::Both)?;
            return Ok(());
        }
        match descriptor {
            None => (&mut &*control).write_all(&bytes[..read])?,
            Some(commands) => {
                let (ours, theirs) = UnixStream::pair()?;
                send(control, &bytes[..read], &theirs)?;
                // In place before the thread starts: its first command finds the connection. A second socket, after a
                // reset of the machine, replaces the first.
                *locked(&shared.commands) = Some(ours);
                let shared = Arc::clone(shared);
                std::thread::spawn(move || pass_commands(UnixStream::from(commands), &shared));
            }
        }
    }
}

fn receive(from: &UnixStream, bytes: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        from,
        &mut [IoSliceMut::new(bytes)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok((received.bytes, descriptor))
}

fn send(to: &UnixStream, bytes: &[u8], descriptor: &UnixStream) -> io::Result<()> {
    let descriptors = [descriptor.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(
        to,
        &[IoSlice::new(bytes)],
        &mut ancillary,
        SendFlags::empty(),
    )?;
    Ok(())
}

fn pass_commands(mut qemu: UnixStream, shared: &Shared) -> io::Result<()> {
    loop {
        let command = message(&mut qemu)?;
        let response = {
            // Held for the command and its response, so that `register` cannot come in between.
            let mut tpm = locked(&shared.commands);
            let tpm = tpm.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            tpm.write_all(&command)?;
            message(tpm)?
        };
        // Before the response is passed on: when the guest continues, its measurement is in the list.
        note(&command, &response, shared);
        qemu.write_all(&response)?;
    }
}

/// A command or a response: tag, length of the whole, code, the rest.
fn message(from: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 10];
    from.read_exact(&mut bytes)?;
    let len = u32::from_be_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]) as usize;
    if !(10..=8192).contains(&len) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    bytes.resize(len, 0);
    from.read_exact(&mut bytes[10..])?;
    Ok(bytes)
}

fn note(command: &[u8], response: &[u8], shared: &Shared) {
    let succeeded = number32(response, 6) == Some(0);
    match number32(command, 6) {
        Some(STARTUP) if succeeded => locked(&shared.extends).clear(),
        Some(PCR_EXTEND) if succeeded => {
            if let Some(extend) = extend_in(command) {
                locked(&shared.extends).push(extend);
            }
        }
        _ => {}
    }
}

/// Register, authorization, digests by algorithm (TPM 2.0 Part 3, §22.2).
fn extend_in(command: &[u8]) -> Option<Extend> {
    let register = number32(command, 10)?;
    let authorization = number32(command, 14)? as usize;
    let mut at = 18_usize.checked_add(authorization)?;
    let count = number32(command, at)?;
    at += 4;
    for _ in 0..count {
        let algorithm = number16(command, at)?;
        let len = match algorithm {
            0x0004 => 20,
            0x000b | 0x0012 => 32,
            SHA384 => 48,
            0x000d => 64,
            _ => return None,
        };
        let digest = command.get(at + 2..at + 2 + len)?;
        if algorithm == SHA384 {
            let digest = digest.try_into().ok()?;
            return Some(Extend { register, digest });
        }
        at += 2 + len;
    }
    None
}

/// Counter, selection, then one digest (§22.4).
fn value_in(response: &[u8]) -> Option<[u8; 48]> {
    let selections = number32(response, 14)? as usize;
    let digests = 18_usize.checked_add(selections.checked_mul(6)?)?;
    if number32(response, digests)? != 1 || number16(response, digests + 4)? != 48 {
        return None;
    }
    response.get(digests + 6..digests + 54)?.try_into().ok()
}

fn number32(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(field.try_into().ok()?))
}

fn number16(bytes: &[u8], at: usize) -> Option<u16> {
    let field = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes(field.try_into().ok()?))
}
