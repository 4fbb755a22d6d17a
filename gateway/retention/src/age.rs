//! Streaming encryption to `age` files (age-encryption.org/v1) for X25519 recipients.
//!
//! ```text
//! age-encryption.org/v1
//! -> X25519 <ephemeral share>          for each recipient
//! <file key, wrapped>
//! --- <HMAC of all that, under a key derived from the file key>
//! <16-byte nonce> <chunks of 64 KiB, each with a 16-byte tag>
//! ```
//!
//! This module cannot decrypt: only the tenant has the identities. Plaintext is in one buffer of one chunk, is encrypted
//! in place, and is wiped with the buffer.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{hkdf, hmac};
use zeroize::{Zeroize, Zeroizing};

use attest_core::retention::Recipient;

const MAGIC: &str = "age-encryption.org/v1\n";
const WRAP_INFO: &[u8] = b"age-encryption.org/v1/X25519";
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;

/// Why a record could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Randomness, key agreement or encryption failed.
    #[error("a record could not be sealed")]
    Crypto,
    #[error("a sealed record could not be written: {0}")]
    Write(#[from] io::Error),
}

/// An age file being written.
pub struct Sealer<W: Write> {
    out: W,
    key: LessSafeKey,
    counter: u64,
    chunk: Vec<u8>,
}

impl<W: Write> Sealer<W> {
    /// Writes the header. Only holders of the recipients' identities will open what follows.
    pub fn begin(mut out: W, recipients: &[Recipient]) -> Result<Self, SealError> {
        let random = SystemRandom::new();
        let mut file_key = Zeroizing::new([0; 16]);
        let mut nonce = [0; 16];
        random
            .fill(&mut file_key[..])
            .map_err(|_| SealError::Crypto)?;
        random.fill(&mut nonce).map_err(|_| SealError::Crypto)?;
        out.write_all(header(&file_key, recipients, &random)?.as_bytes())?;
        out.write_all(&nonce)?;
        let payload_key = derive(&nonce, &file_key[..], b"payload")?;
        Ok(Self {
            out,
            key: aead_key(&payload_key)?,
            counter: 0,
            chunk: Vec::with_capacity(CHUNK + TAG),
        })
    }

    /// Whether `more` bytes would cause a write, instead of only filling the buffer.
    pub fn would_write(&self, more: usize) -> bool {
        self.chunk.len() + more > CHUNK
    }

    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), SealError> {
        while !bytes.is_empty() {
            // A full chunk is not the last one, once something follows it.
            if self.chunk.len() == CHUNK {
                self.seal_chunk(false)?;
            }
            let room = CHUNK - self.chunk.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.chunk.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Writes the last chunk. A file without it does not open.
    pub fn finish(&mut self) -> Result<&mut W, SealError> {
        self.seal_chunk(true)?;
        self.out.flush()?;
        Ok(&mut self.out)
    }

    fn seal_chunk(&mut self, last: bool) -> Result<(), SealError> {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&self.counter.to_be_bytes());
        nonce[11] = u8::from(last);
        self.counter += 1;
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(nonce, Aad::empty(), &mut self.chunk)
            .map_err(|_| SealError::Crypto)?;
        let written = self.out.write_all(&self.chunk);
        self.chunk.clear();
        Ok(written?)
    }
}

impl<W: Write> Drop for Sealer<W> {
    fn drop(&mut self) {
        self.chunk.zeroize();
    }
}

fn header(
    file_key: &[u8; 16],
    recipients: &[Recipient],
    random: &SystemRandom,
) -> Result<String, SealError> {
    let mut header = MAGIC.to_owned();
    for recipient in recipients {
        let (share, wrapped) = wrap(file_key, recipient, random)?;
        header.push_str("-> X25519 ");
        STANDARD_NO_PAD.encode_string(share, &mut header);
        header.push('\n');
        STANDARD_NO_PAD.encode_string(wrapped, &mut header);
        header.push('\n');
    }
    header.push_str("---");
    let mac_key = derive(&[], file_key, b"header")?;
    let mac_key = hmac::Key::new(hmac::HMAC_SHA256, &mac_key[..]);
    let mac = hmac::sign(&mac_key, header.as_bytes());
    header.push(' ');
    STANDARD_NO_PAD.encode_string(mac.as_ref(), &mut header);
    header.push('\n');
    Ok(header)
}

