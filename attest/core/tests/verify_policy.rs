//! Attestation policies: what is refused and why, and that the documentation and the example files
//! say what the code reads.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use attest_core::{
    AttestationPolicy, FieldError, InvalidPolicy, PolicyError, PolicyProblem, Sha256Digest,
};

const PIN: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f";

fn parse(body: &str) -> Result<AttestationPolicy, InvalidPolicy> {
    AttestationPolicy::parse(&format!("name = \"test\"\n{body}"))
}

/// The first thing that is wrong.
fn refusal(body: &str) -> PolicyError {
    problems(body)[0].error.clone()
}

fn problems(body: &str) -> Vec<PolicyProblem> {
    parse(body).expect_err(body).problems().to_vec()
}

fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/attestation")
}

#[test]
fn the_shipped_policies_are_read() {
    for name in [
        "tdx-any-measurement",
        "example-pinned",
        "snp-any-measurement",
        "example-snp-pinned",
        "example-gpu-node",
        "example-grace",
    ] {
        let text = std::fs::read_to_string(policies().join(format!("{name}.toml"))).unwrap();
        let policy = AttestationPolicy::parse(&text).unwrap();
        assert_eq!(policy.name(), name);
        assert_eq!(policy.digest(), Sha256Digest::hash(text.as_bytes()));
        assert!(text.contains("# Origin"), "{name} states its origin");
    }
}

#[test]
fn measurements_must_be_pinned_unless_the_policy_says_any() {
    assert_eq!(refusal("[tdx]\n"), PolicyError::NotPinned("mrtd"));
    let mrtd = format!("[tdx]\nmrtd = [\"{PIN}\"]\n");
    assert_eq!(refusal(&mrtd), PolicyError::NotPinned("rtmr1"));
    let rtmr1 = format!("{mrtd}rtmr1 = [\"{PIN}\"]\n");
    assert_eq!(refusal(&rtmr1), PolicyError::NotPinned("rtmr2"));
    parse(&format!("{rtmr1}rtmr2 = [\"{PIN}\"]\n")).unwrap();

    let partial = "[tdx]\nmeasurements = \"partial\"\n";
    assert_eq!(refusal(partial), PolicyError::NothingPinned);
    parse(&format!("{partial}rtmr3 = [\"{PIN}\"]\n")).unwrap();

    let any = "[tdx]\nmeasurements = \"any\"\n";
    parse(any).unwrap();
    assert_eq!(
        refusal(&format!("{any}mrseam = [\"{PIN}\"]\n")),
        PolicyError::PinnedUnderAny("mrseam")
    );
}

#[test]
fn a_policy_that_could_accept_nothing_is_refused() {
    assert_eq!(refusal(""), PolicyError::AcceptsNothing);
    assert_eq!(
        refusal("[tdx]\nmeasurements = \"any\"\ntcb_statuses = []\n"),
        FieldError::EmptyList("tcb_statuses").into()
    );
    assert_eq!(
        refusal("[tdx]\nmeasurements = \"any\"\nxfam = []\n"),
        FieldError::EmptyList("xfam").into()
    );
}

#[test]
fn images_pin_what_belongs_together_or_are_refused() {
    let image = |lines: &str| format!("[tdx]\n[[tdx.image]]\n{lines}");
    let whole = format!("mrtd = [\"{PIN}\"]\nrtmr1 = [\"{PIN}\"]\nrtmr2 = [\"{PIN}\"]\n");
    parse(&image(&whole)).unwrap();
    assert_eq!(
        refusal(&image(&format!("mrtd = [\"{PIN}\"]\n"))),
        PolicyError::NotPinned("rtmr1")
    );
    assert_eq!(
        refusal(&image("name = \"empty\"\n")),
        PolicyError::EmptyImage("tdx.image")
    );
    // One image that is whole does not make up for one that is not.
    let second = format!("{whole}[[tdx.image]]\nmrtd = [\"{PIN}\"]\nrtmr1 = [\"{PIN}\"]\n");
    assert_eq!(refusal(&image(&second)), PolicyError::NotPinned("rtmr2"));
    let any = format!("[tdx]\nmeasurements = \"any\"\n[[tdx.image]]\n{whole}");
    assert_eq!(refusal(&any), PolicyError::PinnedUnderAny("image"));

    assert_eq!(refusal("[snp]\n"), PolicyError::NotPinned("measurement"));
    parse(&format!("[snp]\nmeasurement = [\"{PIN}\"]\n")).unwrap();
    parse(&format!(
        "[snp]\n[[snp.image]]\nmeasurement = [\"{PIN}\"]\n"
    ))
    .unwrap();
    assert_eq!(
        refusal("[snp]\n[[snp.image]]\nname = \"empty\"\n"),
        PolicyError::EmptyImage("snp.image")
    );
    assert_eq!(
        refusal(&format!(
            "[snp]\nmeasurements = \"any\"\nmeasurement = [\"{PIN}\"]\n"
        )),
        PolicyError::PinnedUnderAny("measurement")
    );
}

