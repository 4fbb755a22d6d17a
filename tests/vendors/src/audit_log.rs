//! The document `log` of a report, as a service makes it whose audit log has just begun.

use attest_core::log::{
    Checkpoint, Entry, EpochProof, EpochStart, Fact, Frontier, LogProof, Origin, tree,
};
use attest_core::{SigningKey, UnixTime};

/// Of a log of two entries at `at`, of which the second is the beginning of the epoch; `signer` signs its head.
pub fn epoch_document(
    origin: Origin,
    at: UnixTime,
    start: EpochStart,
    signer: &SigningKey,
) -> String {
    let entry = |fact| Entry { at, fact }.to_bytes();
    let first = entry(Fact::Began { origin });
    let began = entry(Fact::EpochBegan(start));
    let mut frontier = Frontier::default();
    for bytes in [&first, &began] {
        frontier.push(tree::leaf(bytes), |_, _| {});
    }
    let head = Checkpoint {
        origin,
        size: frontier.size(),
        root: frontier.root(),
    };
    let proof = LogProof {
        extra: began,
        index: 1,
        hashes: vec![tree::leaf(&first)],
        head: head.sign(signer),
    };
    EpochProof::new(proof).expect("about an epoch").to_text()
}