/// The file key for one recipient: our ephemeral share, and the key under what both sides can derive.
fn wrap(
    file_key: &[u8; 16],
    recipient: &Recipient,
    random: &SystemRandom,
) -> Result<(Vec<u8>, Vec<u8>), SealError> {
    let ephemeral =
        EphemeralPrivateKey::generate(&X25519, random).map_err(|_| SealError::Crypto)?;
    let share = ephemeral
        .compute_public_key()
        .map_err(|_| SealError::Crypto)?;
    let share = share.as_ref().to_vec();
    let salt = [&share[..], recipient.key()].concat();
    let theirs = UnparsedPublicKey::new(&X25519, recipient.key());
    let key = agree_ephemeral(ephemeral, &theirs, |secret| {
        derive(&salt, secret, WRAP_INFO)
    })
    .map_err(|_| SealError::Crypto)??;
    let mut wrapped = file_key.to_vec();
    aead_key(&key)?
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key([0; 12]),
            Aad::empty(),
            &mut wrapped,
        )
        .map_err(|_| SealError::Crypto)?;
    Ok((share, wrapped))
}

/// HKDF-SHA-256, 32 bytes.
fn derive(salt: &[u8], secret: &[u8], info: &[u8]) -> Result<Zeroizing<[u8; 32]>, SealError> {
    let mut key = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(&[info], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut key[..]))
        .map_err(|_| SealError::Crypto)?;
    Ok(key)
}

fn aead_key(key: &[u8; 32]) -> Result<LessSafeKey, SealError> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key).map_err(|_| SealError::Crypto)?;
    Ok(LessSafeKey::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepts this many bytes and then fails, as a full disk does.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self
                .0
                .checked_sub(bytes.len())
                .ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn recipients() -> Vec<Recipient> {
        let text = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
        vec![Recipient::parse(text).expect("a recipient")]
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        let mut sealer = Sealer::begin(Vec::new(), &recipients()).expect("a header");
        sealer.write(plain).expect("written");
        sealer.finish().expect("finished").clone()
    }

    #[test]
    fn a_file_has_a_header_a_nonce_and_a_tag_per_chunk_and_no_plaintext() {
        let empty = sealed(b"").len();
        assert!(sealed(b"").starts_with(b"age-encryption.org/v1\n-> X25519 "));
        for (length, tags) in [
            (1, 1),
            (CHUNK - 1, 1),
            (CHUNK, 1),
            (CHUNK + 1, 2),
            (3 * CHUNK, 3),
        ] {
            let plain = b"canary--".repeat(length / 8 + 1);
            let file = sealed(&plain[..length]);
            assert_eq!(file.len(), empty - TAG + length + tags * TAG, "{length}");
            assert!(memchr::memmem::find(&file, b"canary--").is_none());
        }
        assert_ne!(sealed(b"x"), sealed(b"x"), "every file has another key");
    }

    #[test]
    fn writes_full_chunks_only_and_reports_a_full_disk() {
        let mut sealer = Sealer::begin(Full(1000), &recipients()).expect("a header");
        assert!(!sealer.would_write(CHUNK));
        sealer
            .write(&vec![7; CHUNK])
            .expect("it is only in the buffer");
        assert!(sealer.would_write(1));
        assert!(matches!(sealer.write(&[7]), Err(SealError::Write(_))));
        let mut sealer = Sealer::begin(Full(300), &recipients()).expect("a header");
        sealer.write(&[7; 300]).expect("it is only in the buffer");
        assert!(matches!(sealer.finish(), Err(SealError::Write(_))));
    }
}