#[test]
fn words_that_mean_nothing_and_fields_that_contradict_each_other_are_refused() {
    let word = |section: &str, field: &'static str, value: &str| {
        let body = "[snp]\nmeasurements = \"any\"\n[nvidia]\n[event_log]\n";
        let line = format!("[{section}]\n");
        let body = body.replace(&line, &format!("{line}{field} = [\"{value}\"]\n"));
        match refusal(&body) {
            PolicyError::Word {
                field: named,
                value: found,
                ..
            } => assert_eq!((named, found.as_str()), (field, value)),
            other => panic!("{other:?}"),
        }
    };
    word("snp", "products", "Rome");
    word("snp", "keys", "vcek");
    word("snp", "require_platform", "smt");
    word("nvidia", "architectures", "Hopper");
    word("nvidia", "modes", "ON");
    word("event_log", "registers", "rtmr4");
    assert_eq!(
        refusal("[nvidia]\ngpus = 1\nmin_gpus = 1\n"),
        PolicyError::Contradiction("gpus", "min_gpus")
    );
    assert_eq!(
        refusal("[snp]\nmeasurements = \"any\"\n[snp.min_tcb.milan]\nfmc = 1\n"),
        PolicyError::NoFmc("Milan")
    );
    assert_eq!(
        refusal("[nvidia]\nocsp_max_age = \"a day\"\n"),
        PolicyError::Duration {
            field: "ocsp_max_age",
            value: "a day".into()
        }
    );
}

#[test]
fn values_of_the_wrong_shape_are_refused_by_name() {
    let tdx = |line: &str| refusal(&format!("[tdx]\nmeasurements = \"any\"\n{line}\n"));
    let upper = PIN.to_uppercase();
    assert_eq!(
        refusal(&format!(
            "[tdx]\nmeasurements = \"partial\"\nmrtd = [\"{upper}\"]\n"
        )),
        PolicyError::Hex {
            field: "mrtd",
            value: upper,
            bytes: 48
        }
    );
    assert_eq!(
        tdx("td_attributes = [\"00\"]"),
        PolicyError::Hex {
            field: "td_attributes",
            value: "00".into(),
            bytes: 8
        }
    );
    assert_eq!(
        tdx("tcb_statuses = [\"uptodate\"]"),
        PolicyError::UnknownStatus("uptodate".into())
    );
    assert_eq!(
        tdx("tcb_statuses = [\"UpToDate\", \"Revoked\"]"),
        PolicyError::RevokedStatus
    );
    let any = "[tdx]\nmeasurements = \"any\"\n";
    assert_eq!(
        refusal(&format!("{any}[contract]\nconfig = [\"00\"]\n")),
        PolicyError::Digest {
            field: "config",
            value: "00".into()
        }
    );
    for lifetime in [
        "",
        "8",
        "d",
        "-1d",
        "0s",
        "1.5h",
        "8D",
        "é",
        "99999999999999999999d",
    ] {
        assert_eq!(
            refusal(&format!("{any}[keyset]\nmax_lifetime = \"{lifetime}\"\n")),
            PolicyError::Duration {
                field: "max_lifetime",
                value: lifetime.into()
            }
        );
    }
    for name in ["", "a\\nb"] {
        let text = format!("name = \"{name}\"\n{any}");
        let refused = AttestationPolicy::parse(&text).unwrap_err();
        assert_eq!(refused.problems()[0].error, PolicyError::Name);
    }
    let unnamed = AttestationPolicy::parse(any).unwrap_err();
    assert_eq!(
        unnamed.problems()[0].error,
        FieldError::Missing("name".into()).into()
    );
}

