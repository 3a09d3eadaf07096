//! What holds for one domain, once the sections of the file have been put together. The defaults
//! are here and in the types that are used here.

use std::time::Duration;

use crate::dirty::Plan;
use crate::model::Costs;
use crate::policy::Budget;
use crate::policy::gate::Thresholds;
use crate::policy::precopy::Steering;
use crate::units::BytesPerSecond;

/// All settings for one domain on its way to one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What a migration may cost. Default: a downtime of 1 s, which is what VMware documents as
    /// vMotion's aim for switching over (QEMU's default, 300 ms, is below what the plugging of one
    /// VIF costs on Xen: XEN-FACTS.md); total time and bytes unlimited.
    pub budget: Budget,
    /// How to sample.
    pub sampling: SamplingSettings,
    /// Where the gate draws its lines.
    pub thresholds: Thresholds,
    /// The link's bandwidth; `None` when the file does not say.
    pub bandwidth: Option<BytesPerSecond>,
    /// Costs that hold whatever earlier migrations showed.
    pub costs: CostOverride,
    /// How far a save may be steered.
    pub steering: Steering,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            budget: Budget { downtime: Some(Duration::from_secs(1)), ..Budget::UNLIMITED },
            sampling: SamplingSettings::default(),
            thresholds: Thresholds::default(),
            bandwidth: None,
            costs: CostOverride::default(),
            steering: Steering::default(),
        }
    }
}

/// How to sample, and how long a window may be made for a given guest.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingSettings {
    /// The plan as written. Its window is used where nothing is known of the link.
    pub plan: Plan,
    /// Shortest window that is chosen for a guest. Default 1 s: enough to see what happens many
    /// times a second.
    pub min_window: Duration,
    /// Longest window that is chosen for a guest. Default 10 s: the guest pays for each page it
    /// dirties in a window with one fault.
    pub max_window: Duration,
}

impl Default for SamplingSettings {
    fn default() -> Self {
        Self {
            plan: Plan::default(),
            min_window: Duration::from_secs(1),
            max_window: Duration::from_secs(10),
        }
    }
}

impl SamplingSettings {
    /// How much longer than the first round a window is chosen: rounds also have fixed costs.
    const MARGIN: f64 = 1.25;

    /// The plan for a guest whose first round takes `first_round`; `None` when that is unknown.
    ///
    /// The model asks W(t) for as long as a round lasts, and no round lasts longer than the first,
    /// which sends everything. So a window that long needs no extrapolation; it is kept within
    /// `min_window` and `max_window` (which wins if they contradict each other).
    #[must_use]
    pub fn plan_for(&self, first_round: Option<Duration>) -> Plan {
        let mut plan = self.plan.clone();
        if let Some(first_round) = first_round {
            let wanted = first_round.as_secs_f64() * Self::MARGIN;
            let wanted = Duration::try_from_secs_f64(wanted).unwrap_or(Duration::MAX);
            plan.window = wanted.max(self.min_window).min(self.max_window);
        }
        plan
    }
}

/// Fixed costs given by the configuration; `None` is left to calibration.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CostOverride {
    /// See [`Costs::start`].
    pub start: Option<Duration>,
    /// See [`Costs::per_round`].
    pub per_round: Option<Duration>,
    /// See [`Costs::per_p2m_page`].
    pub per_p2m_page: Option<f64>,
    /// See [`Costs::per_page`].
    pub per_page: Option<f64>,
    /// See [`Costs::per_hole`].
    pub per_hole: Option<f64>,
    /// See [`Costs::suspend_request`].
    pub suspend_request: Option<Duration>,
    /// See [`Costs::suspend_pages`].
    pub suspend_pages: Option<f64>,
    /// See [`Costs::finish`].
    pub finish: Option<Duration>,
}

impl CostOverride {
    /// `costs`, with what is given here in its place.
    #[must_use]
    pub fn over(&self, costs: Costs) -> Costs {
        Costs {
            start: self.start.unwrap_or(costs.start),
            per_round: self.per_round.unwrap_or(costs.per_round),
            per_p2m_page: self.per_p2m_page.unwrap_or(costs.per_p2m_page),
            per_page: self.per_page.unwrap_or(costs.per_page),
            per_hole: self.per_hole.unwrap_or(costs.per_hole),
            suspend_request: self.suspend_request.unwrap_or(costs.suspend_request),
            suspend_pages: self.suspend_pages.unwrap_or(costs.suspend_pages),
            finish: self.finish.unwrap_or(costs.finish),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_follows_the_first_round_within_its_limits() {
        let sampling = SamplingSettings::default();
        let window = |s| sampling.plan_for(Some(Duration::from_secs_f64(s))).window.as_secs_f64();
        assert_eq!(window(0.1), 1.0);
        assert_eq!(window(4.0), 5.0);
        assert_eq!(window(55.0), 10.0);
        assert_eq!(window(1e15), 10.0);
        assert_eq!(sampling.plan_for(None), sampling.plan);
    }

    #[test]
    fn a_given_cost_wins_over_a_calibrated_one() {
        let given = CostOverride { finish: Some(Duration::ZERO), ..CostOverride::default() };
        let calibrated = Costs {
            finish: Duration::from_secs(1),
            start: Duration::from_millis(7),
            ..Costs::default()
        };
        let costs = given.over(calibrated);
        assert_eq!((costs.finish, costs.start), (Duration::ZERO, Duration::from_millis(7)));
    }
}
