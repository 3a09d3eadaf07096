//! What migrations would have cost over faster and slower links. Pure.

use std::time::Duration;

use serde::Serialize;

use super::past::Look;
use super::profile::{quantile, sort};
use crate::model::{Costs, Link};
use crate::units::BytesPerSecond;

/// What migrations would have cost over one link.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AtBandwidth {
    /// The link's.
    pub bandwidth_bytes_per_s: BytesPerSecond,
    /// Median downtime of a stock migration, in seconds; `None` when nothing was seen.
    pub downtime_s: Option<f64>,
    /// Nine of ten would have taken at most this.
    pub downtime_p90_s: Option<f64>,
    /// Share of the looks in which a migration that sends on until the rest fits would have kept the
    /// limits; `None` without limits.
    pub fits: Option<f64>,
}

/// What is asked of each bandwidth beside stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Longest downtime.
    pub downtime: Duration,
    /// Longest total time.
    pub total: Duration,
}

/// What migrations would have cost at the times of `looks`, over a link like `link` with each of
/// `bandwidths`, where the hosts take up to `finish_spread` longer than usual in nine of ten.
#[must_use]
pub fn by_bandwidth(
    looks: &[Look],
    link: &Link,
    bandwidths: &[BytesPerSecond],
    limit: Option<Limit>,
    finish_spread: Duration,
) -> Vec<AtBandwidth> {
    let slow = Costs { finish: link.costs.finish + finish_spread, ..link.costs };
    let at = |&bandwidth: &BytesPerSecond| {
        let link = Link { bandwidth, ..*link };
        let p90 = |all: &[(f64, f64)]| Some(quantile(all, 0.9)? + finish_spread.as_secs_f64());
        let stock = looks.iter().filter_map(|look| look.stock(&link));
        let mut downtimes: Vec<_> = stock.map(|seen| (seen.downtime_s, seen.weight)).collect();
        sort(&mut downtimes);
        AtBandwidth {
            bandwidth_bytes_per_s: bandwidth,
            downtime_s: quantile(&downtimes, 0.5),
            downtime_p90_s: p90(&downtimes),
            fits: limit.and_then(|limit| fits(looks, &Link { costs: slow, ..link }, limit)),
        }
    };
    bandwidths.iter().map(at).collect()
}

fn fits(looks: &[Look], link: &Link, limit: Limit) -> Option<f64> {
    let fitting = looks.iter().filter(|look| look.fits(link, limit.downtime, limit.total));
    let all: f64 = looks.iter().map(|look| look.weight).sum();
    (all > 0.0).then(|| fitting.map(|look| look.weight).sum::<f64>() / all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Logged, Observation, Past};
    use crate::host::Uuid;
    use crate::model::Format;
    use crate::units::Pages;

    fn looks(rates: impl Iterator<Item = u64>) -> Vec<Look> {
        let observation = |rate: u64| Observation {
            at_unix_s: 0,
            weight: 1,
            points: [1, 2].map(|s| (Duration::from_secs(s), Pages(rate * s))).to_vec(),
            guest_cpus: 0.0,
            host_cpus: None,
        };
        let uuid: Uuid = "00000000-0000-0000-0000-000000000001".parse().unwrap();
        let (memory, name) = (Pages(1 << 18), "g".to_owned());
        let domain = Logged { uuid, name, vcpus: 1, memory, p2m_size: memory };
        let past = Past { domain, observations: rates.map(observation).collect() };
        past.looks().collect()
    }

    #[test]
    fn a_faster_link_costs_less_and_lets_more_fit() {
        let looks = looks((1..=10).map(|n| 3000 * n));
        let rates = [1e7, 1e8, 1e9].map(|rate| BytesPerSecond::new(rate).unwrap());
        let link = Link { bandwidth: rates[0], format: Format::XEN, costs: Costs::default() };
        let limit =
            Limit { downtime: Duration::from_millis(300), total: Duration::from_secs(3600) };
        let all = by_bandwidth(&looks, &link, &rates, Some(limit), Duration::ZERO);
        assert!(all.windows(2).all(|pair| pair[0].downtime_s > pair[1].downtime_s), "{all:?}");
        assert!(all.iter().all(|at| at.downtime_p90_s >= at.downtime_s));
        let fits: Vec<_> = all.iter().filter_map(|at| at.fits).collect();
        assert!(fits[0] < 0.5 && fits[2] == 1.0, "{fits:?}");
        assert!(fits.is_sorted(), "{fits:?}");
    }

    #[test]
    fn nothing_seen_says_nothing() {
        let rate = BytesPerSecond::new(1e9).unwrap();
        let link = Link { bandwidth: rate, format: Format::XEN, costs: Costs::default() };
        let all = by_bandwidth(&[], &link, &[rate], None, Duration::ZERO);
        assert_eq!((all[0].downtime_s, all[0].fits), (None, None));
    }
}
