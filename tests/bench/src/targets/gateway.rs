//! The gateway in each of its roles: without a TEE, as the enclave in front of the engine, and as the gateway in front of
//! that enclave. The last two run on the software platform; everything they do with a request is what hardware would see.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{
    AGGREGATOR, DIRECT, DIRECT_DEFERRED, DIRECT_TWO_CORES, Folder, MODEL, PLAIN, Target, chat_url,
    program,
};
use crate::duties;
use crate::process::{Core, Process, free_address};
use crate::rows::Ledger;
use crate::shape::Shape;
use attest_core::UnixTime;
use testkit::config::{Config, Model};
use testkit::policy::write_policy;
use testkit::{SoftwarePlatform, TdMeasurements};

/// Whatever is used, as long as every part of a run uses the same.
const SEED: [u8; 32] = [0x5e; 32];
const ENCLAVE: &str = "enclave";
const GATEWAY: &str = "gateway";

pub fn start(folder: &Folder, engine: SocketAddr) -> Result<Vec<Target>> {
    Ok(vec![
        without_tee(folder, engine)?,
        direct(folder, engine, DIRECT, Core::Target)?,
        direct_deferred(folder, engine)?.only_under(&[Shape::Saturated, Shape::Rate]),
        aggregator(folder, engine)?,
        direct(folder, engine, DIRECT_TWO_CORES, Core::Both)?.only_under(&[Shape::Saturated]),
    ])
}

/// One enclave wipes what it frees, the other does not.
pub fn start_wiping_and_not(folder: &Folder, engine: SocketAddr) -> Result<Vec<Target>> {
    Ok(vec![
        enclave(folder, engine, "wiping", "sealgate-soft", "")?,
        enclave(folder, engine, "not wiping", "sealgate-soft-unwiped", "")?,
    ])
}

/// The enclave in front of the engine with every duty, and without those that a configuration or a test program leaves
/// out.
pub fn start_with_and_without_duties(folder: &Folder, engine: SocketAddr) -> Result<Vec<Target>> {
    let zero = folder.path().join("zero.toml");
    fs::write(&zero, ZERO)?;
    let keep_nothing = format!("[retention]\npolicy = {:?}", zero.display().to_string());
    let (sign_later, log_less) = (SIGN_LATER, "[log]\nlevel = \"warn\"");
    let least = [sign_later, log_less].join("\n");
    let (wiping, not_wiping) = ("sealgate-soft", "sealgate-soft-unwiped");
    [
        (duties::ALL, wiping, ""),
        (duties::NOT_WIPING, not_wiping, ""),
        (duties::NOT_SIGNING, wiping, sign_later),
        (duties::NOT_LOGGING, wiping, log_less),
        (duties::NOT_KEEPING, wiping, &keep_nothing),
        (duties::LEAST, not_wiping, &least),
    ]
    .into_iter()
    .map(|(name, binary, more)| enclave(folder, engine, name, binary, more))
    .collect()
}

const SIGN_LATER: &str = "[receipts]\nsign = \"on_fetch\"";

/// A retention policy: nothing outlives a request.
const ZERO: &str = "format = \"sealgate/retention/1\"\nepoch = 1\n[default]\nmode = \"zero\"\n";

fn enclave(
    folder: &Folder,
    engine: SocketAddr,
    name: &'static str,
    binary: &str,
    more: &str,
) -> Result<Target> {
    let address = free_address()?;
    let config = Config::direct(address)
        .and(more)
        .serving(Model::confidential(MODEL, engine_url(engine)));
    let service = Service::new(folder, name, binary, Some(ENCLAVE), &config)?;
    service.target(name, address)
}

fn without_tee(folder: &Folder, engine: SocketAddr) -> Result<Target> {
    let address = free_address()?;
    let mut config = Config::direct(address).serving(Model::plain(MODEL, engine_url(engine)));
    config.mode = "aggregator";
    config.tee = "none";
    let service = Service::new(folder, "plain", "sealgate", None, &config)?;
    service.target(PLAIN, address)
}

/// The enclave in front of the engine.
pub fn direct(
    folder: &Folder,
    engine: SocketAddr,
    name: &'static str,
    core: Core,
) -> Result<Target> {
    let address = free_address()?;
    let config = Config::direct(address).serving(Model::confidential(MODEL, engine_url(engine)));
    let service = Service::new(folder, name, "sealgate-soft", Some(ENCLAVE), &config)?;
    service.target_on(core, name, address)
}

/// Like [`direct`], but receipts are signed when they are fetched, and none is.
fn direct_deferred(folder: &Folder, engine: SocketAddr) -> Result<Target> {
    let address = free_address()?;
    let config = Config::direct(address)
        .and(SIGN_LATER)
        .serving(Model::confidential(MODEL, engine_url(engine)));
    let name = DIRECT_DEFERRED;
    let service = Service::new(folder, name, "sealgate-soft", Some(ENCLAVE), &config)?;
    service.target(name, address)
}

