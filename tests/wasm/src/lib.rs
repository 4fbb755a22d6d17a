//! attest-core as a WebAssembly module, to show that it compiles for that target and verifies there.
//!
//! The host writes quote, collateral and policy one after another into `input(len)`, calls `verify`, and
//! reads the verdict's JSON from `output()`. The module imports nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};

use attest_core::{Appraiser, AttestationPolicy, Collateral, Roots, TdxCollateral, UnixTime};

static INPUT: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static OUTPUT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

getrandom::register_custom_getrandom!(no_random_numbers);

fn no_random_numbers(_: &mut [u8]) -> Result<(), getrandom::Error> {
    Err(getrandom::Error::UNSUPPORTED)
}

fn locked(buffer: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    buffer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Room for `len` bytes of input.
#[unsafe(no_mangle)]
pub extern "C" fn input(len: usize) -> *mut u8 {
    let mut input = locked(&INPUT);
    *input = vec![0; len];
    input.as_mut_ptr()
}

/// Where the output begins.
#[unsafe(no_mangle)]
pub extern "C" fn output() -> *const u8 {
    locked(&OUTPUT).as_ptr()
}

/// Verifies the quote at the beginning of the input by the collateral behind it, under the policy that
/// is the rest, at a time in seconds since 1970. Gives the length of the output.
#[unsafe(no_mangle)]
pub extern "C" fn verify(quote_len: usize, collateral_len: usize, now: u64) -> usize {
    let text = match verdict(quote_len, collateral_len, UnixTime::from_secs(now)) {
        Ok(text) => text,
        Err(reason) => format!("{{\"error\":\"{reason}\"}}"),
    };
    let mut output = locked(&OUTPUT);
    *output = text.into_bytes();
    output.len()
}

fn verdict(quote_len: usize, collateral_len: usize, now: UnixTime) -> Result<String, &'static str> {
    let input = locked(&INPUT);
    let (quote, rest) = input.split_at_checked(quote_len).ok_or("no quote")?;
    let parts = rest.split_at_checked(collateral_len);
    let (collateral, policy) = parts.ok_or("no collateral")?;
    let collateral = TdxCollateral::parse(collateral).map_err(|_| "the collateral cannot be read")?;
    let policy = str::from_utf8(policy).map_err(|_| "the policy is not text")?;
    let policy = AttestationPolicy::parse(policy).map_err(|_| "the policy cannot be read")?;
    let appraiser = Appraiser {
        roots: &Roots::vendor(),
        policy: &policy,
        collateral: Some(&Collateral::from(collateral)),
        now,
    };
    Ok(appraiser.quote(quote).to_json().to_string())
}
