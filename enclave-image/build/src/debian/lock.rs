//! The lock: every package that an image or a tool is made of, by its SHA-256.
//!
//! One line a package, `group name version architecture suite sha256 path`, sorted; `path` is below the root of an
//! archive of Debian's. A line that begins with `#` is a comment.

use std::collections::BTreeSet;

/// A package, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Locked {
    /// What it is for: `root`, `boot`, `inference`, `tools`.
    pub group: String,
    pub name: String,
    pub version: String,
    pub architecture: String,
    pub suite: String,
    /// Lowercase hex.
    pub sha256: String,
    pub path: String,
}

impl Locked {
    /// What the file is called.
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// Why a text is no lock.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    #[error(
        "line {line} does not have the seven fields group name version architecture suite sha256 path"
    )]
    Fields { line: usize },
    #[error("line {line}: {sha256:?} is no SHA-256 in lowercase hex")]
    Digest { line: usize, sha256: String },
    #[error("line {line}: {path:?} is no path below pool/")]
    Path { line: usize, path: String },
    #[error("line {line}: {name} is in {group} twice")]
    Twice {
        line: usize,
        group: String,
        name: String,
    },
    #[error("the lock has no package {name} in {group}")]
    Missing { group: String, name: String },
}

/// All packages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    pub packages: Vec<Locked>,
}

impl Lock {
    pub fn parse(text: &str) -> Result<Self, LockError> {
        let mut packages = Vec::new();
        let mut seen = BTreeSet::new();
        for (index, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let package = parse_line(index + 1, line)?;
            if !seen.insert((package.group.clone(), package.name.clone())) {
                return Err(LockError::Twice {
                    line: index + 1,
                    group: package.group,
                    name: package.name,
                });
            }
            packages.push(package);
        }
        Ok(Self { packages })
    }

    /// The text that parses to this.
    pub fn text(&self, preamble: &str) -> String {
        let mut packages: Vec<&Locked> = self.packages.iter().collect();
        packages.sort();
        let mut out = String::new();
        for line in preamble.lines() {
            out.push_str(format!("# {line}").trim_end());
            out.push('\n');
        }
        for p in packages {
            out.push_str(&format!(
                "{} {} {} {} {} {} {}\n",
                p.group, p.name, p.version, p.architecture, p.suite, p.sha256, p.path
            ));
        }
        out
    }

    pub fn find(&self, group: &str, name: &str) -> Result<&Locked, LockError> {
        let found = self
            .packages
            .iter()
            .find(|p| p.group == group && p.name == name);
        found.ok_or_else(|| LockError::Missing {
            group: group.to_owned(),
            name: name.to_owned(),
        })
    }

    pub fn group<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a Locked> + 'a {
        self.packages.iter().filter(move |p| p.group == group)
    }
}

fn parse_line(line: usize, text: &str) -> Result<Locked, LockError> {
    let fields: Vec<&str> = text.split(' ').collect();
    let [group, name, version, architecture, suite, sha256, path] = fields[..] else {
        return Err(LockError::Fields { line });
    };
    if [group, name, version, architecture, suite]
        .iter()
        .any(|field| field.is_empty())
    {
        return Err(LockError::Fields { line });
    }
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if sha256.len() != 64 || !sha256.bytes().all(hex) {
        return Err(LockError::Digest {
            line,
            sha256: sha256.to_owned(),
        });
    }
    let parts = path.split('/');
    if !path.starts_with("pool/") || parts.clone().any(|part| matches!(part, "" | "." | "..")) {
        return Err(LockError::Path {
            line,
            path: path.to_owned(),
        });
    }
    Ok(Locked {
        group: group.to_owned(),
        name: name.to_owned(),
        version: version.to_owned(),
        architecture: architecture.to_owned(),
        suite: suite.to_owned(),
        sha256: sha256.to_owned(),
        path: path.to_owned(),
    })
}