/// The enclave in front of the engine shares the load's core: only the gateway before it is measured.
fn aggregator(folder: &Folder, engine: SocketAddr) -> Result<Target> {
    let enclave_address = free_address()?;
    let config =
        Config::direct(enclave_address).serving(Model::confidential(MODEL, engine_url(engine)));
    let enclave = Service::new(folder, "enclave", "sealgate-soft", Some(ENCLAVE), &config)?;
    let (enclave_process, enclave_key) = enclave.start(Core::Load, enclave_address)?;

    let trust = folder.path().join("trust");
    SoftwarePlatform::from_seed(&SEED, now()?).write_roots(&trust)?;
    let policy = trust.join("policy.toml");
    write_policy(&policy, "bench enclave", &TdMeasurements::named(ENCLAVE))?;
    let key_file = folder.path().join("enclave.key");
    fs::write(&key_file, enclave_key)?;
    // A key file that other users may read is refused.
    fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600))?;

    let address = free_address()?;
    let model =
        Model::confidential(MODEL, format!("https://{enclave_address}")).with_key_from(&key_file);
    let config = Config::aggregator(address, &policy, &trust).serving(model);
    let service = Service::new(
        folder,
        "aggregator",
        "sealgate-soft",
        Some(GATEWAY),
        &config,
    )?;
    let mut target = service.target(AGGREGATOR, address)?;
    target.support.push(enclave_process);
    Ok(target)
}

fn engine_url(engine: SocketAddr) -> String {
    format!("http://{engine}/v1")
}

fn now() -> Result<UnixTime> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(UnixTime::from_secs(since.as_secs()))
}

/// One gateway with its configuration written, not yet started.
struct Service {
    program: PathBuf,
    platform: Vec<String>,
    file: PathBuf,
    log: PathBuf,
    admin: SocketAddr,
}

impl Service {
    fn new(
        folder: &Folder,
        name: &str,
        binary: &str,
        measurement: Option<&str>,
        config: &Config,
    ) -> Result<Self> {
        let own = folder.path().join(name);
        fs::create_dir_all(&own)?;
        let file = own.join("sealgate.toml");
        // More streams and connections come from one key here than any tenant would open.
        let limits = "[limits]\nmax_concurrent_per_key = 1024\nmax_concurrent = 2048\nmax_unauthenticated = 4096";
        let admin = free_address()?;
        let sections = format!("{limits}\n[admin]\nlisten = \"{admin}\"");
        fs::write(&file, config.clone().and(&sections).text())?;
        let seed: String = SEED.iter().map(|byte| format!("{byte:02x}")).collect();
        let platform = measurement
            .map(|name| {
                ["--platform-seed", &seed, "--measurement", name]
                    .map(str::to_owned)
                    .to_vec()
            })
            .unwrap_or_default();
        Ok(Self {
            program: program(binary)?,
            platform,
            file,
            log: own.join("log"),
            admin,
        })
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        self.platform
            .iter()
            .cloned()
            .chain(more.iter().map(|&word| word.to_owned()))
            .collect()
    }

    /// The running process and an API key for it.
    fn start(&self, core: Core, address: SocketAddr) -> Result<(Process, String)> {
        let file = self.file.to_str().context("the build's path is UTF-8")?;
        let key = self.create_key(file)?;
        let mut process = Process::start(
            core,
            &self.program,
            &self.arguments(&["serve", file]),
            self.log.clone(),
        )?;
        process
            .wait_for(address)
            .with_context(|| name_of(&self.program))?;
        Ok((process, key))
    }

    fn create_key(&self, file: &str) -> Result<String> {
        self.key_printed_by(&["keys", "create", file, "--tenant", "bench"])
    }

    /// Where the rows are counted.
    fn ledger(&self) -> Result<Ledger> {
        let file = self.file.to_str().context("the build's path is UTF-8")?;
        let create = ["admin", "create", file, "--role", "read-only"];
        Ok(Ledger {
            url: format!("https://{}/admin/v1/usage", self.admin),
            key: self.key_printed_by(&create)?,
        })
    }

    fn key_printed_by(&self, command: &[&str]) -> Result<String> {
        let output = Command::new(&self.program)
            .args(self.arguments(command))
            .output()
            .with_context(|| name_of(&self.program))?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "{command:?} failed: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        text.split_whitespace()
            .find(|word| word.starts_with("sk-"))
            .map(str::to_owned)
            .with_context(|| format!("{command:?} printed no key"))
    }

    fn target(&self, name: &'static str, address: SocketAddr) -> Result<Target> {
        self.target_on(Core::Target, name, address)
    }

    fn target_on(&self, core: Core, name: &'static str, address: SocketAddr) -> Result<Target> {
        let (process, key) = self.start(core, address).context(name)?;
        let mut target = Target::new(name, chat_url(address), MODEL)
            .run_by(process)
            .with_key(key);
        target.ledger = Some(self.ledger()?);
        Ok(target)
    }
}

fn name_of(program: &Path) -> String {
    program
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
