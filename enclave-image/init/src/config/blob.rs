//! The host's configuration blob, little-endian:
//!
//! | bytes | |
//! |---|---|
//! | 8 | `SGCONF01` |
//! | 4 | length of the whole, at most 4 MiB |
//! | 4 | number of files, 1 to 64 |
//! | each: 1, n, 4, m | length of name, name, length of contents, contents |
//!
//! One blob has one reading: names ascend strictly, the files fill the length, and there are no folders, links,
//! modes or times.

pub const LIMIT: usize = 4 * 1024 * 1024;
const MAGIC: &[u8; 8] = b"SGCONF01";
const HEAD: usize = 16;
const FILES_LIMIT: u32 = 64;
const NAME_LIMIT: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    #[error("the disk does not begin with SGCONF01")]
    NoBlob,

    #[error("it says it has {0} bytes, which is not 17 to {LIMIT}")]
    Length(u32),

    #[error("it ends at byte {0}, in the middle of something")]
    CutShort(usize),

    #[error("it has {0} files, which is not 1 to {FILES_LIMIT}")]
    Count(u32),

    #[error("the name of file {0} is none")]
    Name(u32),

    #[error("the name of file {0} does not come after the one before it")]
    Order(u32),

    #[error("{0} bytes follow the last file")]
    Rest(usize),
}

/// The files, by name, in the order they have to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob<'a> {
    pub files: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Blob<'a> {
    pub fn file(&self, name: &str) -> Option<&'a [u8]> {
        let found = self.files.iter().find(|(there, _)| *there == name);
        found.map(|(_, contents)| *contents)
    }
}

/// How long the blob is that these bytes begin with. They must be all of it, and may be more.
pub fn length(bytes: &[u8]) -> Result<usize, BlobError> {
    if bytes.get(..MAGIC.len()) != Some(MAGIC) {
        return Err(BlobError::NoBlob);
    }
    let said = Reader { bytes, at: 8 }.u32()?;
    let length = said as usize;
    if length <= HEAD || length > LIMIT {
        return Err(BlobError::Length(said));
    }
    if length > bytes.len() {
        return Err(BlobError::CutShort(bytes.len()));
    }
    Ok(length)
}

/// Reads a blob of exactly these bytes.
pub fn parse(bytes: &[u8]) -> Result<Blob<'_>, BlobError> {
    let length = length(bytes)?;
    if length < bytes.len() {
        return Err(BlobError::Rest(bytes.len() - length));
    }
    let mut reader = Reader { bytes, at: 12 };
    let count = reader.u32()?;
    if !(1..=FILES_LIMIT).contains(&count) {
        return Err(BlobError::Count(count));
    }
    let mut files: Vec<(&str, &[u8])> = Vec::new();
    for number in 1..=count {
        let name_length = reader.take(1)?[0].into();
        let name = name(reader.take(name_length)?).ok_or(BlobError::Name(number))?;
        if files.last().is_some_and(|(before, _)| *before >= name) {
            return Err(BlobError::Order(number));
        }
        let contents_length = reader.u32()? as usize;
        files.push((name, reader.take(contents_length)?));
    }
    match bytes.len() - reader.at {
        0 => Ok(Blob { files }),
        rest => Err(BlobError::Rest(rest)),
    }
}

