use std::cmp::Ordering;

use enclave_image::debian::index::{compare_versions, parse};
use enclave_image::debian::lock::{Lock, LockError};
use enclave_image::debian::tar::{Member, MemberKind, TarError, read};

const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn line(group: &str, name: &str) -> String {
    format!("{group} {name} 1:2.0-1 amd64 trixie {DIGEST} pool/main/{name}_2.0-1_amd64.deb\n")
}

#[test]
fn a_lock_is_read_as_it_was_written() {
    let text = format!("# of a day\n{}{}", line("boot", "a"), line("root", "a"));
    let lock = Lock::parse(&text).expect("a lock");
    assert_eq!(lock.packages.len(), 2);
    assert_eq!(lock.text("of a day"), text);
    assert_eq!(
        lock.find("root", "a").expect("it is there").file_name(),
        "a_2.0-1_amd64.deb"
    );
    let (group, name) = ("root".to_owned(), "b".to_owned());
    assert_eq!(
        lock.find("root", "b"),
        Err(LockError::Missing { group, name })
    );
}

#[test]
fn reports_errors_of_a_lock_with_their_line() {
    let refused = |text: String| Lock::parse(&text).expect_err("it is wrong");
    let good = line("boot", "a");
    assert_eq!(
        refused(good.clone() + "boot b 1 amd64\n"),
        LockError::Fields { line: 2 }
    );
    assert_eq!(
        refused(good.replace("amd64 trixie", "amd64  trixie")),
        LockError::Fields { line: 1 }
    );
    let sha256 = DIGEST.to_uppercase();
    assert_eq!(
        refused(good.replace(DIGEST, &sha256)),
        LockError::Digest { line: 1, sha256 }
    );
    for path in ["/etc/passwd", "pool/../x", "pool//x"] {
        let text = good.replace("pool/main/a_2.0-1_amd64.deb", path);
        let path = path.to_owned();
        assert_eq!(refused(text), LockError::Path { line: 1, path });
    }
    let (group, name) = ("boot".to_owned(), "a".to_owned());
    let line = 2;
    assert_eq!(
        refused(good.repeat(2)),
        LockError::Twice { line, group, name }
    );
}

/// As `dpkg --compare-versions` has it.
#[test]
fn versions_are_ordered_as_dpkg_orders_them() {
    let less = [
        ("1.0", "1.0-1"),
        ("1.0~rc1", "1.0"),
        ("1:9.9", "2:1.0"),
        ("1.9", "1.10"),
        ("7.3.4-1~bpo13+1", "7.3.4-1"),
        ("2.41-12+deb13u5", "2.41-12+deb13u10"),
        ("1.0a", "1.0+"),
    ];
    for (a, b) in less {
        assert_eq!(compare_versions(a, b), Ordering::Less, "{a} {b}");
        assert_eq!(compare_versions(b, a), Ordering::Greater, "{b} {a}");
    }
    assert_eq!(compare_versions("0", "00"), Ordering::Equal);
}

#[test]
fn a_package_index_yields_the_latest_version_with_its_dependencies() {
    let paragraph = |version: &str| {
        format!(
            "Package: tool\nVersion: {version}\nArchitecture: amd64\nFilename: pool/t_{version}.deb\nSHA256: {DIGEST}\n\
             Pre-Depends: libc6 (>= 2.38)\nDepends: a | b (<< 2), c:any\nProvides: thing (= 1)\nDescription: x\n more: text\n"
        )
    };
    let text = [paragraph("1.9"), paragraph("1.10")].join("\n");
    let listed = parse(&text, "trixie");
    assert_eq!(listed.len(), 1);
    let tool = &listed[0];
    assert_eq!(
        (tool.version.as_str(), tool.suite.as_str()),
        ("1.10", "trixie")
    );
    assert_eq!(tool.provides, ["thing"]);
    let names: Vec<Vec<&str>> = tool
        .needs
        .iter()
        .map(|need| need.iter().map(|one| one.name.as_str()).collect())
        .collect();
    assert_eq!(names, [vec!["libc6"], vec!["a", "b"], vec!["c"]]);
    assert!(tool.needs[0][0].admits("2.41-12"));
    assert!(!tool.needs[0][0].admits("2.36-9"));
    assert!(tool.needs[1][1].admits("1.5"));
    assert!(!tool.needs[1][1].admits("2"));
}

fn header(name: &str, kind: u8, len: usize, link: &str) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..107].copy_from_slice(b"0000755");
    header[124..135].copy_from_slice(format!("{len:011o}").as_bytes());
    header[156] = kind;
    header[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header[257..265].copy_from_slice(b"ustar  \0");
    header[148..156].fill(b' ');
    let sum: usize = header.iter().map(|byte| usize::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    header
}

fn archive(members: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = members.concat();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

#[test]
fn a_packages_archive_is_read_with_gnus_long_names() {
    let long = "./usr/share/".to_owned() + &"x".repeat(200);
    let mut name = long.clone().into_bytes();
    name.resize(512, 0);
    let mut contents = b"hello".to_vec();
    contents.resize(512, 0);
    let bytes = archive(&[
        header("./usr/", b'5', 0, ""),
        header("././@LongLink", b'L', long.len() + 1, ""),
        name,
        header("cut", b'0', 5, ""),
        contents,
        header("./lib", b'2', 0, "usr/lib"),
        header("./again", b'1', 0, "./lib"),
    ]);
    let members = read(&bytes).expect("an archive");
    let kind = |path: &str| members.get(path).map(|Member { kind, .. }| kind.clone());
    assert_eq!(members.len(), 4);
    assert_eq!(kind("/usr"), Some(MemberKind::Directory));
    assert_eq!(kind(&long[1..]), Some(MemberKind::File(b"hello".to_vec())));
    assert_eq!(kind("/lib"), Some(MemberKind::Link("usr/lib".into())));
    assert_eq!(kind("/again"), Some(MemberKind::HardLink("/lib".into())));
    assert_eq!(members["/lib"].mode, 0o755);
}

#[test]
fn truncated_or_corrupt_archives_and_paths_outside_are_refused() {
    let good = archive(&[header("./a", b'0', 0, "")]);
    assert_eq!(read(&good[..512]), Err(TarError::Short(512)));
    assert_eq!(read(&[]), Err(TarError::Short(0)));
    let mut bent = good.clone();
    bent[0] ^= 1;
    assert_eq!(read(&bent), Err(TarError::Header(0)));
    let out = archive(&[header("./../a", b'0', 0, "")]);
    assert_eq!(read(&out), Err(TarError::Path("./../a".into())));
    let device = archive(&[header("./null", b'3', 0, "")]);
    let (name, kind) = ("./null".to_owned(), '3');
    assert_eq!(read(&device), Err(TarError::Kind { name, kind }));
    let long = archive(&[header("./a", b'0', 4096, "")]);
    assert_eq!(read(&long), Err(TarError::Short(0)));
}
