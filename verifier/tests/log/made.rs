//! Logs made by hand, right or wrong, as exports and as databases.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use attest_core::log::tile::{self, Tiler};
use attest_core::log::{
    AdminAction, Checkpoint, Commitment, Entry, EpochReason, EpochStart, Fact, Frontier, Origin,
    PurgeReason, Purged, SignedHead, TreeHash, Word, receipts_root, tree,
};
use attest_core::{Sha256Digest, SigningKey, UnixTime, to_hex};

pub const AT: UnixTime = UnixTime::from_secs(1_767_323_045);
const SALT: [u8; 32] = [9; 32];
const SUBJECT: &str = "key 3f9a of tenant acme";

/// Where the batch and the commitment of every made log are.
pub const BATCH: usize = 2;
pub const ADMIN: usize = 3;

#[derive(Clone)]
pub struct Made {
    pub entries: Vec<Vec<u8>>,
    pub receipts: Vec<Sha256Digest>,
    pub origin: Origin,
    /// Signs the newest head.
    pub seed: [u8; 32],
}

pub fn key(seed: &[u8; 32]) -> SigningKey {
    SigningKey::from_seed("receipt-1", seed).expect("a key")
}

fn entry(fact: Fact) -> Vec<u8> {
    Entry { at: AT, fact }.to_bytes()
}

pub fn purged(count: u64) -> Vec<u8> {
    entry(Fact::Purged(Purged {
        kind: Word::parse("receipts").expect("a word"),
        count,
        reason: PurgeReason::Expired,
    }))
}

pub fn epoch(number: u64, seed: &[u8; 32]) -> Vec<u8> {
    entry(Fact::EpochBegan(EpochStart {
        epoch: number,
        keyset: Sha256Digest::hash(seed),
        key: key(seed).verifying_key(),
        config: Sha256Digest::hash(b"config"),
        retention: Sha256Digest::hash(b"retention"),
        mode: Word::parse("metadata").expect("a word"),
        not_after: AT.plus(Duration::from_secs(86_400)),
        reason: EpochReason::Start,
    }))
}

impl Made {
    /// A log with an epoch, a batch of receipts, a commitment, and as many more entries as it takes.
    pub fn new(size: usize) -> Self {
        let origin = Origin::from_bytes([0xa7; 16]);
        let seed = [1; 32];
        let receipts: Vec<_> = (0..5_u8).map(|n| Sha256Digest::hash(&[n])).collect();
        let mut entries = vec![
            entry(Fact::Began { origin }),
            epoch(1, &seed),
            entry(Fact::Receipts {
                root: receipts_root(&receipts),
            }),
            entry(Fact::Admin {
                action: AdminAction::KeyCreated,
                subject: Commitment::to(SUBJECT, &SALT),
            }),
        ];
        entries.extend((entries.len()..size).map(|count| purged(count as u64)));
        Self {
            entries,
            receipts,
            origin,
            seed,
        }
    }

    /// The same until `size`, and then otherwise: with another epoch and other entries.
    pub fn branch(&self, size: usize, number: u64, seed: u8, more: usize) -> Self {
        let mut branch = self.clone();
        branch.entries.truncate(size);
        branch.seed = [seed; 32];
        branch.entries.push(epoch(number, &branch.seed));
        branch
            .entries
            .extend((0..more).map(|count| purged(1000 * number + count as u64)));
        branch
    }

    pub fn leaves(&self) -> Vec<TreeHash> {
        self.entries.iter().map(|entry| tree::leaf(entry)).collect()
    }

    /// The head of the first `size` entries.
    pub fn head_of(&self, size: usize) -> SignedHead {
        let checkpoint = Checkpoint {
            origin: self.origin,
            size: size as u64,
            root: tree::root(&self.leaves()[..size]),
        };
        checkpoint.sign(&key(&self.seed))
    }

    pub fn head(&self) -> SignedHead {
        self.head_of(self.entries.len())
    }

    /// Writes it as an export, with everything that belongs beside it.
    pub fn export(&self, directory: &Path) {
        let put = |path: &str, bytes: &[u8]| {
            let path = directory.join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            std::fs::write(path, bytes).expect("a file");
        };
        let mut entries = self.entries.iter().map(Vec::as_slice);
        for bundle in tile::bundles(self.entries.len() as u64) {
            let of_bundle = entries.by_ref().take(bundle.width.into());
            put(&bundle.path(), &tile::bundle(of_bundle));
        }
        let (mut frontier, mut tiler) = (Frontier::default(), Tiler::default());
        for leaf in self.leaves() {
            frontier.push(leaf, |node, hash| {
                if let Some((tile, bytes)) = tiler.push(node, &hash) {
                    put(&tile.path(), &bytes);
                }
            });
        }
        for (tile, bytes) in tiler.partial() {
            put(&tile.path(), bytes);
        }
        let digests: Vec<u8> = self.receipts.iter().flat_map(|d| *d.as_bytes()).collect();
        put(&format!("receipts/{BATCH}"), &digests);
        let opening = serde_json::json!({ "salt": to_hex(&SALT), "subject": SUBJECT });
        put(&format!("openings/{ADMIN}"), opening.to_string().as_bytes());
        put("checkpoint", self.head().note().as_bytes());
    }

    /// Writes it as a database like the gateway's.
    pub async fn database(&self, path: &Path) {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true);
        let mut db = SqliteConnection::connect_with(&options)
            .await
            .expect("a database");
        let schema = include_str!("../../../gateway/store/src/audit/schema.sql");
        sqlx::raw_sql(schema)
            .execute(&mut db)
            .await
            .expect("its tables");
        let mut statements = String::from("BEGIN;");
        let mut frontier = Frontier::default();
        for (index, bytes) in self.entries.iter().enumerate() {
            let hex = to_hex(bytes);
            statements += &format!("INSERT INTO entries VALUES ({index}, x'{hex}');");
            frontier.push(tree::leaf(bytes), |node, hash| {
                let position = node.completion();
                statements += &format!("INSERT INTO nodes VALUES ({position}, x'{hash}');");
            });
        }
        for (place, digest) in self.receipts.iter().enumerate() {
            let hex = digest.to_hex();
            statements += &format!("INSERT INTO receipts VALUES ({BATCH}, {place}, x'{hex}');");
        }
        let salt = to_hex(&SALT);
        statements += &format!("INSERT INTO openings VALUES ({ADMIN}, x'{salt}', '{SUBJECT}');");
        let note = self.head().note().to_owned();
        statements += &format!("INSERT INTO head VALUES (1, '{note}'); COMMIT;");
        sqlx::raw_sql(sqlx::AssertSqlSafe(statements))
            .execute(&mut db)
            .await
            .expect("written");
        db.close().await.expect("closed");
    }
}
