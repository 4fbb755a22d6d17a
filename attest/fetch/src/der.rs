//! The part of DER (ITU-T X.690) that fetching needs: writing small structures, and checking that an
//! answer is one whole SEQUENCE.

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;

/// One element around its contents, one after the other.
pub(crate) fn element(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let content = contents.concat();
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let bytes = content.len().to_be_bytes();
            let significant: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
            let count = u8::try_from(significant.len()).expect("a length of at most eight bytes");
            out.push(0x80 | count);
            out.extend(significant);
        }
    }
    out.extend(content);
    out
}

/// The content of `der` if it is one SEQUENCE, neither truncated nor followed by other bytes.
pub(crate) fn whole_sequence(der: &[u8]) -> Option<&[u8]> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, content) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7F);
        if !(1..=4).contains(&count) {
            return None;
        }
        let (length, content) = rest.split_at_checked(count)?;
        let add = |sum: usize, byte: &u8| (sum << 8) | usize::from(*byte);
        (length.iter().fold(0, add), content)
    };
    (tag == SEQUENCE && content.len() == length).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_written_elements_of_every_length() {
        for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let content = vec![7; length];
            let der = element(SEQUENCE, &[&content]);
            assert_eq!(whole_sequence(&der), Some(&content[..]), "{length}");
        }
    }

    #[test]
    fn refuses_a_sequence_that_is_truncated_or_followed_by_bytes() {
        let der = element(SEQUENCE, &[&[7; 300]]);
        for length in 0..der.len() {
            assert_eq!(whole_sequence(&der[..length]), None, "{length}");
        }
        assert_eq!(whole_sequence(&[&der[..], &[0]].concat()), None);
        assert_eq!(whole_sequence(&element(OCTET_STRING, &[&[7; 3]])), None);
        assert_eq!(whole_sequence(&[0x30, 0x80, 0, 0]), None);
    }
}
