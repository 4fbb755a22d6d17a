//! The keys that records are sealed to: a native recipient of the `age` format, an X25519 public key in Bech32
//! (`age1…`; age-encryption.org/v1, BIP 173).

use std::fmt;

const PREFIX: &str = "age";
const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const CHECKSUM: usize = 6;
/// 32 bytes in groups of five bits.
const GROUPS: usize = 52;

/// An X25519 public key and the text it was read from. What is sealed to it, its holder alone can open.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    key: [u8; 32],
    text: String,
}

/// Why a text is not a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecipientError {
    /// An identity is the secret half and belongs to the tenant alone.
    #[error("is an identity, which is secret; what belongs here is the recipient, age1…")]
    Identity,
    /// Not `age1` and lower-case Bech32.
    #[error("is not an age recipient, age1…")]
    Shape,
    /// A typing error.
    #[error("has a wrong checksum")]
    Checksum,
    /// In a published policy of format 2, something else than a commitment.
    #[error("is not a commitment, sha256:…")]
    NotACommitment,
    /// A point with which every shared secret would be zero.
    #[error("is a point of low order")]
    LowOrder,
}

impl Recipient {
    /// Reads the lower-case spelling.
    pub fn parse(text: &str) -> Result<Self, RecipientError> {
        if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
            return Err(RecipientError::Identity);
        }
        let data = text
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.strip_prefix('1'))
            .filter(|data| data.len() == GROUPS + CHECKSUM)
            .ok_or(RecipientError::Shape)?;
        let groups = data.bytes().map(|byte| {
            let place = ALPHABET.iter().position(|letter| *letter == byte);
            place.and_then(|place| u8::try_from(place).ok())
        });
        let groups: Vec<u8> = groups.collect::<Option<_>>().ok_or(RecipientError::Shape)?;
        if polymod(&groups) != 1 {
            return Err(RecipientError::Checksum);
        }
        let payload = groups.get(..GROUPS).ok_or(RecipientError::Shape)?;
        let key = bytes(payload).ok_or(RecipientError::Shape)?;
        if LOW_ORDER.contains(&key) {
            return Err(RecipientError::LowOrder);
        }
        Ok(Self {
            key,
            text: text.to_owned(),
        })
    }

    /// The public key.
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// `age1…`
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The checksum's remainder over prefix and data; 1 for a good one (BIP 173).
fn polymod(groups: &[u8]) -> u32 {
    const GENERATOR: [u32; 5] = [
        0x3b6a_57b2,
        0x2650_8e6d,
        0x1ea1_19fa,
        0x3d42_33dd,
        0x2a14_62b3,
    ];
    let high = PREFIX.bytes().map(|byte| byte >> 5);
    let low = PREFIX.bytes().map(|byte| byte & 31);
    let all = high.chain([0]).chain(low).chain(groups.iter().copied());
    all.fold(1, |check: u32, group| {
        let top = check >> 25;
        let shifted = ((check & 0x01ff_ffff) << 5) ^ u32::from(group);
        GENERATOR
            .iter()
            .enumerate()
            .filter(|(bit, _)| (top >> bit) & 1 == 1)
            .fold(shifted, |check, (_, generator)| check ^ generator)
    })
}

/// Groups of five bits as bytes; the four bits left over must be zero.
fn bytes(groups: &[u8]) -> Option<[u8; 32]> {
    let mut out = Vec::with_capacity(32);
    let (mut held, mut bits) = (0u32, 0);
    for group in groups {
        held = (held << 5) | u32::from(*group);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    if held != 0 {
        return None;
    }
    out.try_into().ok()
}

/// Encodings of points of order 1, 2, 4 and 8 on the curve and its twist that lie below the field's prime. The
/// agreement refuses them, too; here the document says so.
const LOW_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    one(),
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
        0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f,
        0x11, 0x57,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
];

const fn one() -> [u8; 32] {
    let mut point = [0; 32];
    point[0] = 1;
    point
}
