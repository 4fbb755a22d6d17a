//! `log consistency` and `log receipt`.

use std::path::Path;

use attest_core::log::{Entry, ReceiptProof, SignedHead, prove, tree};
use attest_core::{Event, Receipt, ReceiptBody, Sha256Digest};
use testkit::scratch::ScratchDir;

use crate::made::{AT, BATCH, Made, key};
use crate::run::{log, refused};

fn put(directory: &Path, name: &str, text: &str) {
    std::fs::write(directory.join(name), text).expect("a file");
}

fn proof_between(made: &Made, old: u64, new: u64) -> String {
    let leaves = made.leaves();
    let ranges = prove::consistency(old, new).expect("not the larger one");
    let hashes = ranges.into_iter().map(|range| {
        let range = range.start as usize..range.end as usize;
        tree::root(&leaves[range]).to_string()
    });
    let proof: Vec<_> = hashes.collect();
    serde_json::json!({ "old": old, "new": new, "proof": proof }).to_string()
}

#[test]
fn a_later_head_that_continues_an_earlier_one_is_accepted() {
    let dir = ScratchDir::new("log-consistent").expect("a directory");
    let made = Made::new(40);
    for old in [1, 4, 16, 25, 39] {
        put(dir.path(), "old", made.head_of(old).note());
        put(dir.path(), "new", made.head().note());
        put(dir.path(), "proof", &proof_between(&made, old as u64, 40));
        let said = log(
            dir.path(),
            &["consistency", "old", "new", "--proof", "proof"],
        );
        assert_eq!((said.code, said.failed()), (0, vec![]), "{old}");
        let said = log(dir.path(), &["consistency", "old", "new"]);
        assert_eq!((said.code, said.missing()), (10, vec!["log.consistency"]));
    }
    let said = log(dir.path(), &["consistency", "new", "new"]);
    assert_eq!(said.code, 0, "one head continues itself");
}

#[test]
fn heads_of_two_branches_of_a_shrunken_log_and_of_another_log_are_refused() {
    let dir = ScratchDir::new("log-inconsistent").expect("a directory");
    let trunk = Made::new(20);
    let (one, other) = (trunk.branch(20, 2, 2, 5), trunk.branch(20, 3, 3, 9));
    put(dir.path(), "one", one.head().note());
    put(dir.path(), "other", other.head().note());
    put(dir.path(), "same-size", other.head_of(26).note());
    put(dir.path(), "proof", &proof_between(&other, 26, 30));
    let said = log(
        dir.path(),
        &["consistency", "one", "other", "--proof", "proof"],
    );
    assert_eq!((said.code, said.failed()), (10, vec!["log.consistency"]));
    let said = log(dir.path(), &["consistency", "one", "same-size"]);
    assert_eq!((said.code, said.failed()), (10, vec!["log.consistency"]));
    let said = log(dir.path(), &["consistency", "other", "one"]);
    assert_eq!((said.code, said.failed()), (10, vec!["log.consistency"]));
    let mut restarted = trunk.clone();
    restarted.origin = attest_core::log::Origin::from_bytes([0xb8; 16]);
    put(dir.path(), "restarted", restarted.head().note());
    put(dir.path(), "trunk", trunk.head().note());
    let said = log(dir.path(), &["consistency", "trunk", "restarted"]);
    assert_eq!((said.code, said.failed()), (10, vec!["log.origin"]));
    put(dir.path(), "proof", &proof_between(&other, 25, 30));
    let (code, words) = refused(
        dir.path(),
        &["consistency", "one", "other", "--proof", "proof"],
    );
    assert_eq!(code, 30, "{words}");
}

fn receipt(id: &str) -> Receipt {
    let body = |text: &[u8]| Sha256Digest::hash(text);
    ReceiptBody {
        receipt_id: id.to_owned(),
        chat_id: None,
        model: None,
        keyset_digest: body(b"keyset"),
        endpoint: "/v1/chat/completions".to_owned(),
        method: "POST".to_owned(),
        served_at: AT,
        events: vec![
            Event::RequestReceived {
                body_hash: body(b"request"),
            },
            Event::ResponseReturned {
                body_hash: body(b"response"),
            },
        ],
    }
    .sign(&key(&[1; 32]))
}

/// A log whose batch holds this receipt, and the proof of it against a head.
fn proven(receipt: &Receipt, head: impl FnOnce(&Made) -> SignedHead) -> (Made, ReceiptProof) {
    let mut made = Made::new(20);
    made.receipts[3] = receipt.digest();
    let root = attest_core::log::receipts_root(&made.receipts);
    let entry = Entry {
        at: AT,
        fact: attest_core::log::Fact::Receipts { root },
    };
    made.entries[BATCH] = entry.to_bytes();
    let leaves = made.leaves();
    let ranges = prove::inclusion(BATCH as u64, 20).expect("a leaf");
    let over =
        |range: std::ops::Range<u64>| tree::root(&leaves[range.start as usize..range.end as usize]);
    let hashes = ranges.into_iter().map(over).collect();
    let head = head(&made);
    let proof = ReceiptProof::new(&entry, &made.receipts, 3, BATCH as u64, hashes, head);
    (made, proof.expect("a proof"))
}

#[test]
fn a_receipt_is_in_the_log_of_a_head_that_was_kept_and_another_is_not() {
    let dir = ScratchDir::new("log-receipt").expect("a directory");
    let (mine, other) = (receipt("rcpt-1"), receipt("rcpt-2"));
    let (made, proof) = proven(&mine, Made::head);
    put(dir.path(), "mine.json", &mine.to_json());
    put(dir.path(), "other.json", &other.to_json());
    put(dir.path(), "proof", &proof.to_text());
    put(dir.path(), "kept", made.head().note());
    put(dir.path(), "earlier", made.head_of(19).note());
    let ask = |receipt: &str, head: &str| {
        log(
            dir.path(),
            &["receipt", receipt, "--proof", "proof", "--head", head],
        )
    };
    let said = ask("mine.json", "kept");
    assert_eq!((said.code, said.failed()), (0, vec![]));
    assert!(said.passed().contains(&"log.inclusion"));
    let said = ask("other.json", "kept");
    assert_eq!((said.code, said.failed()), (10, vec!["log.inclusion"]));
    let said = ask("mine.json", "earlier");
    assert_eq!((said.code, said.missing()), (10, vec!["log.signer"]));
}

#[test]
fn rejects_a_proof_for_a_head_of_another_log() {
    let dir = ScratchDir::new("log-receipt-forged").expect("a directory");
    let mine = receipt("rcpt-1");
    let (made, proof) = proven(&mine, |made| {
        let mut forged = made.clone();
        forged.origin = attest_core::log::Origin::from_bytes([0xb8; 16]);
        forged.head()
    });
    put(dir.path(), "mine.json", &mine.to_json());
    put(dir.path(), "proof", &proof.to_text());
    put(dir.path(), "kept", made.head().note());
    let said = log(
        dir.path(),
        &["receipt", "mine.json", "--proof", "proof", "--head", "kept"],
    );
    assert_eq!((said.code, said.failed()), (10, vec!["log.signer"]));
    put(dir.path(), "proof", "hello\n");
    let (code, words) = refused(
        dir.path(),
        &["receipt", "mine.json", "--proof", "proof", "--head", "kept"],
    );
    assert_eq!((code, words.lines().count()), (30, 1), "{words}");
}
