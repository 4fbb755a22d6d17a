//! A machine under emulation that boots an image.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::console::Console;
use super::tools::Tools;
use super::tpm::Tpm;

/// How a machine is launched.
#[derive(Clone, Debug)]
pub struct Launch {
    pub firmware: PathBuf,
    /// Given to the firmware with `-kernel`, as images are meant to be launched.
    pub uki: Option<PathBuf>,
    /// A folder that the firmware sees as a system partition: how a host could start it otherwise.
    pub esp: Option<PathBuf>,
    /// Serial and file of each disk that the guest only reads.
    pub disks: Vec<(String, PathBuf)>,
    /// The file of the disk `state`, which it writes.
    pub state: Option<PathBuf>,
    /// The guest's port that a port of the host's loopback leads to.
    pub forward: Option<u16>,
    pub tpm: bool,
    pub memory_mib: u32,
    /// Further arguments for QEMU.
    pub more: Vec<String>,
}

/// A running machine. Dropping the value kills it.
#[derive(Debug)]
pub struct Guest {
    qemu: Child,
    console: Console,
    port: Option<u16>,
    pub tpm: Option<Tpm>,
    folder: PathBuf,
}

impl Guest {
    /// Starts a machine with its files in a separate folder, whose path must be short because of the sockets in it.
    pub fn start(tools: &Tools, launch: &Launch, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let tpm = match launch.tpm {
            true => Some(Tpm::start(tools, folder)?),
            false => None,
        };
        let port = match launch.forward {
            Some(_) => Some(free_port()?),
            None => None,
        };
        let mut command = tools.command("qemu-system-x86_64");
        command.arg("-L").arg(tools.qemu_data());
        command.args(arguments(launch, port, tpm.as_ref(), folder));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(fs::File::create(folder.join("qemu.log"))?);
        let mut qemu = command.spawn().context("QEMU")?;
        let console = Console::default();
        if let Some(output) = qemu.stdout.take() {
            console.listen(output);
        }
        Ok(Self {
            qemu,
            console,
            port,
            tpm,
            folder: folder.to_owned(),
        })
    }

    pub fn console(&self) -> &Console {
        &self.console
    }

    /// The port on the host's loopback.
    pub fn port(&self) -> Result<u16> {
        self.port.context("no port was forwarded")
    }

    /// The file that backs its memory.
    pub fn memory(&self) -> PathBuf {
        self.folder.join("memory")
    }

    /// QEMU's messages.
    pub fn qemu_log(&self) -> String {
        fs::read_to_string(self.folder.join("qemu.log")).unwrap_or_default()
    }

    /// Waits until the machine is off.
    pub fn wait_until_off(&mut self, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        while self.qemu.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("the machine is still on after {within:?}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        let _ = fs::remove_file(self.memory());
    }
}

/// QEMU's arguments, except the path of its data files.
pub fn arguments(
    launch: &Launch,
    port: Option<u16>,
    tpm: Option<&Tpm>,
    folder: &Path,
) -> Vec<String> {
    let file = |path: &Path| path.display().to_string().replace(',', ",,");
    let mut words: Vec<String> = Vec::new();
    let mut add = |flag: &str, value: String| words.extend([flag.to_owned(), value]);
    add("-machine", "q35,accel=tcg,memory-backend=ram".into());
    add("-cpu", "max".into());
    add("-smp", "2".into());
    add("-m", format!("{}M", launch.memory_mib));
    let ram = file(&folder.join("memory"));
    add(
        "-object",
        format!(
            "memory-backend-file,id=ram,size={}M,mem-path={ram},share=on",
            launch.memory_mib
        ),
    );
    add("-display", "none".into());
    add("-serial", "stdio".into());
    add(
        "-drive",
        format!(
            "if=pflash,unit=0,format=raw,readonly=on,file={}",
            file(&launch.firmware)
        ),
    );
    if let Some(uki) = &launch.uki {
        add("-kernel", uki.display().to_string());
    }
    if let Some(esp) = &launch.esp {
        add(
            "-drive",
            format!("if=none,id=esp,format=raw,file=fat:rw:{}", file(esp)),
        );
        add("-device", "virtio-blk-pci,drive=esp,serial=esp".into());
    }
    let read = launch
        .disks
        .iter()
        .map(|(serial, disk)| (serial.as_str(), disk, "on"));
    let written = launch.state.iter().map(|disk| ("state", disk, "off"));
    for (serial, disk, read_only) in read.chain(written) {
        add(
            "-drive",
            format!(
                "if=none,id={serial},format=raw,readonly={read_only},file={}",
                file(disk)
            ),
        );
        add(
            "-device",
            format!("virtio-blk-pci,drive={serial},serial={serial}"),
        );
    }
    if let (Some(host), Some(guest)) = (port, launch.forward) {
        add(
            "-netdev",
            format!("user,id=net,hostfwd=tcp:127.0.0.1:{host}-:{guest}"),
        );
        add("-device", "virtio-net-pci,netdev=net,romfile=".into());
    }
    if let Some(tpm) = tpm {
        add(
            "-chardev",
            format!("socket,id=tpm,path={}", file(tpm.socket())),
        );
        add("-tpmdev", "emulator,id=tpm0,chardev=tpm".into());
        add("-device", "tpm-crb,tpmdev=tpm0".into());
    }
    words.extend(["-nodefaults", "-no-user-config", "-no-reboot"].map(str::to_owned));
    words.extend(launch.more.iter().cloned());
    words
}

/// A port that is free now; another process may take it before QEMU does.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}
