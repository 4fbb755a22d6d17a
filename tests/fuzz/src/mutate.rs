//! Changing seeds: the same changes for the same number, on every machine.

/// Numbers that look random and are not (xorshift64*, Vigna 2016), after those that were given.
#[derive(Clone, Debug)]
pub struct Numbers {
    state: u64,
    /// Two bytes a number, the first ones at the end.
    given: Vec<[u8; 2]>,
}

impl Numbers {
    pub fn from(seed: u64) -> Self {
        Self {
            state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            given: Vec::new(),
        }
    }

    /// The numbers are the caller's as long as there are any, so that a small change of `bytes` changes
    /// one choice and leaves the others as they are.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let (pairs, _) = bytes.as_chunks::<2>();
        let fold = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3);
        Self {
            given: pairs.iter().rev().copied().collect(),
            ..Self::from(bytes.iter().fold(0xCBF2_9CE4_8422_2325, fold))
        }
    }

    fn next(&mut self) -> u64 {
        if let Some(given) = self.given.pop() {
            return u64::from(u16::from_le_bytes(given)) << 16;
        }
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Below `end`; 0 if there is nothing below it.
    pub fn below(&mut self, end: usize) -> usize {
        match u64::try_from(end) {
            Ok(end) if end > 0 => usize::try_from((self.next() >> 16) % end).unwrap_or(0),
            _ => 0,
        }
    }
}

/// Numbers at which lengths and counts go wrong.
const EDGES: [u64; 12] = [
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0x7FFF,
    0xFFFF,
    0x7FFF_FFFF,
    0xFFFF_FFFF,
    u64::MAX,
];
/// Pieces of the grammars that the parsers read.
const WORDS: [&[u8]; 24] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\u0000",
    b"\\ud800",
    b",",
    b":",
    b"null",
    b"1e999",
    b"-0",
    b"<!DOCTYPE a [<!ENTITY b \"c\">]>",
    b"<!--",
    b"-->",
    b"&amp;",
    b"&#x0;",
    b"]]>",
    b"-----BEGIN CERTIFICATE-----",
    b"-----END CERTIFICATE-----",
    b"\x30\x84\xff\xff\xff\xff",
    b"\x30\x80",
    b"\xff\xff\xff\xff",
    b"\r\n",
];
const MAX_LEN: usize = 256 << 10;

/// One of `seeds`, changed in one to four ways.
pub fn mutant(seeds: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = seeds
        .get(numbers.below(seeds.len()))
        .cloned()
        .unwrap_or_default();
    for _ in 0..=numbers.below(4) {
        change(&mut bytes, seeds, numbers);
    }
    bytes.truncate(MAX_LEN);
    bytes
}

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], numbers: &mut Numbers) {
    let at = numbers.below(bytes.len());
    match numbers.below(10) {
        0 | 1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << numbers.below(8);
            }
        }
        2 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = numbers.next() as u8;
            }
        }
        3 => bytes.truncate(at),
        4 => {
            let end = (at + 1 + numbers.below(64)).min(bytes.len());
            bytes.drain(at.min(end)..end);
        }
        5 => {
            let end = (at + 1 + numbers.below(512)).min(bytes.len());
            let copy = bytes[at.min(end)..end].to_vec();
            insert(bytes, at, &copy);
        }
        6 | 7 => edge(bytes, at, numbers),
        8 => insert(bytes, at, WORDS[numbers.below(WORDS.len())]),
        _ => splice(bytes, at, seeds, numbers),
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, what: &[u8]) {
    let at = at.min(bytes.len());
    bytes.splice(at..at, what.iter().copied());
}

/// A number of one, two, four or eight bytes, in either order, over what is there.
fn edge(bytes: &mut [u8], at: usize, numbers: &mut Numbers) {
    let number = EDGES[numbers.below(EDGES.len())];
    let width = 1 << numbers.below(4);
    let little = number.to_le_bytes();
    let mut written = little[..width].to_vec();
    if numbers.below(2) == 0 {
        written.reverse();
    }
    for (to, from) in bytes.iter_mut().skip(at).zip(written) {
        *to = from;
    }
}

/// The end of another seed after the beginning of this one.
fn splice(bytes: &mut Vec<u8>, at: usize, seeds: &[Vec<u8>], numbers: &mut Numbers) {
    let other = &seeds[numbers.below(seeds.len())];
    let from = numbers.below(other.len());
    bytes.truncate(at);
    bytes.extend(other.iter().skip(from));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_makes_the_same_mutants() {
        let seeds = vec![b"one seed".to_vec(), b"another".to_vec()];
        let all = |number| -> Vec<Vec<u8>> {
            let mut numbers = Numbers::from(number);
            (0..64).map(|_| mutant(&seeds, &mut numbers)).collect()
        };
        assert_eq!(all(7), all(7));
        assert_ne!(all(7), all(8));
    }

    #[test]
    fn mutants_differ_from_their_seeds_and_from_each_other() {
        let seeds = vec![(0..=255).collect::<Vec<u8>>()];
        let mut numbers = Numbers::from(1);
        let mutants: std::collections::BTreeSet<_> =
            (0..200).map(|_| mutant(&seeds, &mut numbers)).collect();
        assert!(mutants.len() > 150, "{}", mutants.len());
    }

    #[test]
    fn mutates_an_empty_input() {
        let mut numbers = Numbers::from(1);
        for _ in 0..500 {
            mutant(&[vec![]], &mut numbers);
        }
    }
}
