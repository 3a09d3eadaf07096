//! The past of one domain: what was seen of it, and what a migration would have cost each time.

use std::time::Duration;

use super::observation::{Logged, Observation};
use super::profile::Seen;
use crate::model::{Guest, Link, Stock, save_live, sender_share};

/// What was seen of a domain.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// The domain, as it was last.
    pub domain: Logged,
    /// Oldest first.
    pub observations: Vec<Observation>,
}

impl Past {
    /// What a stock migration over `link` would have cost each time, beside what the host did then.
    #[must_use]
    pub fn costs(&self, link: &Link) -> Vec<Seen> {
        self.observations.iter().filter_map(|observation| self.cost(link, observation)).collect()
    }

    fn cost(&self, link: &Link, observation: &Observation) -> Option<Seen> {
        let curve = observation.curve(self.domain.memory)?;
        let host = observation.host_cpus;
        let busy = host.map(|(used, cpus)| used / f64::from(cpus.max(1)));
        let share = sender_share(host.map(|(_, cpus)| cpus), busy);
        let link = Link { costs: link.costs.at_share(share), ..*link };
        let guest = Guest::from(&self.domain);
        let outcome = save_live(&guest, &link, &curve, &mut Stock, Duration::MAX);
        outcome.moved().then(|| Seen {
            at_unix_s: observation.at_unix_s,
            downtime_s: outcome.downtime_s,
            total_s: outcome.total_s,
            weight: f64::from(observation.weight),
        })
    }
}
