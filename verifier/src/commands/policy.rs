//! `policy check`: prints what a policy demands, or everything that is wrong with it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::conclusion::print;
use crate::failure::{Failure, exit};
use crate::inputs;
use crate::render::{self, policy_text, printable};
use attest_core::{AttestationPolicy, InvalidPolicy};

#[derive(Debug, Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    pub command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Print what a policy demands, or everything that is wrong with it
    Check {
        /// The policy (TOML); "-" reads standard input
        file: PathBuf,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
}

pub fn run(args: &PolicyArgs) -> Result<u8, Failure> {
    let PolicyCommand::Check { file, json } = &args.command;
    let name = file.display().to_string();
    let text = String::from_utf8(inputs::read(file, 1 << 20)?)
        .map_err(|_| Failure::malformed(name.clone(), "not UTF-8"))?;
    let (policy, stated) = match AttestationPolicy::parse_stated(&text) {
        Ok(read) => read,
        Err(invalid) => {
            print(&refused(&name, &invalid, *json));
            return Ok(exit::MALFORMED);
        }
    };
    print(&match json {
        true => render::pretty(&json!({
            "file": name,
            "valid": true,
            "name": policy.name(),
            "digest": policy.digest().to_string(),
            "stated": stated,
            "problems": [],
        })),
        false => policy_text(&policy, &stated),
    });
    Ok(exit::ACCEPTED)
}

fn refused(name: &str, invalid: &InvalidPolicy, json: bool) -> String {
    let problems = invalid.problems();
    if json {
        let listed = problems
            .iter()
            .map(|it| json!({ "line": it.line, "message": it.error.to_string() }));
        return render::pretty(&json!({
            "file": name,
            "valid": false,
            "problems": listed.collect::<Vec<_>>(),
        }));
    }
    let count = match problems.len() {
        1 => "1 problem".to_owned(),
        several => format!("{several} problems"),
    };
    let mut out = format!("INVALID  {}: {count}\n", printable(name));
    for problem in problems {
        out.push_str(&format!("  {}\n", printable(&problem.to_string())));
    }
    out
}
