//! Intel's words for how current a platform is.

use std::fmt;

/// A TCB status (Intel PCS, `tcbStatus`; those of a relaunch are Intel's verification library's).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum TcbStatus {
    UpToDate,
    SWHardeningNeeded,
    ConfigurationNeeded,
    ConfigurationAndSWHardeningNeeded,
    OutOfDate,
    OutOfDateConfigurationNeeded,
    TDRelaunchAdvised,
    TDRelaunchAdvisedConfigurationNeeded,
    /// The platform's keys are compromised. Never acceptable.
    Revoked,
}

impl TcbStatus {
    /// Every status.
    pub const ALL: [Self; 9] = [
        Self::UpToDate,
        Self::SWHardeningNeeded,
        Self::ConfigurationNeeded,
        Self::ConfigurationAndSWHardeningNeeded,
        Self::OutOfDate,
        Self::OutOfDateConfigurationNeeded,
        Self::TDRelaunchAdvised,
        Self::TDRelaunchAdvisedConfigurationNeeded,
        Self::Revoked,
    ];

    /// Intel's spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UpToDate => "UpToDate",
            Self::SWHardeningNeeded => "SWHardeningNeeded",
            Self::ConfigurationNeeded => "ConfigurationNeeded",
            Self::ConfigurationAndSWHardeningNeeded => "ConfigurationAndSWHardeningNeeded",
            Self::OutOfDate => "OutOfDate",
            Self::OutOfDateConfigurationNeeded => "OutOfDateConfigurationNeeded",
            Self::TDRelaunchAdvised => "TDRelaunchAdvised",
            Self::TDRelaunchAdvisedConfigurationNeeded => "TDRelaunchAdvisedConfigurationNeeded",
            Self::Revoked => "Revoked",
        }
    }

    /// What a part with a separate status makes of the platform's (Intel's verification
    /// library, 4.1.2.4.17): revoked parts revoke it, and parts that are not up to date are out of
    /// date.
    pub(crate) const fn with_part(self, part: Self) -> Self {
        match (part, self) {
            (Self::UpToDate, _) => self,
            (Self::Revoked, _) => Self::Revoked,
            (_, Self::UpToDate | Self::SWHardeningNeeded) => Self::OutOfDate,
            (_, Self::ConfigurationNeeded | Self::ConfigurationAndSWHardeningNeeded) => {
                Self::OutOfDateConfigurationNeeded
            }
            _ => self,
        }
    }

    pub(crate) const fn is_out_of_date(self) -> bool {
        matches!(
            self,
            Self::OutOfDate | Self::OutOfDateConfigurationNeeded | Self::Revoked
        )
    }

    /// The status of a TD that is out of date as it was launched, and is not as it runs now.
    pub(crate) const fn relaunch_advised(self, now: Self) -> Self {
        match (self, now) {
            (
                Self::OutOfDate,
                Self::ConfigurationNeeded | Self::ConfigurationAndSWHardeningNeeded,
            )
            | (Self::OutOfDateConfigurationNeeded, _) => Self::TDRelaunchAdvisedConfigurationNeeded,
            (Self::OutOfDate, _) => Self::TDRelaunchAdvised,
            _ => self,
        }
    }

    /// Reads Intel's spelling, and no other.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

impl fmt::Display for TcbStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
