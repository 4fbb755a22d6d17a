//! Keeps verified receipts, and what they rest on, as files an auditor can check again later with
//! `sealgate-verify receipt`. Files hold hashes and evidence, never content.

use std::path::{Path, PathBuf};

use attest_core::{Nonce, SessionId, Sha256Digest};

use crate::failure::Failure;

/// A directory of kept evidence.
pub struct Shelf(PathBuf);

impl Shelf {
    pub fn open(dir: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(dir).map_err(|e| Failure::Unwritable {
            path: dir.to_owned(),
            cause: e.kind().to_string(),
        })?;
        Ok(Self(dir.to_owned()))
    }

    pub fn receipt(&self, id: &ReceiptId, bytes: &[u8]) -> std::io::Result<()> {
        self.put(&format!("{}.receipt.json", id.as_str()), bytes)
    }

    /// Named by the keyset, since every receipt names the keyset that signed it; with the nonce the
    /// report was asked for with, which an auditor needs to check it again.
    pub fn report(
        &self,
        keyset: &Sha256Digest,
        nonce: &Nonce,
        bytes: &[u8],
    ) -> std::io::Result<()> {
        self.put(
            &format!("{}.nonce", keyset.to_hex()),
            nonce.to_string().as_bytes(),
        )?;
        self.put(&report_name(keyset), bytes)
    }

    pub fn has_report(&self, keyset: &Sha256Digest) -> bool {
        self.0.join(report_name(keyset)).exists()
    }

    pub fn session(&self, id: &SessionId, bytes: &[u8]) -> std::io::Result<()> {
        self.put(&session_name(id), bytes)
    }

    pub fn has_session(&self, id: &SessionId) -> bool {
        self.0.join(session_name(id)).exists()
    }

    /// Complete or absent: written beside and renamed.
    fn put(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        let partial = self.0.join(format!(".{name}.partial"));
        std::fs::write(&partial, bytes)?;
        std::fs::rename(partial, self.0.join(name))
    }
}

fn session_name(id: &SessionId) -> String {
    format!("{}.session.json", id.to_hex())
}

fn report_name(keyset: &Sha256Digest) -> String {
    format!("{}.report.json", keyset.to_hex())
}

/// An id that is safe as a path segment of a URL and as a file name. Anything else a service may
/// say is no id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptId(String);

impl ReceiptId {
    const LONGEST: usize = 128;

    pub fn parse(text: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let sound = !text.is_empty()
            && text.len() <= Self::LONGEST
            && !text.starts_with('.')
            && text.chars().all(plain);
        sound.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_would_leave_the_directory_or_the_path_is_none() {
        assert!(ReceiptId::parse("rcpt_01-ab.c").is_some());
        for bad in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "a?b",
            "a b",
            "a%2fb",
            "é",
            &"a".repeat(129),
        ] {
            assert_eq!(ReceiptId::parse(bad), None, "{bad}");
        }
    }
}
