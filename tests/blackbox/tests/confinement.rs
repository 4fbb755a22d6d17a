//! What the confined programs still have to read while they run, when other programs replace it by renaming.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use blackbox::asking::{CHAT, chat, eventually};
use blackbox::namespace::{
    children, private_mounts_are_possible, replace_by_renaming, runs, status, with_etc,
};
use blackbox::world::{MODEL, World, identity, trusting_directory};
use testkit::config::{Config, Model};
use testkit::engine::{CHAT_MODEL, Engine};
use testkit::scratch::ScratchDir;
use testkit::service::{Program, Service, free_address};

/// A gateway that sees `etc` as `/etc`, in front of engines that it knows by name.
struct Named {
    etc: PathBuf,
    _directory: ScratchDir,
    _engine: Engine,
    gateway: Service,
    key: String,
}

impl Named {
    /// The shipped program. Its model `NAME` is served by an engine at the address that NAME resolves to.
    async fn start(test: &str, names: &[&str], files: &[(&str, &str)]) -> Result<Self> {
        let directory = trusting_directory(test)?;
        let etc = directory.path().join("etc");
        for (name, contents) in files {
            directory.write(&format!("etc/{name}"), contents)?;
        }
        let engine = Engine::start().await?;
        let port = engine.address().port();
        let mut config = Config::direct(free_address()?);
        config.tee = "none";
        config.mode = "aggregator";
        for name in names {
            let url = format!("http://{name}:{port}/v1");
            config = config.serving(Model::plain(name, url).known_upstream_as(CHAT_MODEL));
        }
        let identity = identity("gateway")
            .run_as(Program::Shipped)
            .wrapped_in(with_etc(&etc));
        let home = directory.path().join("gateway");
        let gateway = Service::start(&home, identity, config.listen, &config.text()).await?;
        let key = gateway.create_key("tests").await?;
        Ok(Self {
            etc,
            _directory: directory,
            _engine: engine,
            gateway,
            key,
        })
    }

    async fn status_of(&self, model: &str) -> Result<u16> {
        let mut connection = self.gateway.connect().await?;
        let answer = connection
            .post(&self.key, CHAT, &chat(model, "hello"))
            .await?;
        Ok(answer.status.as_u16())
    }

    fn resolver(&self) -> Result<u32> {
        let id = self.gateway.id().context("it runs")?;
        let children = children(id);
        children
            .first()
            .copied()
            .context("no process resolves names")
    }
}

/// Skips by name where a test cannot have a separate `/etc`.
fn skipped(test: &str) -> bool {
    let skipped = !private_mounts_are_possible();
    if skipped {
        println!("skipped: {test}: no private mount namespace can be had here");
    }
    skipped
}

const HOSTS: &str = "127.0.0.1 localhost\n127.0.0.1 first.test\n";
const NSSWITCH: (&str, &str) = ("nsswitch.conf", "hosts: files dns\n");

#[tokio::test(flavor = "multi_thread")]
async fn resolves_names_after_the_hosts_file_was_replaced() -> Result<()> {
    if skipped("resolves_names_after_the_hosts_file_was_replaced") {
        return Ok(());
    }
    let files = [("hosts", HOSTS), NSSWITCH];
    let world = Named::start("hosts", &["first.test", "second.test"], &files).await?;
    assert_eq!(world.status_of("first.test").await?, 200);
    assert_eq!(
        world.status_of("second.test").await?,
        502,
        "the name is not known yet"
    );

    // Renamed over twice: a rule on the file that was there at the first time would not be enough either.
    for _ in 0..2 {
        let more = "127.0.0.1 localhost\n127.0.0.1 first.test second.test\n";
        replace_by_renaming(&world.etc.join("hosts"), more)?;
    }
    assert_eq!(
        world.status_of("second.test").await?,
        200,
        "{}",
        world.gateway.log()
    );

    world.gateway.reload().await?;
    assert_eq!(world.status_of("second.test").await?, 200);
    Ok(())
}

/// Answers every question for an A record with `127.0.0.1`, and others with nothing.
fn name_server(address: Ipv4Addr) -> std::io::Result<()> {
    let socket = UdpSocket::bind((address, 53))?;
    std::thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, peer)) = socket.recv_from(&mut question) {
            let Some(asked) = question.get(..length) else {
                continue;
            };
            if let Some(answer) = dns_answer(asked) {
                let _ = socket.send_to(&answer, peer);
            }
        }
    });
    Ok(())
}

