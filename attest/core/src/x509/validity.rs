//! When the certificates of a chain are valid, kept so that the question can be asked again.

use super::Certificate;
use crate::time::UnixTime;

/// First and last second of each certificate of a chain whose signatures were checked, in the
/// chain's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Validities(Vec<Validity>);

/// First and last second of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: UnixTime,
    pub(crate) not_after: UnixTime,
}

/// The first certificate that is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outside {
    /// Where it stands in the chain.
    pub(crate) place: usize,
    pub(crate) not_before: UnixTime,
    pub(crate) not_after: UnixTime,
}

impl Validities {
    pub(crate) fn from_chain(chain: &[Certificate<'_>]) -> Self {
        let of_one = |certificate: &Certificate<'_>| {
            let (not_before, not_after) = certificate.validity();
            Validity {
                not_before,
                not_after,
            }
        };
        Self(chain.iter().map(of_one).collect())
    }

    /// The earliest end, if all are valid at `now`, bounds included.
    pub(crate) fn at(&self, now: UnixTime) -> Result<UnixTime, Outside> {
        let mut valid_until = UnixTime::from_secs(u64::MAX);
        for (place, validity) in self.0.iter().enumerate() {
            if now < validity.not_before || now > validity.not_after {
                return Err(Outside {
                    place,
                    not_before: validity.not_before,
                    not_after: validity.not_after,
                });
            }
            valid_until = valid_until.min(validity.not_after);
        }
        Ok(valid_until)
    }
}
