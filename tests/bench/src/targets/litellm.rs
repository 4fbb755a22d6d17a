//! LiteLLM's proxy, the gateway most people know: TLS in, plain out, one worker, no database, no callbacks.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Folder, LITELLM, MODEL, Target, chat_url, write_certificate};
use crate::process::{Core, Process, find, free_address};
use crate::shape::Shape;

/// Where its program is, if it is not on the path.
const PROGRAM: &str = "BENCH_LITELLM";
const KEY: &str = "sk-bench";

/// It is slow: the main shapes say enough.
const SHAPES: [Shape; 4] = [Shape::Saturated, Shape::Rate, Shape::Stream, Shape::Burst];

/// Nothing when it is not installed.
pub fn start(folder: &Folder, engine: SocketAddr) -> Result<Option<Target>> {
    let program = std::env::var_os(PROGRAM).map(PathBuf::from);
    let Some(program) = program.or_else(|| find("litellm")) else {
        return Ok(None);
    };
    let own = folder.path().join("litellm");
    fs::create_dir_all(&own)?;
    let address = free_address()?;
    let (certificate, private) = write_certificate(&own, "cert")?;
    let config = own.join("config.yaml");
    fs::write(&config, configuration(engine))?;
    let config = config.to_str().context("a UTF-8 path")?.to_owned();
    let arguments = [
        "--config".to_owned(),
        config,
        "--host".to_owned(),
        address.ip().to_string(),
        "--port".to_owned(),
        address.port().to_string(),
        "--num_workers".to_owned(),
        "1".to_owned(),
        "--telemetry".to_owned(),
        "False".to_owned(),
        "--ssl_certfile_path".to_owned(),
        certificate,
        "--ssl_keyfile_path".to_owned(),
        private,
    ];
    let mut process = Process::start(Core::Target, &program, &arguments, own.join("log"))?;
    process.wait_long_for(address).context("litellm")?;
    let target = Target::new(LITELLM, chat_url(address), MODEL)
        .run_by(process)
        .with_key(KEY.to_owned());
    Ok(Some(target.only_under(&SHAPES)))
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
