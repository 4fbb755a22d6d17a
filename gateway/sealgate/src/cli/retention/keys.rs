//! Policy keys: generated here, held by those who may change the policy, and never read by a service.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::{RetentionFailure, files};
use attest_core::{SigningKey, to_hex};
use gateway_base::config::signature_file;

/// A key file is this word and 64 hexadecimal digits.
const WORD: &str = "sealgate-policy-key-1";

pub(super) fn generate(out: &Path) -> Result<(), RetentionFailure> {
    let mut seed = Zeroizing::new([0; 32]);
    let random = SystemRandom::new();
    random
        .fill(&mut seed[..])
        .map_err(|_| RetentionFailure::Random)?;
    let key = signing_key(&seed).ok_or(RetentionFailure::Random)?;
    let line = Zeroizing::new(format!("{WORD} {}\n", to_hex(&seed[..])));
    let failed = |error| RetentionFailure::File {
        file: out.to_owned(),
        error,
    };
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(out)
        .and_then(|mut file| {
            file.write_all(line.as_bytes())?;
            file.sync_all()
        })
        .map_err(failed)?;
    // The public half alone goes to standard output, so that it can be piped to where it belongs.
    println!("{}", to_hex(key.verifying_key().as_bytes()));
    eprintln!(
        "The secret is in {}. Keep it where no service runs; name the public key in [retention] keys.",
        out.display()
    );
    Ok(())
}

pub(super) fn sign(key_file: &Path, policy_file: &Path) -> Result<(), RetentionFailure> {
    let text = Zeroizing::new(files::read(key_file)?);
    let not_a_key = || RetentionFailure::Key(key_file.to_owned());
    let hex = text
        .trim_end()
        .strip_prefix(WORD)
        .and_then(|rest| rest.strip_prefix(' '));
    let seed = hex.and_then(|hex| attest_core::parse_hex::<32>(hex).ok());
    let seed = Zeroizing::new(seed.ok_or_else(not_a_key)?);
    let key = signing_key(&seed).ok_or_else(not_a_key)?;
    let policy = files::policy(policy_file)?;
    let mut signatures = files::signatures(policy_file)?;
    signatures.sign(policy.digest(), &key);
    let out = signature_file(policy_file);
    std::fs::write(&out, signatures.to_string()).map_err(|error| RetentionFailure::File {
        file: out.clone(),
        error,
    })?;
    println!("{}", policy.digest());
    eprintln!(
        "Signed by {}; the signature is in {}.",
        to_hex(key.verifying_key().as_bytes()),
        out.display()
    );
    Ok(())
}

fn signing_key(seed: &[u8; 32]) -> Option<SigningKey> {
    SigningKey::from_seed("policy", seed).ok()
}
