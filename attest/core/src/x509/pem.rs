//! The one reader of PEM (RFC 7468) in this crate: certificates and nothing but certificates, or one
//! revocation list.
//!
//! Readers of PEM differ in what they skip, and a text that two of them read differently is two
//! chains in one. So nothing is skipped here: before, between and after the blocks stands white
//! space alone, every block is a certificate, and base64 has its one spelling. NUL bytes may follow
//! the last block, because Intel's quoting library counts the terminator of its C string.

use std::string::FromUtf8Error;

use super::certificate::MAX_CERTIFICATE_LEN;
use crate::encoding::{EncodingError, parse_base64};

/// No chain of these hierarchies has more certificates.
const MAX_CERTIFICATES: usize = 8;
/// Real chains are near 5 KiB.
const MAX_TEXT_LEN: usize = 64 << 10;

const BEGIN_ANY: &[u8] = b"-----BEGIN ";

/// What the blocks of a text are.
struct Label {
    begin: &'static [u8],
    end: &'static [u8],
    longest: usize,
}

const CERTIFICATE: Label = Label {
    begin: b"-----BEGIN CERTIFICATE-----",
    end: b"-----END CERTIFICATE-----",
    longest: MAX_CERTIFICATE_LEN,
};
const REVOCATION_LIST: Label = Label {
    begin: b"-----BEGIN X509 CRL-----",
    end: b"-----END X509 CRL-----",
    longest: MAX_TEXT_LEN,
};

/// Why a text is not a list of certificates in PEM. Blocks are counted from zero.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// Longer than any chain.
    #[error("{0} bytes are more than any chain of certificates has")]
    TooLong(usize),
    /// No certificate at all.
    #[error("there is no certificate in it")]
    Empty,
    /// More certificates than any chain has.
    #[error("there are more than {MAX_CERTIFICATES} certificates in it")]
    TooMany,
    /// Bytes that belong to no block.
    #[error("the byte at {offset} belongs to no certificate")]
    Junk {
        /// Where, counted from the start of the text.
        offset: usize,
    },
    /// A block that is not a certificate.
    #[error("block {block} is not a certificate")]
    Label {
        /// Which.
        block: usize,
    },
    /// A block without an end.
    #[error("block {block} has no end")]
    Unterminated {
        /// Which.
        block: usize,
    },
    /// A block whose content is not base64.
    #[error("block {block}: {error}")]
    Base64 {
        /// Which.
        block: usize,
        /// What is wrong with it. Offsets count without white space.
        error: EncodingError,
    },
}

/// The DER of every certificate in `text`, in its order; at least one.
pub(crate) fn certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, PemError> {
    blocks(text, &CERTIFICATE)
}

/// The DER of the one revocation list in `text`.
pub(crate) fn revocation_list(text: &[u8]) -> Result<Vec<u8>, PemError> {
    let mut lists = blocks(text, &REVOCATION_LIST)?;
    match (lists.pop(), lists.is_empty()) {
        (Some(list), true) => Ok(list),
        _ => Err(PemError::TooMany),
    }
}

/// Whether `bytes` are a text in PEM, whatever is in it, rather than DER.
pub(crate) fn is_pem(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(BEGIN_ANY)
}

fn blocks(text: &[u8], label: &Label) -> Result<Vec<Vec<u8>>, PemError> {
    if text.len() > MAX_TEXT_LEN {
        return Err(PemError::TooLong(text.len()));
    }
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_ascii_start();
        if rest.iter().all(|byte| *byte == 0) {
            return if found.is_empty() {
                Err(PemError::Empty)
            } else {
                Ok(found)
            };
        }
        if found.len() == MAX_CERTIFICATES {
            return Err(PemError::TooMany);
        }
        let block = found.len();
        let Some(content) = rest.strip_prefix(label.begin) else {
            return Err(if rest.starts_with(BEGIN_ANY) {
                PemError::Label { block }
            } else {
                let offset = text.len() - rest.len();
                PemError::Junk { offset }
            });
        };
        let Some((base64, after)) = split_at_end(content, label.end) else {
            return Err(PemError::Unterminated { block });
        };
        let base64 = without_white_space(base64);
        let der = parse_base64(&base64, label.longest)
            .map_err(|error| PemError::Base64 { block, error })?;
        found.push(der);
        rest = after;
    }
}

/// What stands before the end of a block, and what follows it.
fn split_at_end<'t>(content: &'t [u8], end: &[u8]) -> Option<(&'t [u8], &'t [u8])> {
    // Base64 has no hyphen, so the first one begins the end of any block that can be read.
    let hyphen = content.iter().position(|byte| *byte == b'-')?;
    let starts_with_end = |at: &usize| content.get(*at..).is_some_and(|it| it.starts_with(end));
    let at = (hyphen..content.len()).find(starts_with_end)?;
    let (before, after) = content.split_at_checked(at)?;
    Some((before, after.get(end.len()..)?))
}

