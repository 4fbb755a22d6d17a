//! Base64url as RFC 7515 uses it: without padding, and with one spelling for each value.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// `None` for another alphabet, for padding, and where unused bits are set.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn each_value_has_one_spelling() {
        assert_eq!(decode("Zg"), Some(b"f".to_vec()));
        assert_eq!(decode("_-8"), Some(vec![0xff, 0xef]));
        for bad in ["Zg==", "Zh", "Z", "/+8", "Z g", "Zg\n", "Zm9_\u{e9}"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
