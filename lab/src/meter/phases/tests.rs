//! Synthetic services, whose phases are known.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::guest::Rng;

const CALM_S: f64 = 3.0;

#[derive(Debug, Clone)]
struct Service {
    interval_s: f64,
    /// Datagrams come up to this share of an interval late, always and while memory is pushed.
    jitter: f64,
    push_jitter: f64,
    push_s: f64,
    suspend_s: f64,
    resume_s: f64,
    end_s: f64,
    /// Datagrams lost after the guest runs again.
    unheard: u64,
    seed: u64,
}

impl Service {
    fn arrivals(&self) -> Vec<Arrival> {
        let mut rng = Rng::new(self.seed);
        let mut noise = |most: f64| rng.below(1_000_000) as f64 * 1e-6 * most * self.interval_s;
        let away = self.resume_s - self.suspend_s;
        let mut unheard = self.unheard;
        let mut arrivals = Vec::new();
        for sequence in 0.. {
            let guest_s = sequence as f64 * self.interval_s;
            let at_s = if guest_s < self.suspend_s { guest_s } else { guest_s + away };
            if at_s > self.end_s {
                return arrivals;
            }
            if at_s >= self.resume_s && unheard > 0 {
                unheard -= 1;
                continue;
            }
            let pushing = (self.push_s..self.suspend_s).contains(&at_s);
            let late = noise(if pushing { self.push_jitter } else { self.jitter });
            let at_s = at_s + late;
            let sender = Ipv4Addr::LOCALHOST;
            arrivals.push(Arrival { at_s, sequence, guest_s, bytes: 512, sender });
        }
        arrivals
    }

    fn phases(&self) -> Option<Phases> {
        Phases::recognise(&self.arrivals(), CALM_S)
    }
}

fn holds(estimate: Estimate, truth: f64, slack: f64) -> bool {
    (estimate.s - truth).abs() <= estimate.uncertainty_s + slack
}

prop_compose! {
    fn migrated()(
        interval_s in 0.005..0.05f64,
        jitter in 0.0..0.06f64,
        push_jitter in 0.5..0.95f64,
        push_s in 3.5..8.0f64,
        live_s in 5.0..20.0f64,
        away_s in 0.3..5.0f64,
        unheard in 0..8u64,
        seed in any::<u64>(),
    ) -> Service {
        let (suspend_s, resume_s) = (push_s + live_s, push_s + live_s + away_s);
        let end_s = resume_s + 3.0;
        Service { interval_s, jitter, push_jitter, push_s, suspend_s, resume_s, end_s, unheard, seed }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn phases_are_found_within_their_uncertainty(service in migrated()) {
        let phases = service.phases().unwrap();
        let Service { interval_s, suspend_s, resume_s, push_jitter, unheard, .. } = service;
        // The last datagram before, and the first one after, were late like others.
        let late = push_jitter * interval_s;
        let heard = resume_s + unheard as f64 * interval_s;
        prop_assert!(holds(phases.offline_begins, suspend_s, late), "{phases:?}");
        prop_assert!(holds(phases.offline_ends, heard, interval_s), "{phases:?}");
        prop_assert!(holds(phases.offline, heard - suspend_s, late), "{phases:?}");
        prop_assert!(holds(phases.suspended, resume_s - suspend_s, late), "{phases:?}");
        prop_assert_eq!(phases.lost, unheard);
        let push = phases.push_begins.unwrap();
        prop_assert!((push.s - service.push_s).abs() <= 12.0 * interval_s, "{phases:?}");
    }

    #[test]
    fn an_undisturbed_push_is_not_made_up(service in migrated()) {
        let service = Service { push_jitter: service.jitter, ..service };
        let phases = service.phases().unwrap();
        prop_assert_eq!(phases.push_begins, None);
        prop_assert_eq!(phases.total(), None);
    }

    #[test]
    fn a_service_that_never_stops_has_no_phases(service in migrated()) {
        let resume_s = service.suspend_s;
        let service = Service { resume_s, unheard: 0, ..service };
        prop_assert_eq!(service.phases(), None);
    }

    #[test]
    fn a_starved_guest_is_not_offline(service in migrated(), from in 4.0..6.0f64) {
        // Its clock goes on while it gets no CPU.
        let starved: Vec<Arrival> = service
            .arrivals()
            .into_iter()
            .filter(|arrival| !(from..from + 1.0).contains(&arrival.at_s))
            .collect();
        let phases = Phases::recognise(&starved, CALM_S).unwrap();
        let late = service.push_jitter * service.interval_s;
        prop_assert!(holds(phases.offline_begins, service.suspend_s, late), "{phases:?}");
    }
}

#[test]
fn what_is_late_is_lost_in_order() {
    let at = |sequence| Arrival {
        at_s: 0.0,
        sequence,
        guest_s: 0.0,
        bytes: 1,
        sender: Ipv4Addr::LOCALHOST,
    };
    assert_eq!(lost(&[at(4), at(5), at(8), at(7), at(9)]), 2);
    assert_eq!(lost(&[]), 0);
}

#[test]
fn too_little_says_nothing() {
    assert_eq!(Phases::recognise(&[], 1.0), None);
    let service = Service {
        interval_s: 0.02,
        jitter: 0.0,
        push_jitter: 0.5,
        push_s: 4.0,
        suspend_s: 6.0,
        resume_s: 7.0,
        end_s: 9.0,
        unheard: 0,
        seed: 1,
    };
    assert_eq!(Phases::recognise(&service.arrivals(), 0.1), None);
}
