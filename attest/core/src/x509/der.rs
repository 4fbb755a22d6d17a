//! Just enough DER (ITU-T X.690) to walk structures whose shape is known: elements with one-byte tags
//! and definite, minimal lengths.

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const ENUMERATED: u8 = 0x0A;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// One element: its tag, its content, and both with the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) whole: &'a [u8],
    pub(crate) content: &'a [u8],
}

/// The first element of `der`, and what follows it.
pub(crate) fn element(der: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, after_tag) = der.split_first()?;
    let (&first, after_first) = after_tag.split_first()?;
    let (len, header) = match first {
        0..=0x7F => (usize::from(first), 2),
        0x81..=0x83 => {
            let count = usize::from(first & 0x7F);
            let digits = after_first.get(..count)?;
            let len = digits
                .iter()
                .fold(0, |len, digit| len << 8 | usize::from(*digit));
            // The shortest spelling is the only one.
            let minimal = len > 0x7F && digits.first().is_some_and(|digit| *digit != 0);
            (minimal.then_some(len)?, 2 + count)
        }
        _ => return None,
    };
    let end = header.checked_add(len)?;
    let whole = der.get(..end)?;
    Some((
        Element {
            tag,
            whole,
            content: whole.get(header..)?,
        },
        der.get(end..)?,
    ))
}

/// Takes the next element off `rest` if it has this tag.
pub(crate) fn take<'a>(rest: &mut &'a [u8], tag: u8) -> Option<Element<'a>> {
    let (found, after) = element(rest)?;
    if found.tag != tag {
        return None;
    }
    *rest = after;
    Some(found)
}

/// The one element that `der` is, if it has this tag and nothing follows.
pub(crate) fn only(der: &[u8], tag: u8) -> Option<Element<'_>> {
    let mut rest = der;
    let found = take(&mut rest, tag)?;
    rest.is_empty().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_one_spelling() {
        assert!(element(&[0x04, 0x01, 0xAA]).is_some());
        assert_eq!(element(&[0x04, 0x81, 0x01, 0xAA]), None);
        assert_eq!(element(&[0x04, 0x82, 0x00, 0x80]), None);
        assert_eq!(element(&[0x04, 0x80]), None);
        assert_eq!(element(&[0x04, 0x02, 0xAA]), None);
        let mut long = vec![0x04, 0x81, 0x80];
        long.extend_from_slice(&[0; 0x80]);
        assert_eq!(element(&long).unwrap().0.content.len(), 0x80);
    }

    #[test]
    fn what_follows_is_not_part_of_the_only_element() {
        assert!(only(&[0x02, 0x01, 0x05], INTEGER).is_some());
        assert_eq!(only(&[0x02, 0x01, 0x05, 0x00], INTEGER), None);
        assert_eq!(only(&[0x02, 0x01, 0x05], OCTET_STRING), None);
    }
}
