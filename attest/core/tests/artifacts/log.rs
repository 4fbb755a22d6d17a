//! The audit log against the second implementation, and against the published vectors it carries: the tree of
//! Certificate Transparency's tests, the note of `golang.org/x/mod/sumdb/note`.

use proptest::prelude::*;
use serde::Deserialize;

use crate::error_names;
use crate::second_script::{Refused, each_is_refused, vectors};
use attest_core::log::note::{self, Note, NoteError};
use attest_core::log::tile::{Kind, Tile, TileError};
use attest_core::log::verify::{self, ProofError};
use attest_core::log::{
    Checkpoint, Commitment, Entry, EntryError, EpochProof, LogProofError, Origin, ReceiptProof,
    Replay, SignedHead, TreeHash, prove, tree,
};
use attest_core::{PROFILE_ID, Sha256Digest, SigningKey, VerifyingKey, parse_hex, parse_hex_vec};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogVectors {
    profile: String,
    tree: TreeVectors,
    published_note: PublishedNote,
    head: Heads,
    entries: Entries,
    proofs: Proofs,
    paths: Paths,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TreeVectors {
    leaves: Vec<String>,
    published_roots: Vec<String>,
    roots: Vec<String>,
    inclusion: Vec<Inclusion>,
    consistency: Vec<Consistency>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Inclusion {
    index: u64,
    size: u64,
    path: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Consistency {
    old: u64,
    new: u64,
    path: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublishedNote {
    name: String,
    public_key: String,
    key_id: String,
    text: String,
    line: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Heads {
    origin: String,
    public_key: String,
    size: u64,
    root: String,
    note: String,
    accepted: Vec<Named>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entries {
    accepted: Vec<String>,
    refused: Vec<Refused>,
    commitment: Committed,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Committed {
    salt: String,
    subject: String,
    digest: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proofs {
    log: Vec<String>,
    digests: Vec<String>,
    receipt: String,
    receipt_place: u64,
    epoch: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Paths {
    accepted: Vec<PathOf>,
    refused: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PathOf {
    level: String,
    index: u64,
    width: u16,
    path: String,
}

fn known() -> LogVectors {
    let vectors: LogVectors = vectors("log.json");
    assert_eq!(vectors.profile, PROFILE_ID);
    vectors
}

fn hash(hex: &str) -> TreeHash {
    TreeHash::parse(hex).expect("a hash")
}

fn hashes(hexes: &[String]) -> Vec<TreeHash> {
    hexes.iter().map(|hex| hash(hex)).collect()
}

fn key(hex: &str) -> VerifyingKey {
    VerifyingKey::from_bytes(parse_hex(hex).expect("a key"))
}

fn leaves(vectors: &TreeVectors) -> Vec<TreeHash> {
    let contents = vectors.leaves.iter();
    contents
        .map(|hex| tree::leaf(&parse_hex_vec(hex, 100).expect("a leaf")))
        .collect()
}

#[test]
fn roots_are_those_of_certificate_transparency_and_of_the_second_implementation() {
    let vectors = known().tree;
    let leaves = leaves(&vectors);
    assert_eq!(tree::root(&[]), tree::empty_root());
    for (size, root) in vectors.roots.iter().enumerate() {
        assert_eq!(tree::root(&leaves[..size]), hash(root), "{size} leaves");
    }
    for (size, root) in (1..).zip(&vectors.published_roots) {
        assert_eq!(tree::root(&leaves[..size]), hash(root), "{size} leaves");
    }
}

/// The hashes that `prove` names, looked up among the leaves.
fn looked_up(ranges: Vec<std::ops::Range<u64>>, leaves: &[TreeHash]) -> Vec<TreeHash> {
    let over =
        |range: std::ops::Range<u64>| tree::root(&leaves[range.start as usize..range.end as usize]);
    ranges.into_iter().map(over).collect()
}

#[test]
fn proofs_of_inclusion_are_the_second_implementations_and_hold_for_their_leaf_alone() {
    let vectors = known().tree;
    let leaves = leaves(&vectors);
    for case in &vectors.inclusion {
        let (index, size) = (case.index, case.size);
        let proof = looked_up(prove::inclusion(index, size).expect("a leaf"), &leaves);
        assert_eq!(proof, hashes(&case.path), "{index} of {size}");
        let root = hash(&vectors.roots[size as usize]);
        let leaf = leaves[index as usize];
        assert_eq!(verify::inclusion(&leaf, index, size, &proof, &root), Ok(()));
        let other = tree::leaf(b"other");
        let wrong = verify::inclusion(&other, index, size, &proof, &root);
        assert_eq!(wrong, Err(ProofError::Root), "{index} of {size}");
        for other_index in (0..size).filter(|other| *other != index) {
            let wrong = verify::inclusion(&leaf, other_index, size, &proof, &root);
            assert!(wrong.is_err(), "{index} at {other_index} of {size}");
        }
        let mut longer = proof.clone();
        longer.push(root);
        let length = ProofError::Length {
            found: longer.len(),
        };
        let wrong = verify::inclusion(&leaf, index, size, &longer, &root);
        assert_eq!(wrong, Err(length));
        let beyond = verify::inclusion(&leaf, size, size, &proof, &root);
        assert_eq!(beyond, Err(ProofError::Beyond { index: size, size }));
    }
}

#[test]
fn proofs_of_consistency_are_the_second_implementations_and_show_forks_and_shrinking() {
    let vectors = known().tree;
    let leaves = leaves(&vectors);
    for case in &vectors.consistency {
        let (old, new) = (case.old, case.new);
        let ranges = prove::consistency(old, new).expect("not the larger one");
        let proof = looked_up(ranges, &leaves);
        assert_eq!(proof, hashes(&case.path), "{old} to {new}");
        let root = |size: u64| hash(&vectors.roots[size as usize]);
        let (before, after, forged) = (root(old), root(new), tree::leaf(b"forged"));
        let check = |old_root, new_root, proof: &[TreeHash]| {
            verify::consistency((old, old_root), (new, new_root), proof)
        };
        assert_eq!(check(&before, &after, &proof), Ok(()));
        if old == new {
            let fork = Err(ProofError::Fork { size: old });
            assert_eq!(check(&forged, &after, &proof), fork);
            continue;
        }
        assert!(check(&forged, &after, &proof).is_err(), "{old} to {new}");
        assert!(check(&before, &forged, &proof).is_err(), "{old} to {new}");
        for cut in 0..proof.len() {
            assert!(
                check(&before, &after, &proof[..cut]).is_err(),
                "{old} to {new}"
            );
        }
        let shrunk = verify::consistency((new, &after), (old, &before), &proof);
        assert_eq!(shrunk, Err(ProofError::Shrunk { old: new, new: old }));
    }
}

#[test]
fn the_published_note_verifies_and_no_edit_of_it_does() {
    let published = known().published_note;
    let text = format!("{}\n{}", published.text, published.line);
    let public = key(&published.public_key);
    let id = note::key_id(&published.name, public.as_bytes());
    assert_eq!(format!("{id:08x}"), published.key_id);
    let note = Note::parse(text.as_bytes()).expect("a note");
    assert_eq!(note.text(), published.text);
    assert_eq!(note.verify(&published.name, &public), Ok(()));
    let edited = text.replace("cryptography", "Cryptography");
    let edited = Note::parse(edited.as_bytes()).expect("a note");
    let wrong = edited.verify(&published.name, &public);
    assert_eq!(wrong, Err(NoteError::Signature));
}

fn head_error(text: &str, key: &VerifyingKey) -> Option<&'static str> {
    let verified = SignedHead::parse(text.as_bytes()).and_then(|head| head.verify(key));
    verified.err().map(|error| error_names::head(&error))
}

#[test]
fn a_head_is_the_second_implementations_note_to_the_byte() {
    let vectors = known().head;
    let checkpoint = Checkpoint {
        origin: Origin::parse(&vectors.origin).expect("an origin"),
        size: vectors.size,
        root: hash(&vectors.root),
    };
    let signing_key = SigningKey::from_seed("receipt-1", &[0x11; 32]).expect("a key");
    assert_eq!(checkpoint.sign(&signing_key).note(), vectors.note);
    let key = key(&vectors.public_key);
    let head = SignedHead::parse(vectors.note.as_bytes()).expect("a head");
    assert_eq!(head.verify(&key), Ok(checkpoint));
    for case in vectors.accepted {
        let head = SignedHead::parse(case.text.as_bytes()).expect(&case.name);
        assert_eq!(head.verify(&key), Ok(checkpoint), "{}", case.name);
    }
    each_is_refused(&vectors.refused, |text| head_error(text, &key));
}

#[test]
fn entries_have_one_spelling_and_no_type_beyond_the_closed_set() {
    let vectors = known().entries;
    for text in &vectors.accepted {
        let entry = Entry::parse(text.as_bytes()).expect(text);
        assert_eq!(entry.to_bytes(), text.as_bytes());
    }
    each_is_refused(&vectors.refused, |text| {
        let error = Entry::parse(text.as_bytes()).err()?;
        Some(match &error {
            EntryError::Document(error) => error_names::document(error),
            EntryError::NotCanonical => "entry.not_canonical",
        })
    });
    let known = vectors.commitment;
    let salt = parse_hex(&known.salt).expect("a salt");
    let commitment = Commitment::to(&known.subject, &salt);
    assert_eq!(commitment.digest().to_string(), known.digest);
    assert!(!commitment.opens_to("key 3f9a of tenant acm", &salt));
}

#[test]
fn a_receipts_proof_holds_for_that_receipt_alone() {
    let vectors = known();
    let key = key(&vectors.head.public_key);
    let text = vectors.proofs.receipt.as_bytes();
    let proof = ReceiptProof::parse(text).expect("a proof");
    assert_eq!(proof.to_text().as_bytes(), text);
    let head = proof.verify_head(&key).expect("the epoch's head");
    assert_eq!(head.size, 4);
    for (place, digest) in (0..).zip(&vectors.proofs.digests) {
        let digest = Sha256Digest::parse(digest).expect("a digest");
        let included = proof.verify_inclusion(&digest);
        assert_eq!(
            included.is_ok(),
            place == vectors.proofs.receipt_place,
            "{place}"
        );
    }
    let epoch = vectors.proofs.epoch.as_bytes();
    let other = ReceiptProof::parse(epoch).expect_err("a proof about an epoch");
    assert!(matches!(other, LogProofError::Text(_)));
}

#[test]
fn an_epochs_proof_holds_for_its_own_keyset_contract_and_key() {
    let vectors = known();
    let key = key(&vectors.head.public_key);
    let proof = EpochProof::parse(vectors.proofs.epoch.as_bytes()).expect("a proof");
    assert!(proof.verify_head(&key).is_ok());
    let entry = Entry::parse(vectors.proofs.log[1].as_bytes()).expect("an entry");
    let attest_core::log::Fact::EpochBegan(start) = entry.fact else {
        panic!("another entry");
    };
    let epoch = proof.verify_epoch(start.keyset, Some((start.config, start.retention)), &key);
    assert_eq!(epoch, Ok(&start));
    let other = Sha256Digest::hash(b"other");
    let stranger = VerifyingKey::from_bytes([7; 32]);
    for (keyset, config, retention, key) in [
        (other, start.config, start.retention, key),
        (start.keyset, other, start.retention, key),
        (start.keyset, start.config, other, key),
        (start.keyset, start.config, start.retention, stranger),
    ] {
        let epoch = proof.verify_epoch(keyset, Some((config, retention)), &key);
        assert!(matches!(epoch, Err(LogProofError::OtherEntry(_))));
    }
    let receipt = EpochProof::parse(vectors.proofs.receipt.as_bytes());
    assert!(receipt.is_err());
}

#[test]
fn a_replay_takes_the_log_and_refuses_what_makes_no_sense() {
    let vectors = known();
    let log = &vectors.proofs.log;
    let replayed = |order: &[usize]| {
        let mut replay = Replay::default();
        for place in order {
            replay.push(log[*place].as_bytes())?;
        }
        Ok::<_, attest_core::log::ReplayError>(replay)
    };
    let whole = replayed(&[0, 1, 2, 3]).expect("the log");
    let proof = EpochProof::parse(vectors.proofs.epoch.as_bytes()).expect("a proof");
    assert_eq!(whole.check_content(proof.claimed_head()), Ok(()));
    assert!(whole.check_signer(proof.head()).is_ok());
    for wrong in [&[1, 0][..], &[0, 0], &[0, 1, 1], &[2]] {
        let error = replayed(wrong).expect_err("no log");
        let index = wrong.len() as u64 - 1;
        let at = matches!(error, attest_core::log::ReplayError::Order { index: i, .. } if i == index || wrong == [1, 0]);
        assert!(at, "{wrong:?}: {error}");
    }
    let reordered = replayed(&[0, 1, 3, 2]).expect("each can stand there");
    assert!(matches!(
        reordered.check_content(proof.claimed_head()),
        Err(attest_core::log::ReplayError::Root { .. })
    ));
}

#[test]
fn paths_of_tiles_have_one_spelling() {
    let vectors = known().paths;
    for case in vectors.accepted {
        let kind = match case.level.as_str() {
            "entries" => Kind::Entries,
            level => Kind::Hashes(level.parse().expect("a level")),
        };
        let tile = Tile {
            kind,
            index: case.index,
            width: case.width,
        };
        assert_eq!(tile.path(), case.path);
        assert_eq!(Tile::parse(&case.path), Ok(tile));
    }
    for path in vectors.refused {
        assert_eq!(Tile::parse(&path), Err(TileError::Path), "{path}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_a_parser_of_the_log(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Entry::parse(&bytes);
        let _ = SignedHead::parse(&bytes);
        let _ = ReceiptProof::parse(&bytes);
        let _ = EpochProof::parse(&bytes);
        let _ = Tile::parse(&String::from_utf8_lossy(&bytes));
        let tile = Tile { kind: Kind::Entries, index: 0, width: 3 };
        let _ = tile.entries(&bytes);
    }

    #[test]
    fn proofs_between_sizes_of_any_magnitude_have_an_end(old in any::<u64>(), new in any::<u64>()) {
        let proof = prove::consistency(old, new);
        prop_assert_eq!(proof.is_some(), old <= new);
        let hashes = vec![tree::empty_root(); proof.map_or(0, |proof| proof.len())];
        let root = tree::leaf(b"");
        prop_assert!(old == new || old == 0 || verify::consistency((old, &root), (new, &root), &hashes).is_err());
        prop_assert_eq!(prove::inclusion(old, new).is_some(), old < new);
    }
}
