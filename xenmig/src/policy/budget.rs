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
    pub const UNLIMITED: Self = Self { downtime: None, total: None, bytes: None };
}
