//! The stored form of a batch's receipts: a byte with the version of the form, then 32 bytes for each digest, in order.

use attest_core::Sha256Digest;

const VERSION: u8 = 1;

pub(super) fn to_blob(digests: &[Sha256Digest]) -> Vec<u8> {
    let mut blob = Vec::with_capacity(1 + 32 * digests.len());
    blob.push(VERSION);
    for digest in digests {
        blob.extend_from_slice(digest.as_bytes());
    }
    blob
}

/// `None` if the blob has another form.
pub(super) fn from_blob(blob: &[u8]) -> Option<impl ExactSizeIterator<Item = Sha256Digest>> {
    let (VERSION, bytes) = blob.split_first().map(|(version, rest)| (*version, rest))? else {
        return None;
    };
    let (digests, rest) = bytes.as_chunks::<32>();
    let whole = rest.is_empty() && !digests.is_empty();
    whole.then(|| digests.iter().copied().map(Sha256Digest::from_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_form_that_it_writes_and_no_other() {
        let digests = [Sha256Digest::hash(b"a"), Sha256Digest::hash(b"b")];
        let blob = to_blob(&digests);
        let read = from_blob(&blob).expect("its own form");
        assert_eq!(read.collect::<Vec<_>>(), digests);
        let mut other = blob.clone();
        other[0] = 2;
        for refused in [&other[..], &blob[..64], &blob[..1], &[]] {
            assert!(from_blob(refused).is_none(), "{refused:?}");
        }
    }
}
