//! `log replay`.

use std::path::Path;

use testkit::scratch::ScratchDir;

use crate::made::{ADMIN, BATCH, Made, purged};
use crate::run::{log, refused};

fn scratch(name: &str) -> ScratchDir {
    ScratchDir::new(name).expect("a directory")
}

fn remove(directory: &ScratchDir, path: &str) {
    std::fs::remove_file(directory.path().join(path)).expect("removed");
}

fn replay<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["replay", "--export", "."], more].concat()
}

fn keep(directory: &Path, name: &str, note: &str) {
    std::fs::write(directory.join(name), note).expect("kept");
}

#[test]
fn a_whole_log_is_accepted_with_the_heads_that_were_kept_of_it() {
    // One bundle and its partial tile; exactly full; more than one level.
    for size in [4, 20, 256, 600] {
        let dir = scratch("log-whole");
        let first = Made::new(size);
        let made = first.branch(size, 2, 2, 3);
        made.export(dir.path());
        keep(dir.path(), "kept", first.head_of(size - 1).note());
        let said = log(dir.path(), &replay(&["--head", "kept"]));
        assert_eq!((said.code, said.failed()), (0, vec![]), "{size}");
        for id in [
            "log.entries",
            "log.order",
            "log.root",
            "log.signer",
            "log.tiles",
            "log.receipts",
            "log.subjects",
            "log.head",
        ] {
            assert!(said.passed().contains(&id), "{size}: {id}");
        }
    }
}

#[test]
fn a_log_without_what_is_private_is_accepted_and_says_what_was_not_compared() {
    let dir = scratch("log-public");
    Made::new(20).export(dir.path());
    remove(&dir, &format!("receipts/{BATCH}"));
    remove(&dir, &format!("openings/{ADMIN}"));
    let said = log(dir.path(), &replay(&[]));
    assert_eq!((said.code, said.failed()), (0, vec![]));
    assert!(!said.passed().contains(&"log.receipts"));
    assert!(!said.passed().contains(&"log.subjects"));
}

#[test]
fn a_log_that_was_cut_is_found() {
    let dir = scratch("log-cut");
    Made::new(600).export(dir.path());
    remove(&dir, "tile/entries/002.p/88");
    let said = log(dir.path(), &replay(&[]));
    assert_eq!((said.code, said.failed()), (10, vec!["log.entries"]));
    assert!(said.missing().contains(&"log.root"));

    let dir = scratch("log-cut-inside");
    let mut made = Made::new(20);
    let head = made.head();
    made.entries.remove(7);
    made.entries.push(purged(77));
    made.export(dir.path());
    keep(dir.path(), "checkpoint", head.note());
    let said = log(dir.path(), &replay(&[]));
    assert_eq!((said.code, said.failed()), (10, vec!["log.root"]));
}

#[test]
fn a_log_that_was_reordered_is_found() {
    let dir = scratch("log-reordered");
    let mut made = Made::new(20);
    let head = made.head();
    made.entries.swap(8, 9);
    made.export(dir.path());
    keep(dir.path(), "checkpoint", head.note());
    let said = log(dir.path(), &replay(&[]));
    assert_eq!((said.code, said.failed()), (10, vec!["log.root"]));
    // And where only the entries were moved and not their hashes, in the hashes, too.
    let whole = scratch("log-reordered-entries");
    Made::new(20).export(whole.path());
    let bundle = "tile/entries/000.p/20";
    std::fs::copy(dir.path().join(bundle), whole.path().join(bundle)).expect("moved");
    let said = log(whole.path(), &replay(&[]));
    assert_eq!(
        (said.code, said.failed()),
        (10, vec!["log.root", "log.tiles"])
    );
}

#[test]
fn detects_an_edited_log_that_was_signed_again() {
    let dir = scratch("log-edited");
    let mut made = Made::new(20);
    let head = made.head();
    made.entries[10] = purged(1_000_000);
    made.export(dir.path());
    keep(dir.path(), "checkpoint", head.note());
    let said = log(dir.path(), &replay(&[]));
    assert_eq!((said.code, said.failed()), (10, vec!["log.root"]));
    made.seed = [66; 32];
    keep(dir.path(), "checkpoint", made.head().note());
    let said = log(dir.path(), &replay(&[]));
    assert_eq!((said.code, said.failed()), (10, vec!["log.signer"]));
}

#[test]
fn detects_an_unknown_entry_type_and_an_entry_out_of_order() {
    let dir = scratch("log-unknown-entry");
    let mut made = Made::new(20);
    made.entries[10] = br#"{"at":1,"text":"hello","type":"prompt.logged"}"#.to_vec();
    made.export(dir.path());
    let said = log(dir.path(), &replay(&[]));
    assert_eq!((said.code, said.failed()), (10, vec!["log.entries"]));
    let dir = scratch("log-order");
    // An epoch with the number of the one before it.
    Made::new(20).branch(20, 1, 2, 3).export(dir.path());
    let said = log(dir.path(), &replay(&[]));
    assert_eq!((said.code, said.failed()), (10, vec!["log.order"]));
}

#[test]
fn a_saved_head_of_the_other_branch_detects_a_fork() {
    let dir = scratch("log-forked");
    let trunk = Made::new(20);
    let (shown, other) = (trunk.branch(20, 2, 2, 5), trunk.branch(20, 3, 3, 5));
    shown.export(dir.path());
    keep(dir.path(), "kept", other.head_of(24).note());
    let said = log(dir.path(), &replay(&[]));
    assert_eq!(said.code, 0, "by itself each branch is a log");
    let said = log(dir.path(), &replay(&["--head", "kept"]));
    assert_eq!((said.code, said.failed()), (10, vec!["log.head"]));
}

