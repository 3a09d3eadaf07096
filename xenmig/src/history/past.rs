//! The past of one domain: what was seen of it, and what a migration would have cost each time.

use std::time::Duration;

use super::observation::{Logged, Observation};
use super::profile::Seen;
use crate::dirty::Curve;
use crate::model::{Guest, Link, Stock, save_live, sender_share, within_budget};

/// Multiples of this fall evenly between whole numbers, and in step with no rhythm: where calm and
/// busy samples alternate, as in thinned hours, every second one would be of one kind.
const GOLDEN: f64 = 0.618_033_988_749_894_9;
/// No clock tells less, and what is learnt from costs takes their logarithm.
const LEAST_S: f64 = 1e-6;

/// What was seen of a domain.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// The domain, as it was last.
    pub domain: Logged,
    /// Oldest first.
    pub observations: Vec<Observation>,
}

/// One observation, ready to be asked what a migration would have cost then.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// When, in seconds since 1970.
    pub at_unix_s: i64,
    /// Samples it stands for.
    pub weight: f64,
    guest: Guest,
    curve: Curve,
    /// Of a CPU, what the sender could have had.
    share: f64,
}

impl Past {
    /// The observations that show a curve, oldest first.
    pub fn looks(&self) -> impl Iterator<Item = Look> {
        self.observations.iter().filter_map(|observation| self.look(observation))
    }

    /// What a stock migration over `link` would have cost each time, beside what the host did then.
    #[must_use]
    pub fn costs(&self, link: &Link) -> Vec<Seen> {
        self.looks().filter_map(|look| look.stock(link)).collect()
    }

    /// The same domain, of what was seen since `unix_s` about `most` observations, evenly from the
    /// last one back.
    #[must_use]
    pub fn lately(&self, unix_s: i64, most: usize) -> Self {
        let first = self.observations.partition_point(|seen| seen.at_unix_s < unix_s);
        let all = &self.observations[first..];
        let share = most as f64 / all.len().max(1) as f64;
        let taken = |nth: usize| (nth as f64 * GOLDEN).fract() < share;
        let latest = all.iter().rev().enumerate().filter(|(nth, _)| taken(*nth));
        let mut observations: Vec<_> = latest.map(|(_, seen)| seen.clone()).collect();
        observations.reverse();
        Self { domain: self.domain.clone(), observations }
    }

    fn look(&self, observation: &Observation) -> Option<Look> {
        let host = observation.host_cpus;
        let busy = host.map(|(used, cpus)| used / f64::from(cpus.max(1)));
        Some(Look {
            at_unix_s: observation.at_unix_s,
            weight: f64::from(observation.weight),
            guest: Guest::from(&self.domain),
            curve: observation.curve(self.domain.memory)?,
            share: sender_share(host.map(|(_, cpus)| cpus), busy),
        })
    }
}

impl Look {
    /// What a stock migration over `link` would have cost, beside what the host did then; `None`
    /// when it would not have moved the guest.
    #[must_use]
    pub fn stock(&self, link: &Link) -> Option<Seen> {
        let link = self.beside(link);
        let outcome = save_live(&self.guest, &link, &self.curve, &mut Stock, Duration::MAX);
        outcome.moved().then_some(Seen {
            at_unix_s: self.at_unix_s,
            downtime_s: outcome.downtime_s.max(LEAST_S),
            total_s: outcome.total_s,
            weight: self.weight,
        })
    }

    /// Whether a migration over `link` that sends on until the rest fits `downtime` would have taken
    /// at most `total`.
    #[must_use]
    pub fn fits(&self, link: &Link, downtime: Duration, total: Duration) -> bool {
        let link = self.beside(link);
        let outcome = within_budget(&self.guest, &link, &self.curve, Some(downtime), total);
        outcome.moved() && outcome.total_s <= total.as_secs_f64()
    }

    /// `link`, with what was left of the host's CPUs.
    fn beside(&self, link: &Link) -> Link {
        Link { costs: link.costs.at_share(self.share), ..*link }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Pages;

    #[test]
    fn the_last_one_is_among_the_few() {
        let observation = |at_unix_s| Observation {
            at_unix_s,
            weight: 1,
            points: vec![(Duration::from_secs(1), Pages(1))],
            guest_cpus: 0.0,
            host_cpus: None,
        };
        let uuid = "00000000-0000-0000-0000-000000000001".parse().unwrap();
        let (name, memory) = ("g".to_owned(), Pages(1));
        let domain = Logged { uuid, name, vcpus: 1, memory, p2m_size: memory };
        let past = Past { domain, observations: (0..20).map(observation).collect() };
        let times = |past: Past| past.observations.iter().map(|o| o.at_unix_s).collect::<Vec<_>>();
        assert_eq!(times(past.lately(10, 4)), [12, 14, 17, 19]);
        let even = times(past.lately(0, 10)).iter().filter(|at| **at % 2 == 0).count();
        assert!((4..=6).contains(&even), "{even} of 10");
        assert_eq!(times(past.lately(18, 100)), [18, 19]);
        assert!(times(past.lately(50, 4)).is_empty());
    }
}
