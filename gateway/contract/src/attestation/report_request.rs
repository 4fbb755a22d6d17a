//! The query of a request for a report: `GET /v1/aci/attestation?nonce=<64 hex>[&collateral=1]`.

use attest_core::Nonce;

use gateway_base::errors::Invalid;

/// What a client requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportRequest {
    /// The client's nonce.
    pub nonce: Option<Nonce>,
    /// Whether the report is to contain collateral.
    pub collateral: bool,
}

impl ReportRequest {
    /// Parses the query. Unknown parameters are ignored; known ones may be given once, in one spelling.
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
    fn parses_nonce_and_collateral_in_one_spelling() {
        let nonce = Some(Nonce::parse(NONCE).expect("a nonce"));
        let parse = |query: &str| ReportRequest::parse(Some(query));
        assert_eq!(
            ReportRequest::parse(None),
            Ok(ReportRequest {
                nonce: None,
                collateral: false
            })
        );
        assert_eq!(
            parse(""),
            Ok(ReportRequest {
                nonce: None,
                collateral: false
            })
        );
        assert_eq!(
            parse(&format!("nonce={NONCE}")),
            Ok(ReportRequest {
                nonce,
                collateral: false
            })
        );
        assert_eq!(
            parse(&format!("a=b&collateral=1&nonce={NONCE}&c")),
            Ok(ReportRequest {
                nonce,
                collateral: true
            })
        );
        assert_eq!(
            parse("collateral=0"),
            Ok(ReportRequest {
                nonce: None,
                collateral: false
            })
        );
        assert_eq!(
            parse("Nonce=1"),
            Ok(ReportRequest {
                nonce: None,
                collateral: false
            })
        );
    }

    #[test]
    fn rejects_a_malformed_or_repeated_nonce() {
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
                ReportRequest::parse(Some(&format!("nonce={value}"))),
                Err(Invalid::Nonce),
                "{value}"
            );
        }
        assert_eq!(ReportRequest::parse(Some("nonce")), Err(Invalid::Nonce));
        assert_eq!(
            ReportRequest::parse(Some(&format!("nonce={NONCE}&nonce={NONCE}"))),
            Err(Invalid::Nonce)
        );
    }

    #[test]
    fn rejects_a_malformed_or_repeated_collateral_parameter() {
        assert_eq!(
            ReportRequest::parse(Some("collateral=true")),
            Err(Invalid::Query)
        );
        assert_eq!(
            ReportRequest::parse(Some("collateral")),
            Err(Invalid::Query)
        );
        assert_eq!(
            ReportRequest::parse(Some("collateral=1&collateral=1")),
            Err(Invalid::Query)
        );
    }
}
