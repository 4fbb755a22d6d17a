//! LiteLLM's proxy, the gateway most people know: TLS in, plain out, one worker, no database, no callbacks.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Folder, LITELLM, MODEL, Target, chat_url};
use crate::process::{Core, Process, find, free_address};

/// Where its program is, if it is not on the path.
const PROGRAM: &str = "BENCH_LITELLM";
const KEY: &str = "sk-bench";

/// Nothing when it is not installed.
pub fn start(folder: &Folder, engine: SocketAddr) -> Result<Option<Target>> {
    let program = std::env::var_os(PROGRAM).map(PathBuf::from);
    let Some(program) = program.or_else(|| find("litellm")) else {
        return Ok(None);
    };
    let own = folder.path().join("litellm");
    fs::create_dir_all(&own)?;
    let address = free_address()?;
    let key = rcgen::KeyPair::generate()?;
    let certificate =
        rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])?.self_signed(&key)?;
    let [pem, private, config] = ["cert.pem", "cert.key", "config.yaml"].map(|name| own.join(name));
    fs::write(&pem, certificate.pem())?;
    fs::write(&private, key.serialize_pem())?;
    fs::write(&config, configuration(engine))?;
    let text = |path: &PathBuf| path.to_str().map(str::to_owned).context("a UTF-8 path");
    let arguments = [
        "--config".to_owned(),
        text(&config)?,
        "--host".to_owned(),
        address.ip().to_string(),
        "--port".to_owned(),
        address.port().to_string(),
        "--num_workers".to_owned(),
        "1".to_owned(),
        "--telemetry".to_owned(),
        "False".to_owned(),
        "--ssl_certfile_path".to_owned(),
        text(&pem)?,
        "--ssl_keyfile_path".to_owned(),
        text(&private)?,
    ];
    let mut process = Process::start(Core::Target, &program, &arguments, own.join("log"))?;
    process.wait_long_for(address).context("litellm")?;
    Ok(Some(Target {
        name: LITELLM,
        url: chat_url(address),
        model: MODEL,
        key: Some(KEY.to_owned()),
        pid: Some(process.id()),
        process: Some(process),
        support: Vec::new(),
    }))
}

fn configuration(engine: SocketAddr) -> String {
    format!(
        "model_list:
  - model_name: {MODEL}
    litellm_params:
      model: openai/{MODEL}
      api_base: http://{engine}/v1
      api_key: none
general_settings:
  master_key: {KEY}
litellm_settings:
  telemetry: false
  num_retries: 0
"
    )
}
