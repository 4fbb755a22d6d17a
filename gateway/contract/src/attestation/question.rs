//! What is asked for: `GET /v1/aci/attestation?nonce=<64 hex>[&collateral=1]`.

use attest_core::Nonce;

use gateway_base::errors::Invalid;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// The caller's freshness challenge.
    pub nonce: Option<Nonce>,
    /// Whether the report is to bring its collateral along.
    pub collateral: bool,
}

impl Question {
    /// Reads the query. Parameters that are not ours are ignored; ours may be given once, in one spelling.
    pub fn parse(query: Option<&str>) -> Result<Self, Invalid> {
        let mut nonce = None;
        let mut collateral = None;
        for pair in query.unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "nonce" if nonce.is_some() => return Err(Invalid::Nonce),
                "nonce" => nonce = Some(Nonce::parse(value).map_err(|_| Invalid::Nonce)?),
                "collateral" => {
                    let wanted = match value {
                        "1" => true,
                        "0" => false,
                        _ => return Err(Invalid::Query),
                    };
                    if collateral.replace(wanted).is_some() {
                        return Err(Invalid::Query);
                    }
                }
                _ => {}
            }
        }
        Ok(Self {
            nonce,
            collateral: collateral.unwrap_or(false),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    #[test]
    fn a_question_is_read_in_one_spelling() {
        let nonce = Some(Nonce::parse(NONCE).expect("a nonce"));
        let ask = |query: &str| Question::parse(Some(query));
        assert_eq!(
            Question::parse(None),
            Ok(Question {
                nonce: None,
                collateral: false
            })
        );
        assert_eq!(
            ask(""),
            Ok(Question {
                nonce: None,
                collateral: false
            })
        );
        assert_eq!(
            ask(&format!("nonce={NONCE}")),
            Ok(Question {
                nonce,
                collateral: false
            })
        );
        assert_eq!(
            ask(&format!("a=b&collateral=1&nonce={NONCE}&c")),
            Ok(Question {
                nonce,
                collateral: true
            })
        );
        assert_eq!(
            ask("collateral=0"),
            Ok(Question {
                nonce: None,
                collateral: false
            })
        );
        assert_eq!(
            ask("Nonce=1"),
            Ok(Question {
                nonce: None,
                collateral: false
            })
        );
    }

    #[test]
    fn any_other_nonce_is_refused() {
        for value in [
            "",
            "00",
            &NONCE.to_uppercase(),
            &NONCE[1..],
            &format!("{NONCE}0"),
            &format!("0x{NONCE}"),
            "%30",
        ] {
            assert_eq!(
                Question::parse(Some(&format!("nonce={value}"))),
                Err(Invalid::Nonce),
                "{value}"
            );
        }
        assert_eq!(Question::parse(Some("nonce")), Err(Invalid::Nonce));
        assert_eq!(
            Question::parse(Some(&format!("nonce={NONCE}&nonce={NONCE}"))),
            Err(Invalid::Nonce)
        );
    }

    #[test]
    fn collateral_is_wanted_or_not_and_said_once() {
        assert_eq!(
            Question::parse(Some("collateral=true")),
            Err(Invalid::Query)
        );
        assert_eq!(Question::parse(Some("collateral")), Err(Invalid::Query));
        assert_eq!(
            Question::parse(Some("collateral=1&collateral=1")),
            Err(Invalid::Query)
        );
    }
}
