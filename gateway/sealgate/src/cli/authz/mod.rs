//! `sealgate authz`: checks an authorization policy, tries its examples, and explains a decision.
//!
//! These commands read files only, so they work on any machine. A service under the same policy decides the same.

mod explain;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use super::UNUSABLE;
use gateway_authorization::{InvalidPolicy, Policy, Rule};
use gateway_base::config::ConfigError;

#[derive(Subcommand)]
pub(super) enum AuthzCommand {
    /// Print the rules of a policy, or every problem of it
    Check {
        /// The authorization policy (TOML)
        policy: PathBuf,
    },
    /// Try the examples of a policy; exit code 1 if one is decided in another way than stated
    Test {
        /// The authorization policy (TOML)
        policy: PathBuf,
    },
    /// Print the decision about a request, and for each rule which of its conditions do not match
    Explain(Box<explain::Question>),
}

/// Why a command has no result.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{}: cannot be read: {source}", .file.display())]
    Unreadable {
        file: PathBuf,
        source: std::io::Error,
    },
    #[error("{}", by_line(.file, .invalid))]
    Invalid {
        file: PathBuf,
        invalid: InvalidPolicy,
    },
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{}: names no authorization policy", .0.display())]
    NoPolicy(PathBuf),
    #[error("{}: there is no model {model}", .file.display())]
    NoModel { file: PathBuf, model: String },
    #[error("--class and --region are for a policy alone: a configuration has its upstreams")]
    ConfiguredUpstreams,
    /// The examples that failed were printed.
    #[error("{failed} of {all} examples failed")]
    Examples { failed: usize, all: usize },
}

/// Each problem as `FILE:LINE: REASON`.
fn by_line(file: &Path, invalid: &InvalidPolicy) -> String {
    let problems = invalid.problems().iter();
    let lines: Vec<String> = problems
        .map(|located| format!("{}:{}: {}", file.display(), located.line, located.problem))
        .collect();
    lines.join("\n")
}

pub(super) fn run(command: AuthzCommand) -> ExitCode {
    let outcome = match command {
        AuthzCommand::Check { policy } => check(&policy),
        AuthzCommand::Test { policy } => test(&policy),
        AuthzCommand::Explain(question) => explain::run(&question),
    };
    match outcome {
        Ok(page) => {
            print!("{page}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}");
            match failure {
                Failure::Examples { .. } => ExitCode::FAILURE,
                _ => ExitCode::from(UNUSABLE),
            }
        }
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|source| Failure::Unreadable {
        file: file.to_owned(),
        source,
    })
}

fn parsed(file: &Path, policy: Result<Policy, InvalidPolicy>) -> Result<Policy, Failure> {
    policy.map_err(|invalid| Failure::Invalid {
        file: file.to_owned(),
        invalid,
    })
}

fn check(file: &Path) -> Result<String, Failure> {
    let policy = parsed(file, Policy::parse_and_try(&read(file)?))?;
    let mut page = format!(
        "{} is good: {}, version {}, digest {}\n",
        file.display(),
        policy.name,
        policy.version,
        policy.digest
    );
    for (rule, number) in policy.rules.iter().zip(1..) {
        page.push_str(&describe(rule, number));
    }
    page.push_str(&format!("{} examples hold\n", policy.examples.len()));
    Ok(page)
}

fn describe(rule: &Rule, number: usize) -> String {
    let present = rule.when.present();
    let conditions: Vec<&str> = present.iter().map(|one| one.as_str()).collect();
    let conditions = match conditions[..] {
        [] => "everything".to_owned(),
        _ => format!("by {}", conditions.join(", ")),
    };
    let (effect, code) = (rule.effect.as_str(), &rule.code);
    format!("{number:>4}. {effect:<5}  {code}  {conditions}\n")
}

fn test(file: &Path) -> Result<String, Failure> {
    let policy = parsed(file, Policy::parse(&read(file)?))?;
    let failures = policy.failing_examples();
    let all = policy.examples.len();
    for failure in &failures {
        println!("{}:{}: {}", file.display(), failure.line, failure.problem);
    }
    match failures.len() {
        0 => Ok(format!("{all} examples hold\n")),
        failed => Err(Failure::Examples { failed, all }),
    }
}
