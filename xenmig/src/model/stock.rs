//! The policy that Xen has built in.

use super::save::{Decision, PrecopyPolicy, PrecopyStats};

/// `simple_precopy_policy` of tools/libs/guest/xg_sr_save.c, the same from Xen 4.14 to 4.20: stop
/// when fewer than 50 pages are dirty, or after 5 sends, however much is left. It always ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stock;

impl Stock {
    /// Sends after which it stops (`SPP_MAX_ITERATIONS`).
    pub const SENDS: u32 = 5;
    /// Dirty pages below which it stops (`SPP_TARGET_DIRTY_COUNT`).
    pub const FEW: f64 = 50.0;
}

impl PrecopyPolicy for Stock {
    fn decide(&mut self, stats: &PrecopyStats) -> Decision {
        let few = stats.dirty_count.is_some_and(|dirty| dirty < Self::FEW);
        if few || stats.iteration >= Self::SENDS {
            Decision::StopAndCopy
        } else {
            Decision::Continue
        }
    }
}