#[test]
fn a_saved_later_head_detects_a_rollback() {
    let dir = scratch("log-rolled-back");
    let log_then = Made::new(40);
    keep(dir.path(), "kept", log_then.head().note());
    let mut now = log_then.clone();
    now.entries.truncate(30);
    now.export(dir.path());
    let said = log(dir.path(), &replay(&["--head", "kept"]));
    assert_eq!((said.code, said.failed()), (10, vec!["log.head"]));
    // Put back and run on past the size of before.
    let dir = scratch("log-rolled-back-and-on");
    keep(dir.path(), "kept", log_then.head().note());
    now.branch(30, 2, 2, 20).export(dir.path());
    let said = log(dir.path(), &replay(&["--head", "kept"]));
    assert_eq!((said.code, said.failed()), (10, vec!["log.head"]));
}

#[test]
fn receipts_and_openings_beside_the_log_are_compared_with_its_entries() {
    let dir = scratch("log-beside");
    Made::new(20).export(dir.path());
    let file = dir.path().join(format!("receipts/{BATCH}"));
    let mut digests = std::fs::read(&file).expect("digests");
    digests[40] ^= 1;
    std::fs::write(&file, &digests).expect("changed");
    keep(
        dir.path(),
        &format!("openings/{ADMIN}"),
        &format!(
            r#"{{"salt":"{}","subject":"key 3f9a of tenant other"}}"#,
            "09".repeat(32)
        ),
    );
    let said = log(dir.path(), &replay(&[]));
    assert_eq!(said.code, 10);
    assert_eq!(said.failed(), ["log.receipts", "log.subjects"]);
}

#[tokio::test]
async fn a_database_is_replayed_like_an_export() {
    let dir = scratch("log-database");
    let made = Made::new(300);
    made.database(&dir.path().join("audit.sqlite")).await;
    keep(dir.path(), "kept", made.head_of(100).note());
    let database = ["replay", "--database", "audit.sqlite", "--head", "kept"];
    let said = log(dir.path(), &database);
    assert_eq!((said.code, said.failed()), (0, vec![]));
    assert!(said.passed().contains(&"log.subjects"));

    let mut edited = made.clone();
    edited.entries[10] = purged(1_000_000);
    edited.seed = [66; 32];
    edited.database(&dir.path().join("edited.sqlite")).await;
    let database = ["replay", "--database", "edited.sqlite", "--head", "kept"];
    let said = log(dir.path(), &database);
    assert_eq!(
        (said.code, said.failed()),
        (10, vec!["log.signer", "log.head"])
    );
}

#[test]
fn a_path_without_a_log_is_reported_in_one_line() {
    let dir = scratch("log-none");
    keep(dir.path(), "notes.txt", "hello\n");
    let (code, words) = refused(dir.path(), &["replay", "--export", "nowhere"]);
    assert_eq!((code, words.lines().count()), (1, 1), "{words}");
    let (code, words) = refused(dir.path(), &["replay", "--database", "notes.txt"]);
    assert_eq!((code, words.lines().count()), (30, 1), "{words}");
    Made::new(20).export(dir.path());
    let (code, words) = refused(dir.path(), &replay(&["--head", "notes.txt"]));
    assert_eq!((code, words.lines().count()), (30, 1), "{words}");
    keep(dir.path(), "checkpoint", "hello\n");
    let (code, words) = refused(dir.path(), &replay(&[]));
    assert_eq!((code, words.lines().count()), (30, 1), "{words}");
}

fn fifo(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.expect("mkfifo").success());
}

#[test]
fn a_fifo_a_link_or_a_folder_in_place_of_a_file_is_refused_and_not_opened() {
    type Put = fn(&Path);
    let instead: [(Put, &str); 4] = [
        (fifo, "it is a FIFO"),
        (
            |path| std::os::unix::fs::symlink("/dev/zero", path).expect("a link"),
            "it is a symbolic link",
        ),
        (
            |path| std::fs::create_dir(path).expect("a folder"),
            "it is a directory",
        ),
        (
            |path| drop(std::os::unix::net::UnixListener::bind(path).expect("a socket")),
            "it is a socket",
        ),
    ];
    for (put, why) in instead {
        let dir = scratch("log-special");
        Made::new(300).export(dir.path());
        for (file, check) in [
            ("tile/entries/000", "log.entries"),
            ("tile/0/000", "log.tiles"),
            (&format!("receipts/{BATCH}"), "log.receipts"),
            (&format!("openings/{ADMIN}"), "log.subjects"),
        ] {
            let path = dir.path().join(file);
            let kept = std::fs::read(&path).expect(file);
            remove(&dir, file);
            put(&path);
            let said = log(dir.path(), &replay(&[]));
            assert_eq!(
                (said.code, said.failed()),
                (10, vec![check]),
                "{file}: {why}"
            );
            if std::fs::remove_file(&path).is_err() {
                std::fs::remove_dir(&path).expect("a folder");
            }
            std::fs::write(&path, kept).expect(file);
        }
        assert_eq!(log(dir.path(), &replay(&[])).code, 0);
        for file in ["checkpoint", "audit.sqlite"] {
            let path = dir.path().join(file);
            let _ = std::fs::remove_file(&path);
            put(&path);
            let arguments = match file {
                "checkpoint" => replay(&[]),
                _ => vec!["replay", "--database", file],
            };
            let (code, words) = refused(dir.path(), &arguments);
            // A link that the user names is followed: to a device, here.
            let named = ["it is a device"].into_iter().chain([why]);
            assert!(named.into_iter().any(|why| words.contains(why)), "{words}");
            assert_eq!((code, words.lines().count()), (1, 1), "{words}");
            assert!(words.contains(file), "{words}");
        }
    }
}