/// `[a-z0-9][a-z0-9._-]*`: no slash, no leading dot, so no other folder.
fn name(bytes: &[u8]) -> Option<&str> {
    let first = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let allowed = |byte: &u8| first(byte) || matches!(byte, b'.' | b'_' | b'-');
    let good =
        bytes.len() <= NAME_LIMIT && bytes.first().is_some_and(first) && bytes.iter().all(allowed);
    // `state.` alone would name the state directory itself.
    let good = good && !bytes.ends_with(b".");
    good.then(|| std::str::from_utf8(bytes).ok()).flatten()
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], BlobError> {
        let cut = BlobError::CutShort(self.bytes.len());
        let end = self.at.checked_add(length).ok_or(cut.clone())?;
        let taken = self.bytes.get(self.at..end).ok_or(cut)?;
        self.at = end;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, BlobError> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(files: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, contents) in files {
            body.push(u8::try_from(name.len()).expect("short"));
            body.extend_from_slice(name);
            body.extend_from_slice(&u32::try_from(contents.len()).expect("short").to_le_bytes());
            body.extend_from_slice(contents);
        }
        let mut blob = MAGIC.to_vec();
        blob.extend_from_slice(
            &u32::try_from(HEAD + body.len())
                .expect("short")
                .to_le_bytes(),
        );
        blob.extend_from_slice(&u32::try_from(files.len()).expect("few").to_le_bytes());
        blob.extend_from_slice(&body);
        blob
    }

    fn good() -> Vec<u8> {
        encode(&[
            (b"network", b"dhcp\n"),
            (b"sealgate.toml", b"[server]\n"),
            (b"state.keys.db", b""),
        ])
    }

    #[test]
    fn a_blob_is_read_as_it_was_written() {
        let bytes = good();
        let blob = parse(&bytes).expect("it is well formed");
        assert_eq!(blob.file("network"), Some(&b"dhcp\n"[..]));
        assert_eq!(blob.file("state.keys.db"), Some(&b""[..]));
        assert_eq!(blob.file("other"), None);
        assert_eq!(blob.files.len(), 3);
    }

    #[test]
    fn bytes_after_a_blob_are_not_part_of_it() {
        let mut disk = good();
        let length_before = disk.len();
        disk.resize(65_536, 0x5a);
        assert_eq!(length(&disk), Ok(length_before));
        assert_eq!(parse(&disk), Err(BlobError::Rest(65_536 - length_before)));
    }

    #[test]
    fn names_that_could_lead_elsewhere_or_have_two_readings_are_refused() {
        for name in [
            &b""[..],
            b".",
            b"..",
            b".hidden",
            b"a/b",
            b"../a",
            b"A",
            b"a b",
            b"a\0",
            b"state.",
            b"\xff",
            &[b'a'; 65],
        ] {
            let blob = encode(&[(name, b"x")]);
            assert_eq!(parse(&blob), Err(BlobError::Name(1)), "{name:?}");
        }
        let twice = encode(&[(b"a", b"1"), (b"a", b"2")]);
        assert_eq!(parse(&twice), Err(BlobError::Order(2)));
        let disordered = encode(&[(b"b", b"1"), (b"a", b"2")]);
        assert_eq!(parse(&disordered), Err(BlobError::Order(2)));
    }

    #[test]
    fn lengths_that_do_not_add_up_are_refused() {
        let cut = good()[..40].to_vec();
        assert_eq!(length(&cut), Err(BlobError::CutShort(40)));
        assert_eq!(parse(b"SGCONF02"), Err(BlobError::NoBlob));
        assert_eq!(parse(b""), Err(BlobError::NoBlob));
        for said in [0u32, 16, 4 * 1024 * 1024 + 1, u32::MAX] {
            let mut blob = good();
            blob[8..12].copy_from_slice(&said.to_le_bytes());
            assert_eq!(length(&blob), Err(BlobError::Length(said)));
        }
        for count in [0u32, 65, u32::MAX] {
            let mut blob = good();
            blob[12..16].copy_from_slice(&count.to_le_bytes());
            assert_eq!(parse(&blob), Err(BlobError::Count(count)));
        }
        let mut fewer = good();
        fewer[12] = 2;
        assert!(matches!(parse(&fewer), Err(BlobError::Rest(_))));
        let mut more = good();
        more[12] = 4;
        assert!(matches!(parse(&more), Err(BlobError::CutShort(_))));
        let mut long = good();
        long[24..28].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(parse(&long), Err(BlobError::CutShort(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), length in 0u32..200) {
            let _ = parse(&bytes);
            if bytes.len() >= 16 {
                bytes[..8].copy_from_slice(MAGIC);
                bytes[8..12].copy_from_slice(&length.to_le_bytes());
                bytes[12..16].copy_from_slice(&[length as u8 % 5, 0, 0, 0]);
                let _ = parse(&bytes);
            }
        }

        #[test]
        fn a_parsed_blob_is_encoded_to_the_same_bytes(
            files in proptest::collection::btree_map("[a-z0-9][a-z0-9._-]{0,20}[a-z]", proptest::collection::vec(any::<u8>(), 0..50), 1..10)
        ) {
            let listed: Vec<(&[u8], &[u8])> = files.iter().map(|(n, c)| (n.as_bytes(), c.as_slice())).collect();
            let bytes = encode(&listed);
            let blob = parse(&bytes).expect("it is well formed");
            let again: Vec<(&[u8], &[u8])> = blob.files.iter().map(|(n, c)| (n.as_bytes(), *c)).collect();
            prop_assert_eq!(encode(&again), bytes);
        }
    }
}
