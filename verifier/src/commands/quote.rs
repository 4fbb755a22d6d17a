//! `quote`: a raw TDX quote with its collateral at a stated time.

use attest_core::parse_hex_vec;

use super::{Conclusion, fetch_collateral};
use crate::cli::QuoteArgs;
use crate::failure::Failure;
use crate::inputs::{self, Judge};
use crate::judged::Judged;

pub async fn run(args: QuoteArgs) -> Result<u8, Failure> {
    let mut judge = Judge::from_args(&args.judge)?;
    let quote = raw(inputs::read(&args.file, inputs::MAX_EVIDENCE)?);
    if let Some(base_url) = &args.fetch.fetch_collateral {
        judge.supply(fetch_collateral(base_url, &quote).await?);
    }
    let verdict = judge.appraiser().quote(&quote);
    let subject = args.file.display().to_string();
    let judged = Judged {
        verdict: &verdict,
        policy: judge.policy_origin,
        subject: &subject,
    };
    Ok(Conclusion {
        judged,
        form: args.output.form(),
        draft_policy: args.print_policy,
    }
    .show())
}

/// The bytes of a quote that may have been written down in hexadecimal.
pub fn raw(read: Vec<u8>) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(&read) else {
        return read;
    };
    let text = text.trim();
    let text = text.strip_prefix("0x").unwrap_or(text).to_ascii_lowercase();
    parse_hex_vec(&text, inputs::MAX_EVIDENCE).unwrap_or(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_as_the_bytes_it_stands_for() {
        assert_eq!(raw(b"0x0400\n".to_vec()), [4, 0]);
        assert_eq!(raw(vec![4, 0, 2, 0xff]), [4, 0, 2, 0xff]);
        assert_eq!(raw(b"no hex".to_vec()), b"no hex");
    }
}
