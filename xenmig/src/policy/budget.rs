//! What a migration may cost at most.

use std::time::Duration;

use crate::units::Bytes;

/// Upper limits. A budget without limits allows everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// From the guest's suspension to its running at the target; `None` is unlimited.
    pub downtime: Option<Duration>,
    /// From the start of the save to the guest running at the target; `None` is unlimited.
    pub total: Option<Duration>,
    /// Bytes that go over the link; `None` is unlimited.
    pub bytes: Option<Bytes>,
}

impl Budget {
    /// No limits at all.
    pub const UNLIMITED: Self = Self {
        downtime: None,
        total: None,
        bytes: None,
    };

    /// Whether it has any limit.
    #[must_use]
    pub const fn is_limited(&self) -> bool {
        self.downtime.is_some() || self.total.is_some() || self.bytes.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_limit_is_enough_to_be_limited() {
        assert!(!Budget::UNLIMITED.is_limited());
        assert!(
            Budget {
                bytes: Some(Bytes(1)),
                ..Budget::default()
            }
            .is_limited()
        );
        assert!(
            Budget {
                total: Some(Duration::ZERO),
                ..Budget::default()
            }
            .is_limited()
        );
        assert!(
            Budget {
                downtime: Some(Duration::ZERO),
                ..Budget::default()
            }
            .is_limited()
        );
    }
}