#[test]
fn a_misspelt_key_is_refused_with_its_line() {
    let found = problems("\n[tdx]\nmeasurement = \"any\"\nmeasurements = \"any\"\n");
    let [PolicyProblem { line: 4, error }] = &found[..] else {
        panic!("{found:?}");
    };
    assert!(
        error
            .to_string()
            .starts_with("unknown field `tdx.measurement`, did you mean `measurements`?"),
        "{error}"
    );
    let sgx = problems("[sgx]\n");
    let is_unknown =
        |it: &PolicyProblem| matches!(it.error, PolicyError::Field(FieldError::Unknown { .. }));
    assert!(sgx.iter().any(is_unknown), "{sgx:?}");
    assert!(matches!(refusal("[tdx\n"), PolicyError::Syntax(_)));
}

#[test]
fn reports_every_problem_with_its_line() {
    let text = [
        "name = \"\"",
        "surprise = 1",
        "[tdx]",
        "measurements = \"none\"",
        "mrtd = [\"00\", 5]",
        "rtmr1 = \"00\"",
        "allow_debug = \"no\"",
        "min_qe_svn = 70000",
        "min_tee_tcb_svn = \"00\"",
        "max_collateral_age = \"soon\"",
        "denied_advisories = [\"INTEL-SA-1\", \"SA-2\"]",
        "[tdx.grace_days]",
        "INTEL-SA-1 = 30",
        "INTEL-SA-2 = -1",
        "\"SA-3\" = 1",
        "[snp]",
        "measurements = \"any\"",
        "max_vmpl = true",
        "[[snp.image]]",
        "mesurement = [\"00\"]",
        "[nvidia]",
        "gpus = 1",
        "min_gpus = 1",
        "[keyset]",
        "max_lifetime = 8",
    ];
    let refused = AttestationPolicy::parse(&text.join("\n")).unwrap_err();
    let lines: Vec<usize> = refused.problems().iter().map(|it| it.line).collect();
    assert_eq!(
        lines,
        [
            1, 2, 4, 5, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 18, 19, 19, 20, 23, 25
        ],
        "{:#?}",
        refused.problems()
    );
    let said = refused.to_string();
    assert!(said.ends_with("(and 19 more problems)"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn reports_every_syntax_error_with_its_line() {
    let refused = AttestationPolicy::parse("name = \n[tdx\nmrtd = [\"\n").unwrap_err();
    let lines: Vec<usize> = refused.problems().iter().map(|it| it.line).collect();
    assert_eq!(lines.first(), Some(&1));
    assert!(lines.contains(&2) && lines.contains(&3), "{refused:?}");
    let is_syntax = |it: &PolicyProblem| matches!(it.error, PolicyError::Syntax(_));
    assert!(refused.problems().iter().all(is_syntax));
}

/// The keys a section has, in the words of the refusal of a key it does not have.
fn known_keys(section: &str) -> BTreeSet<String> {
    let header = match section {
        "" => String::new(),
        image if image.ends_with(".image") => format!("[[{image}]]\n"),
        section => format!("[{section}]\n"),
    };
    let found = problems(&format!("{header}no_such_key = 1\n"));
    let known = found.iter().find_map(|problem| match &problem.error {
        PolicyError::Field(FieldError::Unknown { field, known, .. })
            if field.ends_with("no_such_key") =>
        {
            Some(known)
        }
        _ => None,
    });
    let known = known.expect("a list of the known keys");
    known.iter().map(|key| (*key).to_owned()).collect()
}

#[test]
fn the_readme_documents_exactly_the_fields_that_are_read() {
    let readme = std::fs::read_to_string(policies().join("README.md")).unwrap();
    let mut documented = BTreeSet::new();
    for line in readme.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = line
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        if let [_, section, field, _, _, _] = cells[..]
            && !["section", "---"].contains(&section)
        {
            documented.insert((section.to_owned(), field.to_owned()));
        }
    }
    let sections = [
        "tdx",
        "snp",
        "event_log",
        "contract",
        "keyset",
        "provenance",
        "nvidia",
        "retention",
        "log",
    ];
    let inner = ["tdx.image", "snp.image", "snp.min_tcb", "snp.min_tcb.turin"];
    let mut read: BTreeSet<(String, String)> = known_keys("")
        .into_iter()
        .filter(|key| !sections.contains(&key.as_str()))
        .map(|key| (String::new(), key))
        .collect();
    assert!(
        sections
            .iter()
            .all(|section| known_keys("").contains(*section))
    );
    for section in sections.into_iter().chain(inner) {
        read.extend(
            known_keys(section)
                .into_iter()
                .map(|key| (section.to_owned(), key)),
        );
    }
    assert_eq!(documented, read);
}
