//! A client from a third party: the `openai` Python package where it can be installed, otherwise curl.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::say;
use crate::stage::{MODEL, Stage};
use testkit::process::run;

const SCRIPT: &str = include_str!("openai_sdk.py");
const QUESTION: &str = "What is the capital of France?";

/// Asks whole and streamed; gives both texts.
pub async fn ask(stage: &Stage) -> Result<(String, String)> {
    static PYTHON: OnceCell<Option<PathBuf>> = OnceCell::const_new();
    match PYTHON.get_or_init(python_with_openai).await {
        Some(python) => ask_with_sdk(stage, python).await,
        None => ask_with_curl(stage).await,
    }
}

/// The interpreter that has the SDK, installed by the client tests' own script.
async fn python_with_openai() -> Option<PathBuf> {
    let script = setup_script()?;
    say::note("making sure that the OpenAI SDK is installed (the first time takes a while)");
    let home = script.parent()?.to_owned();
    let output = tokio::process::Command::new(&script)
        .current_dir(home)
        .output()
        .await
        .ok()?;
    if !output.status.success() {
        say::output(String::from_utf8_lossy(&output.stderr).trim());
        return None;
    }
    let text = String::from_utf8(output.stdout).ok()?;
    let python = PathBuf::from(text.trim().lines().last()?);
    python.is_file().then_some(python)
}

/// `tests/clients/setup.sh`, looked for upwards from here and from the running program.
fn setup_script() -> Option<PathBuf> {
    let starts = [std::env::current_dir().ok(), std::env::current_exe().ok()];
    starts
        .iter()
        .flatten()
        .flat_map(|start| start.ancestors())
        .map(|folder| folder.join("tests/clients/setup.sh"))
        .find(|script| script.is_file())
}

async fn ask_with_sdk(stage: &Stage, python: &Path) -> Result<(String, String)> {
    say::command("python: OpenAI(base_url=proxy).chat.completions.create(…), then stream=True");
    let arguments = ["-c", SCRIPT, &stage.proxy_url, &stage.key, MODEL, QUESTION];
    let output = run(python, arguments, stage.path()).await?;
    ensure!(
        output.status.success(),
        "the SDK failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let answers: Value = serde_json::from_slice(&output.stdout).context("the script's output")?;
    let whole = answers["whole"].as_str().context("no answer")?.to_owned();
    let pieces: Vec<&str> = answers["pieces"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    say::output(&format!(
        "whole:    {whole}\nstreamed: {} pieces",
        pieces.len()
    ));
    Ok((whole, pieces.concat()))
}

async fn ask_with_curl(stage: &Stage) -> Result<(String, String)> {
    say::note("NOTICE: the OpenAI SDK could not be installed; plain curl stands in for it.");
    let whole = curl(stage, false).await?;
    let whole: Value =
        serde_json::from_str(&whole).with_context(|| format!("not JSON: {whole}"))?;
    let whole = whole["choices"][0]["message"]["content"]
        .as_str()
        .context("no answer")?
        .to_owned();
    let stream = curl(stage, true).await?;
    let streamed: String = stream
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
        .filter_map(|frame| {
            frame["choices"][0]["delta"]["content"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    say::output(&format!("whole:    {whole}\nstreamed: {streamed}"));
    Ok((whole, streamed))
}

async fn curl(stage: &Stage, stream: bool) -> Result<String> {
    let body = json!({
        "model": MODEL,
        "messages": [{"role": "user", "content": QUESTION}],
        "stream": stream,
    });
    let url = format!("{}/chat/completions", stage.proxy_url);
    say::command(&format!("curl -sN {url} …  stream: {stream}"));
    let authorization = format!("Authorization: Bearer {}", stage.key);
    let body = body.to_string();
    let arguments = [
        "-sSN",
        "-H",
        &authorization,
        "-H",
        "Content-Type: application/json",
        "-d",
        &body,
        &url,
    ];
    let output = run(Path::new("curl"), arguments, stage.path())
        .await
        .context("is curl installed?")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
