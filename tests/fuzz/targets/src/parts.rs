//! Several inputs in one: each but the last behind its length, four bytes little-endian.

/// The form that [`split`] takes apart.
pub fn join(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for (place, part) in parts.iter().enumerate() {
        if place + 1 < parts.len() {
            out.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        }
        out.extend(*part);
    }
    out
}

/// Takes `N` parts out. Lengths that reach too far reach to the end: every input is of this form.
pub fn split<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    let mut rest = data;
    let mut parts = [&[][..]; N];
    for (place, part) in parts.iter_mut().enumerate() {
        if place + 1 == N {
            *part = rest;
            continue;
        }
        let Some((len, after)) = rest.split_first_chunk::<4>() else {
            break;
        };
        let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
        (*part, rest) = after.split_at(len.min(after.len()));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_parts_are_split_again() {
        let parts: [&[u8]; 3] = [b"one", b"", b"three"];
        assert_eq!(split::<3>(&join(&parts)), parts);
    }

    #[test]
    fn a_fuzz_input_of_any_length_is_split_into_parts() {
        assert_eq!(split::<3>(b"\x01"), [b"".as_slice(); 3]);
        assert_eq!(split::<2>(b"\xff\xff\xff\xffab"), [&b"ab"[..], b""]);
        assert_eq!(split::<1>(b"ab"), [&b"ab"[..]]);
    }
}
