//! Operating a running service: checking a configuration, reloading it, and adding policy keys.

mod agreement;
mod keys_later;
mod reload;

use anyhow::Result;

use blackbox::world::Alone;

/// Exit code, and both streams.
pub async fn cli(alone: &Alone, arguments: &[&str]) -> Result<(i32, String)> {
    let output = alone.enclave.cli(arguments).await?;
    let both = [output.stdout, output.stderr].concat();
    Ok((output.status.code().unwrap_or(-1), String::from_utf8(both)?))
}

/// The configuration that the service was started with.
pub fn configuration(alone: &Alone) -> Result<String> {
    let file = alone.enclave.directory().join("sealgate.toml");
    Ok(std::fs::read_to_string(file)?)
}

/// The number of the first line that begins with this.
pub fn line_of(text: &str, begins: &str) -> usize {
    let found = text.lines().position(|line| line.starts_with(begins));
    1 + found.unwrap_or_else(|| panic!("no line begins with {begins:?}"))
}