fn dns_answer(question: &[u8]) -> Option<Vec<u8>> {
    let name = question.get(12..)?.iter().position(|byte| *byte == 0)? + 13;
    let kind = question.get(name..name + 2)?;
    let is_a = kind == [0, 1];
    let mut answer = question.get(..2)?.to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
    answer.extend(question.get(12..name + 4)?);
    if is_a {
        // A pointer to the name, class IN, one second, four bytes.
        answer.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn resolves_names_after_resolv_conf_was_replaced() -> Result<()> {
    let test = "resolves_names_after_resolv_conf_was_replaced";
    if skipped(test) {
        return Ok(());
    }
    // Addresses of this machine that differ from one run to the next, one without a name server and one with.
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let silent = Ipv4Addr::new(127, 98, high, low.max(1));
    let serving = Ipv4Addr::new(127, 99, high, low.max(1));
    if let Err(error) = name_server(serving) {
        println!("skipped: {test}: no name server can listen on port 53: {error}");
        return Ok(());
    }
    let before = format!("nameserver {silent}\noptions timeout:1 attempts:1\n");
    let files = [
        ("hosts", "127.0.0.1 localhost\n"),
        ("dhcp/resolv.conf", &before),
        NSSWITCH,
    ];
    let world = Named::start("resolv-conf", &["engine.example.com"], &files).await?;
    assert_eq!(
        world.status_of("engine.example.com").await?,
        502,
        "there is no resolv.conf yet"
    );

    // As a link, which is how systemd-resolved and NetworkManager have it; then the file behind the link; then a
    // file in the link's place.
    let link = world.etc.join("resolv.conf");
    std::os::unix::fs::symlink("dhcp/resolv.conf", &link)?;
    let after = format!("nameserver {serving}\noptions timeout:5 attempts:3\n");
    replace_by_renaming(&world.etc.join("dhcp/resolv.conf"), &after)?;
    assert_eq!(
        world.status_of("engine.example.com").await?,
        200,
        "{}",
        world.gateway.log()
    );
    replace_by_renaming(&link, &format!("{after}# lease renewed\n"))?;
    assert_eq!(world.status_of("engine.example.com").await?, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_that_resolves_names_is_confined_and_ends_with_the_gateway() -> Result<()> {
    let mut world = World::new("resolver").await?;
    let gateway = world.gateway.id().context("it runs")?;
    let found = children(gateway);
    assert_eq!(found.len(), 1, "{found:?}");
    let resolver = found[0];
    // It has got as far as this once it has answered.
    let mut connection = world.gateway.connect().await?;
    let answer = connection
        .post(&world.key, CHAT, &chat(MODEL, "hello"))
        .await?;
    assert_eq!(answer.status, 200);
    eventually("it is confined", async || {
        status(resolver, "Seccomp:").as_deref() == Some("2")
            && status(resolver, "NoNewPrivs:").as_deref() == Some("1")
    })
    .await;
    let is_root = status(gateway, "Uid:").is_some_and(|ids| ids.starts_with("0\t"));
    if is_root {
        let ids = status(resolver, "Uid:").context("a user")?;
        assert!(ids.split_whitespace().all(|id| id == "65534"), "{ids}");
        let capabilities = status(resolver, "CapEff:").context("capabilities")?;
        assert!(capabilities.bytes().all(|digit| digit == b'0'));
        // What it could look into: nothing of the service's, and one socket.
        let environment = fs::read(format!("/proc/{resolver}/environ"))?;
        assert!(environment.is_empty() || environment.starts_with(b"LD_LIBRARY_PATH="));
        for entry in fs::read_dir(format!("/proc/{resolver}/fd"))? {
            let target = fs::read_link(entry?.path())?;
            let harmless = target.starts_with("/dev/null")
                || ["socket:", "anon_inode:", "pipe:"]
                    .iter()
                    .any(|kind| target.to_string_lossy().starts_with(kind));
            assert!(harmless, "{}", target.display());
        }
    }

    // A service manager stops every process of a service at once; the gateway still needs names while it drains.
    for signal in ["-TERM", "-INT", "-HUP"] {
        std::process::Command::new("kill")
            .args([signal, &resolver.to_string()])
            .status()?;
    }
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(runs(resolver), "it ended before the gateway");
    world.gateway.end("KILL").await?;
    eventually("it ends with the gateway", async || !runs(resolver)).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_whose_resolver_was_killed_logs_it_and_resolves_names_itself() -> Result<()> {
    if skipped("a_gateway_whose_resolver_was_killed_logs_it_and_resolves_names_itself") {
        return Ok(());
    }
    let files = [("hosts", HOSTS), NSSWITCH];
    let world = Named::start("no-resolver", &["first.test"], &files).await?;
    assert_eq!(world.status_of("first.test").await?, 200);
    let resolver = world.resolver()?;
    std::process::Command::new("kill")
        .args(["-KILL", &resolver.to_string()])
        .status()?;
    eventually("the end is logged", async || {
        world.gateway.log().contains(" resolver_ended")
    })
    .await;
    world.gateway.reload().await?;
    assert_eq!(world.status_of("first.test").await?, 200);
    Ok(())
}

/// Kubernetes, Vault's agent and certbot replace secrets this way.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_reads_keys_and_policies_that_were_replaced_by_renaming() -> Result<()> {
    let world = World::with(
        "replaced",
        |config| config,
        |config, url, key| {
            let secrets = key.with_file_name("secrets");
            let _ = fs::create_dir_all(secrets.join("first"));
            let _ = fs::copy(key, secrets.join("first/enclave.key"));
            let _ = std::os::unix::fs::symlink("first", secrets.join("now"));
            let _ = std::os::unix::fs::symlink("now/enclave.key", secrets.join("enclave.key"));
            let mut config = config;
            config.models =
                vec![Model::confidential(MODEL, url).with_key_from(&secrets.join("enclave.key"))];
            if let Some((policy, _)) = &mut config.trust {
                let moved = secrets.join("policy.toml");
                let _ = fs::copy(&*policy, &moved);
                *policy = moved;
            }
            config
        },
    )
    .await?;
    let ask = async || {
        let mut connection = world.gateway.connect().await?;
        let answer = connection
            .post(&world.key, CHAT, &chat(MODEL, "hello"))
            .await?;
        anyhow::Ok(answer.status.as_u16())
    };
    assert_eq!(ask().await?, 200);

    let secrets = world.directory.path().join("secrets");
    let rotated = world.enclave.create_key("gateway").await?;
    fs::create_dir(secrets.join("second"))?;
    let renewed = secrets.join("second/enclave.key");
    fs::write(&renewed, &rotated)?;
    fs::set_permissions(&renewed, fs::Permissions::from_mode(0o600))?;
    std::os::unix::fs::symlink("second", secrets.join("next"))?;
    fs::rename(secrets.join("next"), secrets.join("now"))?;
    fs::remove_dir_all(secrets.join("first"))?;
    let policy = secrets.join("policy.toml");
    replace_by_renaming(&policy, &fs::read_to_string(&policy)?)?;
    world.gateway.reload().await?;
    assert_eq!(ask().await?, 200, "{}", world.gateway.log());
    Ok(())
}

/// The programs themselves may be looked up by name; their contents and what is beside them cannot be read.
#[test]
fn the_helper_runs_only_where_it_was_started_with_a_socket() -> Result<()> {
    let program = testkit::process::sibling("sealgate")?;
    let script = "exec -a sealgate-resolver \"$0\" </dev/null";
    let output = std::process::Command::new("bash")
        .args([Path::new("-c"), Path::new(script), &program])
        .output()?;
    assert!(!output.status.success());
    Ok(())
}

/// A bundle of certificate authorities that holds what the service shows now.
async fn bundle_of(service: &Service) -> Result<String> {
    let connection = service.connect().await?;
    let certificate = connection.certificate_der().context("a certificate")?;
    let lines: Vec<String> = STANDARD
        .encode(certificate)
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    Ok(format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_reads_certificate_authorities_that_were_replaced_by_renaming() -> Result<()> {
    // The enclave stands for any service under WebPKI whose certificate is renewed.
    let world = World::new("authorities").await?;
    let bundle = world.directory.path().join("authorities/bundle.pem");
    fs::create_dir(bundle.with_file_name(""))?;
    replace_by_renaming(&bundle, &bundle_of(&world.enclave).await?)?;
    let mut config = Config::direct(free_address()?);
    config.tee = "none";
    config.mode = "aggregator";
    let key = world.directory.path().join("enclave.key");
    let config = config.serving(Model::plain(MODEL, world.enclave.url()).with_key_from(&key));
    let variable = format!("SSL_CERT_FILE={}", bundle.display());
    let identity = identity("webpki")
        .run_as(Program::Shipped)
        .wrapped_in(["env", &variable].map(std::ffi::OsString::from));
    let home = world.directory.path().join("webpki");
    let gateway = Service::start(&home, identity, config.listen, &config.text()).await?;
    let tests = gateway.create_key("tests").await?;
    let ask = async || {
        let mut connection = gateway.connect().await?;
        let answer = connection.post(&tests, CHAT, &chat(MODEL, "hi")).await?;
        anyhow::Ok(answer.status.as_u16())
    };
    assert_eq!(ask().await?, 200, "{}", gateway.log());

    world.enclave.reload().await?;
    replace_by_renaming(&bundle, &bundle_of(&world.enclave).await?)?;
    gateway.reload().await?;
    assert_eq!(ask().await?, 200, "{}", gateway.log());
    Ok(())
}
