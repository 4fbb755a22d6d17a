//! Signed notes (C2SP `signed-note`), Ed25519 signatures only.
//!
//! ```text
//! <text, ending in a newline>
//! <empty line>
//! — <key name> base64(key id, 4 bytes || signature, 64 bytes)
//! ```
//!
//! The key id is the first four bytes of SHA-256(name || 0x0A || 0x01 || public key). Signatures by
//! other keys, witnesses' for instance, may stand beside ours and are passed over.

use crate::aci::{SigningKey, VerifyingKey};
use crate::digest::sha256;
use crate::encoding::{parse_base64, to_base64};

/// A note may be this long.
pub(crate) const MAX_NOTE_BYTES: usize = 16 * 1024;

const MAX_SIGNATURES: usize = 32;
/// A line of another algorithm may be longer than ours.
const MAX_SIGNATURE_BYTES: usize = 8 * 1024;
const ED25519: u8 = 1;

/// Why a note cannot be relied on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than a note may be.
    #[error("longer than {MAX_NOTE_BYTES} bytes")]
    TooLong,
    /// Not text with signature lines below an empty line.
    #[error("not a signed note")]
    Malformed,
    /// No signature names the key in question.
    #[error("not signed by the key {key_id:08x}")]
    NotSignedByKey {
        /// Id of the key that was asked for, of which the note has no signature.
        key_id: u32,
    },
    /// A signature names the key in question and does not verify.
    #[error("the signature does not verify")]
    Signature,
}

/// A note, parsed. Its text means nothing before a signature was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    text: &'a str,
    signatures: Vec<SignatureLine<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct SignatureLine<'a> {
    name: &'a str,
    key_id: u32,
    signature: Vec<u8>,
}

impl<'a> Note<'a> {
    /// Parses a note.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLong);
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::Malformed)?;
        if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
            return Err(NoteError::Malformed);
        }
        let end = note.rfind("\n\n").ok_or(NoteError::Malformed)?;
        let (text, lines) = (&note[..=end], &note[end + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed)?;
        let signatures: Vec<_> = lines
            .split('\n')
            .map(SignatureLine::parse)
            .collect::<Option<_>>()
            .ok_or(NoteError::Malformed)?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(NoteError::Malformed);
        }
        Ok(Self { text, signatures })
    }

    /// The text, final newline included.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Verifies the signature of the key with this name. All that claim to be its must verify.
    pub fn verify(&self, name: &str, key: &VerifyingKey) -> Result<(), NoteError> {
        let key_id = key_id(name, key.as_bytes());
        let mut signed = false;
        for line in &self.signatures {
            if line.name != name || line.key_id != key_id {
                continue;
            }
            let signature: &[u8; 64] = line
                .signature
                .as_slice()
                .try_into()
                .map_err(|_| NoteError::Signature)?;
            key.verify(self.text.as_bytes(), signature)
                .map_err(|_| NoteError::Signature)?;
            signed = true;
        }
        if signed {
            Ok(())
        } else {
            Err(NoteError::NotSignedByKey { key_id })
        }
    }
}

impl<'a> SignatureLine<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (name, signature) = line.strip_prefix("— ")?.split_once(' ')?;
        if !is_key_name(name) {
            return None;
        }
        let bytes = parse_base64(signature, MAX_SIGNATURE_BYTES).ok()?;
        let (key_id, signature) = bytes.split_first_chunk::<4>()?;
        if signature.is_empty() {
            return None;
        }
        Some(Self {
            name,
            key_id: u32::from_be_bytes(*key_id),
            signature: signature.to_vec(),
        })
    }
}

/// Key names have neither white space nor a plus.
pub(super) fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c == '+')
}

/// Signs a text that ends in a newline.
pub(super) fn sign(text: &str, name: &str, key: &SigningKey) -> String {
    let mut signature = key_id(name, key.verifying_key().as_bytes())
        .to_be_bytes()
        .to_vec();
    signature.extend_from_slice(&key.sign(text.as_bytes()));
    format!("{text}\n— {name} {}\n", to_base64(&signature))
}

/// The id that a note knows a key by.
pub fn key_id(name: &str, public_key: &[u8; 32]) -> u32 {
    let mut input = name.as_bytes().to_vec();
    input.extend_from_slice(&[b'\n', ED25519]);
    input.extend_from_slice(public_key);
    let [a, b, c, d, ..] = sha256(&input);
    u32::from_be_bytes([a, b, c, d])
}
