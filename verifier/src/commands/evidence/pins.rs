//! A policy from flags, or from the document, or none.

use attest_core::AttestationPolicy;

use super::args::PinArgs;
use crate::failure::Failure;
use crate::judged::PolicyOrigin;

/// The policy for evidence of a kind, and whether anybody stated it.
pub(super) fn policy(
    pins: &PinArgs,
    stated: Option<&str>,
    section: &str,
) -> Result<(AttestationPolicy, PolicyOrigin), Failure> {
    let (what, text, origin) = match (stated, written(pins)) {
        (Some(_), Some(_)) => {
            let why = "the document states a policy, so no pins can be given beside it";
            return Err(Failure::Usage(why.to_owned()));
        }
        (Some(text), None) => ("policy", text.to_owned(), PolicyOrigin::Given),
        (None, Some(text)) => ("pins", text, PolicyOrigin::Given),
        (None, None) => ("no policy", none(section), PolicyOrigin::Absent),
    };
    let policy = AttestationPolicy::parse(&text).map_err(|e| Failure::malformed(what, e))?;
    Ok((policy, origin))
}

fn none(section: &str) -> String {
    let any = match section {
        "nvidia" => "",
        _ => "measurements = \"any\"\n",
    };
    format!("name = \"none given: any workload\"\n[{section}]\n{any}")
}

fn written(pins: &PinArgs) -> Option<String> {
    let tdx = [
        ("mrtd", &pins.mrtd),
        ("rtmr0", &pins.rtmr0),
        ("rtmr1", &pins.rtmr1),
        ("rtmr2", &pins.rtmr2),
        ("rtmr3", &pins.rtmr3),
        ("mrseam", &pins.mrseam),
    ];
    let snp = [
        ("measurement", &pins.measurement),
        ("host_data", &pins.host_data),
    ];
    let mut text = "name = \"pins of the command line\"\n".to_owned();
    let empty = text.len();
    for (section, fields) in [("tdx", &tdx[..]), ("snp", &snp[..])] {
        if fields.iter().all(|(_, values)| values.is_empty()) {
            continue;
        }
        text.push_str(&format!("[{section}]\nmeasurements = \"partial\"\n"));
        for (field, values) in fields.iter().filter(|(_, values)| !values.is_empty()) {
            // Hexadecimal or refused by the policy; quotes and backslashes are written out.
            text.push_str(&format!("{field} = {values:?}\n"));
        }
    }
    if let Some(count) = pins.gpu_count {
        text.push_str(&format!("[nvidia]\nrequired = true\ngpus = {count}\n"));
    }
    (text.len() > empty).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_a_policy_and_a_wrong_pin_is_malformed() {
        let mut pins = PinArgs {
            mrtd: vec!["ab".repeat(48)],
            ..PinArgs::default()
        };
        let (_, origin) = policy(&pins, None, "tdx").expect("a policy");
        assert_eq!(origin, PolicyOrigin::Given);
        pins.mrtd = vec!["\"]\nx = [\"".to_owned()];
        let Err(failure) = policy(&pins, None, "tdx") else {
            panic!("that is not a policy");
        };
        assert_eq!(failure.exit_code(), 30, "{failure}");
    }

    #[test]
    fn without_a_policy_each_kind_has_a_stand_in() {
        for section in ["tdx", "snp", "nvidia"] {
            let (_, origin) = policy(&PinArgs::default(), None, section).expect(section);
            assert_eq!(origin, PolicyOrigin::Absent);
        }
    }

    #[test]
    fn a_stated_policy_and_pins_exclude_each_other() {
        let pins = PinArgs {
            gpu_count: Some(1),
            ..PinArgs::default()
        };
        let failure = policy(&pins, Some("name = \"x\""), "nvidia").err();
        assert!(matches!(failure, Some(Failure::Usage(_))));
    }
}
