//! The retention policy of the gateways, signed if its mode requires it.

use anyhow::{Context, Result, ensure};

use testkit::process::{run, sibling};
use testkit::scratch::ScratchDir;

/// A recipient whose identity is not on this machine.
const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

/// Hides the tenants' names in the published form of the policy.
const SALT: &str = "9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a0";

/// The active retention policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keeping {
    /// The built-in policy.
    #[default]
    Metadata,
    Zero,
    /// Sealed to an age recipient, under a policy that policy keys have signed.
    Content,
}

impl Keeping {
    pub fn name(self) -> &'static str {
        match self {
            Keeping::Metadata => "metadata",
            Keeping::Zero => "zero",
            Keeping::Content => "content",
        }
    }

    /// Writes the policy into `directory`; returns the section that activates it for `tenants`.
    pub async fn configure(self, directory: &ScratchDir, tenants: &[&str]) -> Result<String> {
        let (terms, signed) = match self {
            Keeping::Metadata => return Ok(String::new()),
            Keeping::Zero => ("[default]\nmode = \"zero\"\n".to_owned(), false),
            Keeping::Content => (content_of(tenants), true),
        };
        let text = format!("format = \"sealgate/retention/2\"\nepoch = 1\n{terms}");
        let policy = directory.write("retention.toml", text)?;
        let mut section = format!("[retention]\npolicy = {:?}\n", policy.display().to_string());
        if signed {
            let public = retention(directory, &["keygen", "--out", "policy.key"]).await?;
            retention(
                directory,
                &["sign", "--key", "policy.key", "retention.toml"],
            )
            .await?;
            section.push_str(&format!("keys = [{:?}]\n", public.trim()));
        }
        Ok(section)
    }
}

fn content_of(tenants: &[&str]) -> String {
    format!(
        "salt = {SALT:?}\n[default]\nmode = \"metadata\"\nttl = \"1d\"\n\
         [[rule]]\ntenants = {tenants:?}\nmode = \"content\"\nttl = \"1d\"\nrecipients = [{RECIPIENT:?}]\n"
    )
}

async fn retention(directory: &ScratchDir, arguments: &[&str]) -> Result<String> {
    let arguments = [&["retention"], arguments].concat();
    let output = run(&sibling("sealgate")?, arguments, directory.path()).await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).context("a public key")
}
