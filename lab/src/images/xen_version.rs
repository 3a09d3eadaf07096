//! The Xen versions of the lab, and the Debian they come from.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// A Xen version that the lab can boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum XenVersion {
    /// Xen 4.17 of Debian 12.
    #[default]
    V4_17,
    /// Xen 4.20 of Debian 13.
    V4_20,
}

impl XenVersion {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::V4_17, Self::V4_20];

    /// `4.17`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V4_17 => "4.17",
            Self::V4_20 => "4.20",
        }
    }

    /// Name of the Debian release.
    pub fn suite(self) -> &'static str {
        match self {
            Self::V4_17 => "bookworm",
            Self::V4_20 => "trixie",
        }
    }
}

impl fmt::Display for XenVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for XenVersion {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|v| v.as_str() == text)
            .ok_or_else(|| Error::UnknownXen(text.to_owned()))
    }
}
