//! PEM chains by their certificates.

use attest_core::{parse_base64, to_base64};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The certificates of a chain, DER, in its order.
pub fn certificates(pem: &str) -> Vec<Vec<u8>> {
    pem.split(BEGIN)
        .skip(1)
        .filter_map(|block| block.split(END).next())
        .filter_map(|body| {
            let text: String = body.chars().filter(|c| !c.is_whitespace()).collect();
            parse_base64(&text, 64 << 10).ok()
        })
        .collect()
}

/// `pem` with certificate number `place` written as `der`, line for line as it was.
pub fn with_certificate(pem: &str, place: usize, der: &[u8]) -> String {
    let mut parts: Vec<String> = pem.split(BEGIN).map(str::to_owned).collect();
    if let Some(part) = parts.get_mut(place + 1)
        && let Some((body, after)) = part.split_once(END)
    {
        let mut letters = to_base64(der).into_bytes().into_iter();
        let written: String = body
            .chars()
            .map(|c| match c.is_whitespace() {
                true => c,
                false => letters.next().map_or(c, char::from),
            })
            .collect();
        *part = format!("{written}{END}{after}");
    }
    parts.join(BEGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_put_back_unchanged_changes_nothing() {
        let der: Vec<u8> = (0..150).collect();
        let text = to_base64(&der);
        let (first, second) = text.split_at(64);
        let pem = format!("{BEGIN}\n{first}\n{second}\n{END}\n").repeat(2);
        assert_eq!(certificates(&pem), [der.clone(), der.clone()]);
        assert_eq!(with_certificate(&pem, 1, &der), pem);
        let mut other = der.clone();
        other[70] ^= 4;
        let changed = with_certificate(&pem, 1, &other);
        assert_eq!(certificates(&changed), [der, other]);
    }
}
