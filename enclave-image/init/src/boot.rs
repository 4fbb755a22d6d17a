//! The steps of the boot, in order. Each is a requirement of the contract; the first that fails ends the boot.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use crate::cmdline::{self, Cmdline, CmdlineError, ConfigSource};
use crate::config::blob::{self, Blob};
use crate::config::{self, ConfigError};
use crate::console::say;
use crate::evidence::{Bound, Entry, EvidenceError};
use crate::mounts::{self, Owner};
use crate::network::settings::{self, SettingsError};
use crate::network::{self, NetworkError};
use crate::os::Doing;
use crate::refusal::Refusal;
use crate::services::plan::{self, Service};
use crate::services::{self, Running, ServiceError};
use crate::{
    disks, evidence, hardening, initramfs, modules, readiness, root, signals, state, users,
};

/// The service that owns the configuration and the state directory.
const GATEWAY: &str = "sealgate";
const MODEL: &str = "/model";

/// From the kernel's start of PID 1 to running services.
pub fn boot() -> Result<Vec<Running>, Refusal> {
    let cmdline = check_initramfs_and_cmdline()?;
    prepare_kernel(&cmdline)?;
    enter_root(&cmdline)?;
    hardening::kernel().map_err(Refusal::Hardening)?;
    let services = read_plan()?;
    let gateway = user(GATEWAY)?;
    state::prepare(cmdline.state, gateway)?;
    network::loopback()?;
    let entry = Entry::make().map_err(EvidenceError::from)?;
    configure(&cmdline, gateway, entry.as_ref())?;
    give_evidence(&services, entry.as_ref())?;
    start(&services)
}

/// Checks that the initial file system and the command line are the measured ones.
fn check_initramfs_and_cmdline() -> Result<Cmdline, Refusal> {
    let list = read("/etc/modules").map_err(|_| CmdlineError::Unreadable)?;
    let modules = modules::parse(&list)?;
    let found = initramfs::list(Path::new("/")).map_err(initramfs::InitramfsError::from)?;
    initramfs::check(&found, &modules)?;
    mounts::proc().map_err(Refusal::Mount)?;
    let running = read("/proc/cmdline").map_err(|_| CmdlineError::Unreadable)?;
    let measured = read("/etc/cmdline").map_err(|_| CmdlineError::Unreadable)?;
    let cmdline = cmdline::check(&running, &measured)?;
    say(format_args!("profile {}", cmdline.profile));
    Ok(cmdline)
}

/// Devices, modules, randomness and time; after this the kernel loads no more code.
fn prepare_kernel(cmdline: &Cmdline) -> Result<(), Refusal> {
    mounts::sys_and_dev().map_err(Refusal::Mount)?;
    signals::listen().map_err(Refusal::Hardening)?;
    signals::take_ctrl_alt_del().map_err(Refusal::Hardening)?;
    let paths = module_paths()?;
    let idle = modules::load(&paths)?;
    hardening::no_more_modules().map_err(Refusal::Hardening)?;
    say(format_args!(
        "modules {}, of them idle {}",
        paths.len(),
        idle.len()
    ));
    mounts::configfs().map_err(Refusal::Mount)?;
    readiness::entropy()?;
    readiness::clock(cmdline.not_before, SystemTime::now())?;
    Ok(())
}

fn module_paths() -> Result<Vec<String>, Refusal> {
    let list = read("/etc/modules").map_err(modules::ModuleError::from)?;
    Ok(modules::parse(&list)?)
}

fn enter_root(cmdline: &Cmdline) -> Result<(), Refusal> {
    let disk = disks::find("root")?;
    let device = root::verified("root", &disk, &cmdline.root)?;
    let paths = module_paths()?;
    root::enter(&device, &paths).map_err(Refusal::Mount)?;
    say(format_args!("root {} verified", disk.name));
    if let Some(verity) = &cmdline.model {
        let disk = disks::find("model")?;
        let device = root::verified("model", &disk, verity)?;
        mounts::erofs(&device, MODEL, false).map_err(Refusal::Mount)?;
        say(format_args!("model {} verified", disk.name));
    }
    Ok(())
}

fn read_plan() -> Result<Vec<(Service, Owner)>, Refusal> {
    let bytes = read("/etc/services").map_err(ServiceError::from)?;
    let planned = plan::parse(&bytes).map_err(ServiceError::from)?;
    let with_owner = planned.into_iter().map(|service| {
        let owner = user(&service.user)?;
        Ok((service, owner))
    });
    with_owner.collect()
}

fn user(name: &str) -> Result<Owner, Refusal> {
    let passwd = read("/etc/passwd").map_err(ServiceError::from)?;
    let passwd = String::from_utf8_lossy(&passwd);
    Ok(users::find(&passwd, name).map_err(ServiceError::from)?)
}

/// The configuration, and the network that it describes.
fn configure(cmdline: &Cmdline, gateway: Owner, entry: Option<&Entry>) -> Result<(), Refusal> {
    match cmdline.config {
        ConfigSource::Image => {
            config::main_file()?;
            let file = read("/etc/sealgate/network").ok();
            say("config image");
            bring_up(file.as_deref())
        }
        ConfigSource::Disk => {
            let disk = disks::find("config")?;
            let bytes = config::read(&disk)?;
            let blob = blob::parse(&bytes).map_err(ConfigError::from)?;
            // Bound before anything acts on it: a configuration that the hardware does not cover decides nothing.
            bind(&bytes, entry)?;
            config::unpack(&blob, gateway)?;
            begin_state(&blob, gateway)?;
            bring_up(blob.file("network"))
        }
    }
}

fn bind(blob: &[u8], entry: Option<&Entry>) -> Result<(), Refusal> {
    let bound = evidence::bind(blob, entry)?;
    say(format_args!("config sha256:{}", evidence::shown(blob)));
    say(match bound {
        Bound::Rtmr3 => "config bound: extended into RTMR3",
        Bound::HostData => "config bound: equal to the launch's host data",
        Bound::HostDataUnset => "config not bound: the launch has no host data",
        Bound::Nothing => "config not bound: this machine has no runtime register",
    });
    Ok(())
}

fn begin_state(blob: &Blob<'_>, gateway: Owner) -> Result<(), Refusal> {
    Ok(config::begin_state(blob, state::folder(), gateway)?)
}

fn bring_up(file: Option<&[u8]>) -> Result<(), Refusal> {
    let settings =
        settings::parse(file).map_err(|error: SettingsError| NetworkError::from(error))?;
    Ok(network::start(&settings)?)
}

fn give_evidence(services: &[(Service, Owner)], entry: Option<&Entry>) -> Result<(), Refusal> {
    for (service, owner) in services.iter().filter(|(service, _)| service.evidence) {
        if evidence::give(entry, *owner).map_err(EvidenceError::from)? {
            say(format_args!("evidence for {}", service.name));
        } else {
            say("evidence: this machine has no interface for it");
        }
    }
    mounts::freeze("/sys").map_err(Refusal::Hardening)
}

fn start(services: &[(Service, Owner)]) -> Result<Vec<Running>, Refusal> {
    hardening::services().map_err(Refusal::Hardening)?;
    let running = services::start_all(services)?;
    say("ready");
    Ok(running)
}

fn read(path: &str) -> Result<Vec<u8>, crate::os::OsError> {
    fs::read(path).doing("read", path)
}
