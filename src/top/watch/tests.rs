//! Whose turn it is, and that no log stays on.

use std::sync::atomic::{AtomicBool, Ordering};

use xenmig::host::DomId;
use xenmig::policy::gate::Verdict;

use super::*;
use crate::top::fixture::{self, arguments};

/// Runs `test` on a watch of the built-in host or of a scene.
fn watching(host: &str, options: &[&str], test: impl FnOnce(Watch<'_>, &Session)) {
    let (session, args) = (fixture::session(host), arguments(options));
    let asked = Asked::read(&args).unwrap();
    test(Watch::new(&session, &asked), &session);
}

/// The names of those that the next turn sampled.
fn turn(watch: &mut Watch<'_>) -> Vec<String> {
    let mut sampled = Vec::new();
    watch.turn(&mut |domain, _| sampled.push(domain.name.clone())).unwrap();
    sampled.dedup();
    sampled
}

fn logs_are_off(session: &Session) -> bool {
    let (host, stop) = (session.host(), AtomicBool::new(false));
    let domains = host.domains().unwrap();
    let guests = domains.iter().filter(|domain| domain.id != DomId::DOM0);
    guests.map(|domain| host.dirty_log(domain.id, &stop)).all(|log| log.is_ok())
}

#[test]
fn one_domain_is_sampled_at_a_time_and_each_has_its_turn() {
    watching("builtin", &[], |mut watch, session| {
        watch.look().unwrap();
        for name in ["idle", "web", "db", "batch"] {
            assert_eq!(turn(&mut watch), [name]);
            assert!(logs_are_off(session));
        }
        let rows = watch.look().unwrap().rows;
        assert!(rows.iter().all(|row| row.check.is_some()));
        assert_eq!(rows[0].verdict(), Some(Verdict::NoGo), "Domain-0");
    });
}

#[test]
fn a_domain_rests_for_four_times_as_long_as_it_was_sampled() {
    let scene = "[[domain]]\nname = 'only'\nmemory = '1GiB'\n";
    watching(scene, &["--window", "1s", "--windows", "1"], |mut watch, session| {
        watch.look().unwrap();
        let begun = watch.now();
        assert_eq!(turn(&mut watch), ["only"]);
        let took = watch.now() - begun;
        assert_eq!(turn(&mut watch), [""; 0]);
        session.host().pause(took * 4, &session.stop);
        assert_eq!(turn(&mut watch), ["only"]);
        assert_eq!(watch.look().unwrap().rows[1].rates.len(), 2);
    });
}

#[test]
fn a_domain_that_cannot_be_sampled_keeps_no_other_waiting_and_says_why() {
    let scene = "link = '10Gbit/s'\n[[domain]]\nname = 'owned'\nmemory = '1GiB'\n\
                 fault.log_dirty_busy = true\n[[domain]]\nname = 'fine'\nmemory = '1GiB'\n";
    watching(scene, &[], |mut watch, _| {
        watch.look().unwrap();
        assert_eq!(turn(&mut watch), ["fine"]);
        let rows = watch.look().unwrap().rows;
        assert_eq!(rows[1].objection().unwrap().code, "log-dirty-busy");
        assert!(rows[1].dirty_rate().is_none() && rows[2].dirty_rate().is_some());
    });
}

#[test]
fn a_domain_that_goes_is_no_longer_shown() {
    let scene = "[[domain]]\nname = 'going'\nmemory = '1GiB'\nfault.vanishes_after = '1s'\n";
    watching(scene, &[], |mut watch, _| {
        assert_eq!(watch.look().unwrap().rows.len(), 2);
        turn(&mut watch);
        assert_eq!(watch.look().unwrap().rows.len(), 1);
    });
}

#[test]
fn a_stop_in_the_midst_of_a_sample_leaves_no_log_on() {
    let scene = "real_time = true\n[[domain]]\nname = 'slow'\nmemory = '1GiB'\n";
    watching(scene, &["--window", "60s"], |mut watch, session| {
        watch.look().unwrap();
        let begun = Instant::now();
        watch.turn(&mut |_, _| session.stop.store(true, Ordering::Relaxed)).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!(logs_are_off(session));
        assert!(!watch.rest(&watch.begin().unwrap()).unwrap());
    });
}

#[test]
fn once_says_everything_of_everybody() {
    let snapshot = fixture::snapshot("builtin");
    assert!(snapshot.cpu_utilisation.is_some_and(|used| used > 0.05 && used < 0.8));
    for row in &snapshot.rows {
        assert!(row.cpus_used().is_some() && row.check.is_some(), "{row:?}");
        assert_eq!(row.expected().is_some(), row.domain.id != DomId::DOM0);
    }
}
