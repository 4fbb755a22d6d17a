//! Collecting cases, and the files that they share.

use std::collections::BTreeMap;
use std::path::Path;

use attest_core::{Collateral, Sha256Digest, UnixTime, to_base64};

use crate::NOW;
use crate::case::{Case, Evidence, Expected, Kind};

#[derive(Default)]
pub struct Kit {
    pub cases: BTreeMap<String, Case>,
    /// Shared files by name.
    pub files: BTreeMap<String, String>,
}

/// What is judged, and by what.
pub struct Judged<'a> {
    pub kind: Kind,
    pub policy: &'a str,
    pub collateral: Option<&'a Collateral>,
    pub roots: &'a [(&'a str, &'a [u8])],
    pub evidence: Vec<Evidence>,
    pub at: UnixTime,
    pub nonce: Option<String>,
    pub channel_spki: Option<String>,
}

impl<'a> Judged<'a> {
    pub fn now(kind: Kind, policy: &'a str, evidence: Vec<Evidence>) -> Self {
        Self {
            kind,
            policy,
            collateral: None,
            roots: &[],
            evidence,
            at: NOW,
            nonce: None,
            channel_spki: None,
        }
    }
}

pub fn evidence(role: &str, bytes: &[u8], certificates: Option<&[u8]>) -> Evidence {
    Evidence {
        role: role.into(),
        base64: to_base64(bytes),
        certificates: certificates.map(to_base64),
    }
}

pub fn accepted() -> Expected {
    expected("accepted", &[])
}

pub fn rejected(failing: &[&str]) -> Expected {
    expected("rejected", failing)
}

pub fn missing(missing: &[&str]) -> Expected {
    Expected {
        missing: missing.iter().map(|&id| id.into()).collect(),
        ..expected("rejected", &[])
    }
}

pub fn expected(decision: &str, failing: &[&str]) -> Expected {
    Expected {
        decision: decision.into(),
        failing: failing.iter().map(|&id| id.into()).collect(),
        missing: vec![],
    }
}

impl Kit {
    pub fn add(&mut self, name: &str, says: &str, judged: Judged<'_>, expected: Expected) {
        let collateral = judged.collateral.map(|it| it.to_value().to_string());
        let case = Case {
            name: name.into(),
            says: says.into(),
            kind: judged.kind,
            at: judged.at.to_string(),
            policy: self.shared("policy", "toml", judged.policy.into()),
            collateral: collateral.map(|text| self.shared("collateral", "json", text)),
            roots: judged
                .roots
                .iter()
                .map(|(kind, der)| {
                    let text = to_base64(der);
                    ((*kind).to_owned(), self.shared("root", "der.b64", text))
                })
                .collect(),
            evidence: judged.evidence,
            nonce: judged.nonce,
            channel_spki: judged.channel_spki,
            expected,
        };
        let before = self.cases.insert(name.into(), case);
        assert!(before.is_none(), "two cases are called {name}");
    }

    fn shared(&mut self, what: &str, ending: &str, text: String) -> String {
        let digest = Sha256Digest::hash(text.as_bytes()).to_hex();
        let name = format!("{what}-{}.{ending}", &digest[..16]);
        self.files.insert(name.clone(), text);
        name
    }

    /// Writes the cases that are not there yet, and the files that they share; all of them, over what
    /// is there, if `again`. Gives how many were written.
    pub fn write(&self, directory: &Path, again: bool) -> std::io::Result<usize> {
        let files = directory.join("files");
        std::fs::create_dir_all(&files)?;
        let mut written = 0;
        for (name, case) in &self.cases {
            let path = directory.join(format!("{name}.json"));
            if path.exists() && !again {
                continue;
            }
            let shared = case
                .roots
                .values()
                .chain([&case.policy])
                .chain(&case.collateral);
            for name in shared {
                std::fs::write(files.join(name), &self.files[name])?;
            }
            let text = serde_json::to_string_pretty(case).expect("plain members");
            std::fs::write(path, text + "\n")?;
            written += 1;
        }
        Ok(written)
    }
}
