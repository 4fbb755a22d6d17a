//! Whole invocations of the real binary, as files in `tests/transcripts`.
//!
//! A transcript is a list of commands, each with what it prints: standard output as it is, lines of
//! standard error behind `! `, and the exit code in brackets. They run in a directory of fixtures
//! that follow from a seed and a stated time. Other lines are kept as they are; by convention comments
//! begin with `#`. `$ cat > NAME << END` writes the lines up to `END` into a file that the commands
//! after it can read. `SEALGATE_UPDATE_TRANSCRIPTS=1` writes the transcripts again.

mod fixtures;
mod service;

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use testkit::scratch::ScratchDir;

#[test]
fn every_transcript_matches_the_program() {
    let dir = ScratchDir::new("transcripts").unwrap();
    fixtures::write(&dir);
    let update = std::env::var_os("SEALGATE_UPDATE_TRANSCRIPTS").is_some();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    let mut wrong = Vec::new();
    for path in paths {
        let wanted = std::fs::read_to_string(&path).unwrap();
        let found = replay(&wanted, dir.path());
        if found == wanted {
            continue;
        }
        if update {
            std::fs::write(&path, found).unwrap();
        } else {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            wrong.push(format!(
                "--- {name}: wanted\n{wanted}\n--- {name}: found\n{found}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_written_policy_says_of_each_value_what_it_follows_from() {
    let dir = ScratchDir::new("written-policy").unwrap();
    fixtures::write(&dir);
    let command = " measure --uki image.efi --profile tdx.toml --profile tdx-any.toml --profile snp.toml --write-policy written.toml";
    assert!(said(command, dir.path()).ends_with("[exit 0]\n"));
    let policy = std::fs::read_to_string(dir.path().join("written.toml")).unwrap();
    let mut reason = "";
    let mut values = 0;
    for line in policy.lines() {
        let field = line.split(" = ").next().unwrap();
        match field {
            "mrtd" | "rtmr0" | "measurement" => {
                assert!(
                    reason.contains("predicted, not confirmed on hardware"),
                    "{line}"
                );
                values += 1;
            }
            "rtmr1" | "rtmr2" => assert!(reason.contains("image"), "{line}"),
            _ if line.starts_with("# MRTD") => reason = line,
            _ if line.starts_with("# RTMR") => reason = line,
            _ if line.starts_with("# Launch digest") => reason = line,
            _ => {}
        }
    }
    assert_eq!(values, 4);
    assert!(policy.contains("# RTMR0 is not pinned; the host decides"));
    // Once where RTMR0 is open, once for SNP, where nothing can be pinned.
    assert_eq!(
        policy.matches("trusted not to attack through them").count(),
        2
    );
}

/// The transcript again, with what the commands print now.
fn replay(transcript: &str, dir: &Path) -> String {
    let mut out = String::new();
    let mut lines = transcript.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(command) = line.strip_prefix("$ sealgate-verify") {
            let _ = writeln!(out, "{line}");
            out.push_str(&said(command, dir));
            while lines.next_if(|next| !next.starts_with("[exit ")).is_some() {}
            lines.next();
        } else if let Some(name) = inline_input(line) {
            let content: String = lines
                .by_ref()
                .take_while(|next| *next != END_OF_INPUT)
                .flat_map(|line| [line, "\n"])
                .collect();
            write_input(&dir.join(name), &content);
            let _ = write!(out, "{line}\n{content}{END_OF_INPUT}\n");
        } else {
            let _ = writeln!(out, "{line}");
        }
    }
    out
}

const END_OF_INPUT: &str = "END";

/// The name of the file that a line writes.
fn inline_input(line: &str) -> Option<&str> {
    line.strip_prefix("$ cat > ")?.strip_suffix(" << END")
}

/// Refuses to replace a fixture, on which other transcripts rely.
fn write_input(path: &Path, content: &str) {
    assert!(!path.exists(), "{} is there already", path.display());
    std::fs::write(path, content).unwrap();
}

#[test]
fn keeps_comments_and_writes_inline_inputs() {
    let dir = ScratchDir::new("inline-inputs").unwrap();
    let transcript =
        "# A policy, written here.\n$ cat > p.toml << END\nname = \"p\"\n\n[tdx]\nEND\n";
    assert_eq!(replay(transcript, dir.path()), transcript);
    let written = std::fs::read_to_string(dir.path().join("p.toml")).unwrap();
    assert_eq!(written, "name = \"p\"\n\n[tdx]\n");
}

#[test]
#[should_panic(expected = "is there already")]
fn refuses_an_inline_input_that_would_replace_a_fixture() {
    let dir = ScratchDir::new("inline-fixture").unwrap();
    dir.write("policy.toml", "name = \"fixture\"\n").unwrap();
    replay("$ cat > policy.toml << END\nEND\n", dir.path());
}

fn said(command: &str, dir: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sealgate-verify"))
        .args(command.split_whitespace())
        .current_dir(dir)
        .env_remove("NO_COLOR")
        .output()
        .unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains('\x1b'), "colours without a terminal");
    for line in String::from_utf8(output.stderr).unwrap().lines() {
        let _ = writeln!(text, "! {line}");
    }
    let _ = writeln!(text, "[exit {}]", output.status.code().unwrap());
    text
}
