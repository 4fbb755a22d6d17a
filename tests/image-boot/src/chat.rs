//! A client of the test image: the real `sealgate-verify` judges it, and a chat goes through its proxy.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::measured::TIMEOUT;
use crate::stage::Stage;
use attest_core::UnixTime;
use enclave_image::machine::guest::Guest;
use testkit::policy::pinned_policy;
use testkit::{SoftwarePlatform, TdMeasurements};

/// As in `enclave-image/images/test.toml`.
const SEED: &[u8; 32] = b"sealgate testimage software only";
const MEASUREMENT: &str = "test-image";

/// Verifies the machine, asks it something through the proxy, and insists on a receipt that holds. The answer may take
/// this long.
pub fn verified(stage: &Stage, guest: &Guest, within: Duration) -> Result<Vec<String>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let trust = stage.scratch.path().join("trust");
    SoftwarePlatform::from_seed(SEED, UnixTime::from_secs(now))
        .write_roots(&trust.join("roots"))?;
    let good = pinned_policy("test-image", &TdMeasurements::named(MEASUREMENT));
    std::fs::write(trust.join("policy.toml"), good)?;
    let other = pinned_policy("another", &TdMeasurements::named("another-image"));
    std::fs::write(trust.join("other.toml"), other)?;

    let url = format!("https://localhost:{}", guest.port()?);
    let judge = |policy: &str| -> Result<(Option<i32>, String)> {
        let output = Command::new(&stage.verifier)
            .args(["endpoint", &url, "--policy", policy, "--roots", "roots"])
            .current_dir(&trust)
            .output()
            .context("sealgate-verify")?;
        let text = [output.stdout, output.stderr].concat();
        Ok((
            output.status.code(),
            String::from_utf8_lossy(&text).into_owned(),
        ))
    };
    let (code, text) = judge("policy.toml")?;
    ensure!(
        code == Some(0),
        "sealgate-verify ended with {code:?}:\n{text}"
    );
    ensure!(
        text.contains("SUPPLIED ROOTS"),
        "the verdict does not say that it rests on a supplied root:\n{text}"
    );
    let (code, text) = judge("other.toml")?;
    ensure!(
        code == Some(10),
        "under a policy for another image the verdict was {code:?}:\n{text}"
    );

    let key = guest
        .console()
        .wait_for(TIMEOUT, |line| {
            let key = line.strip_prefix("init: sealgate: ")?;
            key.starts_with("sk-sealgate-").then(|| key.to_owned())
        })
        .context("no API key on the console")?;
    let proxy = Proxy::start(stage, &trust, &url)?;
    let began = Instant::now();
    let answer = proxy.chat_when_loaded(&key, within)?;
    let took = began.elapsed().as_secs_f64();
    let content = answer["choices"][0]["message"]["content"].as_str();
    let content = content.with_context(|| format!("no answer: {answer}"))?;
    ensure!(!content.is_empty(), "the answer is empty");
    Ok(vec![
        "accepted under its policy, rejected under another's".into(),
        format!(
            "a chat through the verifying proxy, with a receipt that holds, {took:.0} s: {content:?}"
        ),
    ])
}

/// `sealgate-verify proxy`; gone when this is dropped.
struct Proxy {
    process: Child,
    address: String,
}

impl Proxy {
    fn start(stage: &Stage, trust: &std::path::Path, upstream: &str) -> Result<Self> {
        let mut process = Command::new(&stage.verifier)
            .args(["proxy", "--listen", "127.0.0.1:0", "--upstream", upstream])
            .args([
                "--policy",
                "policy.toml",
                "--roots",
                "roots",
                "--require-receipt",
            ])
            .current_dir(trust)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("sealgate-verify proxy")?;
        let output = process.stdout.take().context("no output")?;
        let errors = process.stderr.take().context("no output")?;
        let (lines, said) = std::sync::mpsc::channel();
        for stream in [Box::new(output) as Box<dyn Read + Send>, Box::new(errors)] {
            let lines = lines.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let _ = lines.send(line);
                }
            });
        }
        let mut proxy = Self {
            process,
            address: String::new(),
        };
        let deadline = Instant::now() + TIMEOUT;
        let mut heard = String::new();
        while proxy.address.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = said.recv_timeout(left.min(Duration::from_secs(5))) else {
                if left.is_zero() || proxy.process.try_wait()?.is_some() {
                    bail!("the proxy does not start:\n{heard}");
                }
                continue;
            };
            proxy.address = address_in(&line).unwrap_or_default();
            heard.push_str(&line);
            heard.push('\n');
        }
        Ok(proxy)
    }

    /// An engine takes connections before it has loaded its model, and answers 503 until then.
    fn chat_when_loaded(&self, key: &str, within: Duration) -> Result<Value> {
        let deadline = Instant::now() + within;
        loop {
            match self.chat(key, within)? {
                Some(answer) => return Ok(answer),
                None if Instant::now() > deadline => bail!("the model was not loaded in time"),
                None => std::thread::sleep(Duration::from_secs(2)),
            }
        }
    }

    /// The answer; `None` for a 503.
    fn chat(&self, key: &str, within: Duration) -> Result<Option<Value>> {
        let body = json!({
            "model": "demo-model",
            "max_tokens": 12,
            "messages": [{ "role": "user", "content": "Say hello from inside the image." }],
        })
        .to_string();
        let mut stream = TcpStream::connect(&self.address).context("the proxy")?;
        stream.set_read_timeout(Some(within))?;
        write!(
            stream,
            "POST /v1/chat/completions HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.address,
            body.len()
        )?;
        let mut response = String::new();
        stream.read_to_string(&mut response)?;
        let (head, body) = response.split_once("\r\n\r\n").context("no response")?;
        if head.starts_with("HTTP/1.1 503") {
            return Ok(None);
        }
        ensure!(head.starts_with("HTTP/1.1 200"), "{response}");
        // Either as it is or in chunks: the JSON is one line in both.
        let (start, end) = (body.find('{'), body.rfind('}'));
        let (start, end) = start.zip(end).context("no JSON in the response")?;
        Ok(Some(serde_json::from_str(&body[start..=end])?))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `127.0.0.1:PORT` in a line, port not zero.
fn address_in(line: &str) -> Option<String> {
    let at = line.find("127.0.0.1:")?;
    let rest = &line[at + "127.0.0.1:".len()..];
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let port: u16 = digits.parse().ok().filter(|port| *port != 0)?;
    Some(format!("127.0.0.1:{port}"))
}
