//! Known answers from `veritysetup format --no-superblock --salt=-` (cryptsetup 2.6.1).

use ring::digest::{SHA256, digest};

use enclave_image::debian::archive::hex;
use enclave_image::disk::verity::{BLOCK, Hasher, VerityError};

/// Blocks of data, root hash, SHA-256 of the tree.
const KNOWN: [(usize, &str, &str); 5] = [
    (
        1,
        "1e463d79b914f7f0e73fc43364ec143ab6a337733b90a707c58ca99dfa275b96",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ),
    (
        2,
        "6edd440fd12ce265fe29837c9a80ce4bc7c454992877f3728ffe7fa7b2ce2176",
        "6edd440fd12ce265fe29837c9a80ce4bc7c454992877f3728ffe7fa7b2ce2176",
    ),
    (
        128,
        "64d8cf4ab9736f9fc38588792b8de947fc226d2268ccf78f759fb656659aa35f",
        "64d8cf4ab9736f9fc38588792b8de947fc226d2268ccf78f759fb656659aa35f",
    ),
    (
        129,
        "a2f6bee380b8e3017c2ed6fd3becd96a3940e74178b1d63b6eb6c86e192eb0e6",
        "a72ce4410be192e62ee98a37f04d1cfcb5f08e02802d6cba69d04e145160a835",
    ),
    (
        300,
        "896840504fb5f05e0243355391f35dbf875908816836975ecc5bc2e95d3b408c",
        "1aea66ed7f5ece7a7f296877d967fbf1b88eb9ae5d2314c7d28bc7d329f577ed",
    ),
];

fn data(blocks: usize) -> Vec<u8> {
    let block = |index: usize| (0..BLOCK).map(move |at| (index * 7 + at % 16) as u8);
    (0..blocks).flat_map(block).collect()
}

#[test]
fn roots_and_trees_are_those_of_veritysetup() {
    for (blocks, root, tree) in KNOWN {
        let mut hasher = Hasher::default();
        hasher.update(&data(blocks));
        let made = hasher.finish().expect("whole blocks");
        assert_eq!(made.blocks, blocks as u64);
        assert_eq!(hex(&made.root), root, "{blocks} blocks");
        assert_eq!(
            hex(digest(&SHA256, &made.bytes).as_ref()),
            tree,
            "{blocks} blocks"
        );
    }
}

#[test]
fn pieces_of_any_length_give_the_same_tree() {
    let data = data(130);
    let mut whole = Hasher::default();
    whole.update(&data);
    let whole = whole.finish().expect("whole blocks");
    for len in [1, 100, 4095, 4096, 4097, 100_000] {
        let mut pieces = Hasher::default();
        data.chunks(len).for_each(|piece| pieces.update(piece));
        assert_eq!(pieces.finish().expect("whole blocks"), whole);
    }
}

#[test]
fn a_flipped_bit_gives_another_root() {
    let mut data = data(3);
    let mut before = Hasher::default();
    before.update(&data);
    data[5000] ^= 1;
    let mut after = Hasher::default();
    after.update(&data);
    assert_ne!(
        before.finish().map(|t| t.root),
        after.finish().map(|t| t.root)
    );
}

#[test]
fn a_length_that_is_no_multiple_of_the_block_size_has_no_hash_tree() {
    assert_eq!(Hasher::default().finish(), Err(VerityError::Length(0)));
    let mut hasher = Hasher::default();
    hasher.update(&[0; 5000]);
    assert_eq!(hasher.finish(), Err(VerityError::Length(5000)));
}