/// Bytes that are not UTF-8 become a character that base64 does not have.
fn without_white_space(text: &[u8]) -> String {
    let mut kept = Vec::with_capacity(text.len());
    for line in text.split(u8::is_ascii_whitespace) {
        kept.extend_from_slice(line);
    }
    let lossy = |error: FromUtf8Error| String::from_utf8_lossy(error.as_bytes()).into_owned();
    String::from_utf8(kept).unwrap_or_else(lossy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::to_base64;

    #[test]
    fn one_revocation_list_is_read_and_no_certificate_in_its_place() {
        let list = block(&[7; 300]).replace("CERTIFICATE", "X509 CRL");
        assert_eq!(revocation_list(list.as_bytes()), Ok(vec![7; 300]));
        let twice = revocation_list(list.repeat(2).as_bytes());
        assert_eq!(twice, Err(PemError::TooMany));
        let certificate = revocation_list(block(&[7; 300]).as_bytes());
        assert_eq!(certificate, Err(PemError::Label { block: 0 }));
    }

    fn block(der: &[u8]) -> String {
        let base64 = to_base64(der);
        format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
    }

    #[test]
    fn certificates_are_read_in_their_order_whatever_white_space_is_around_them() {
        let (one, two) = (vec![1; 100], vec![2; 50]);
        let both = Ok(vec![one.clone(), two.clone()]);
        let text = block(&one) + &block(&two);
        assert_eq!(certificates(text.as_bytes()), both);
        let spaced = format!("\r\n {}\n\n{}\t", block(&one), block(&two));
        assert_eq!(certificates(spaced.as_bytes()), both);
        let windows = text.replace('\n', "\r\n");
        assert_eq!(certificates(windows.as_bytes()), both);
        assert_eq!(certificates((text.clone() + "\0").as_bytes()), both);
        assert_eq!(certificates((text + "\0\0\0").as_bytes()), both);
    }

    #[test]
    fn bytes_outside_the_blocks_are_refused_with_their_place() {
        let whole = block(&[7; 30]);
        let junk = |text: String| certificates(text.as_bytes());
        let at = |offset| Err(PemError::Junk { offset });
        assert_eq!(junk(format!("x{whole}")), at(0));
        assert_eq!(junk(format!("{whole}x{whole}")), at(whole.len()));
        assert_eq!(junk(format!("{whole}\nx")), at(whole.len() + 1));
        assert_eq!(junk(format!("\0{whole}")), at(0));
        assert_eq!(junk(format!("{whole}\0{whole}")), at(whole.len()));
        assert_eq!(junk(format!("{whole}\0x")), at(whole.len()));
    }

    #[test]
    fn a_block_that_is_not_one_whole_certificate_is_refused() {
        let whole = block(&[7; 30]);
        let read = |text: &str| certificates(text.as_bytes());
        assert_eq!(read(""), Err(PemError::Empty));
        assert_eq!(read(" \n\0"), Err(PemError::Empty));
        let other = whole.replace("CERTIFICATE", "X509 CRL");
        assert_eq!(read(&other), Err(PemError::Label { block: 0 }));
        let second = format!("{whole}{other}");
        assert_eq!(read(&second), Err(PemError::Label { block: 1 }));
        let cut = &whole[..whole.len() - 2];
        assert_eq!(read(cut), Err(PemError::Unterminated { block: 0 }));
        for (from, to) in [
            ("Bwc", "B!c"),
            ("Bwc", "B\0c"),
            ("\n-----END", "A\n-----END"),
            ("\n-----END", "=\n-----END"),
        ] {
            let spoilt = whole.replacen(from, to, 1);
            assert_ne!(spoilt, whole);
            assert!(
                matches!(read(&spoilt), Err(PemError::Base64 { block: 0, .. })),
                "{spoilt:?}"
            );
        }
    }

    #[test]
    fn what_is_larger_than_any_chain_is_refused() {
        let nine = block(&[7; 30]).repeat(MAX_CERTIFICATES + 1);
        assert_eq!(certificates(nine.as_bytes()), Err(PemError::TooMany));
        let long = vec![b' '; MAX_TEXT_LEN + 1];
        assert_eq!(certificates(&long), Err(PemError::TooLong(long.len())));
        let large = block(&vec![7; MAX_CERTIFICATE_LEN + 1]);
        assert!(matches!(
            certificates(large.as_bytes()),
            Err(PemError::Base64 {
                error: EncodingError::TooLong { .. },
                ..
            })
        ));
    }
}
