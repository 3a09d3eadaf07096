//! Each conclusion of the paper, applied by a rule of the gate to a simulated guest that calls for
//! it. `tests/lab/rules.rs` does the same on real Xen.

mod common;

use common::Place;
use serde_json::Value;

/// A guest of 1 GiB with one virtual CPU, on a host with two CPUs and a gigabit.
struct Scene {
    /// CPU use of the host by everything else, 0 to 1.
    others: f64,
    /// CPU use of the guest, 0 to 1.
    cpu: f64,
    /// What it writes, as TOML.
    writes: &'static str,
    config: &'static str,
    budget: &'static [&'static str],
}

/// Nothing speaks against it.
const CALM: Scene = Scene {
    others: 0.05,
    cpu: 0.1,
    writes: "kind = 'steady'\nrate = 100\npages = 2000",
    config: "costs.finish = '50ms'",
    budget: &["--downtime", "500ms"],
};

/// Twice what the link carries.
const TOO_MUCH: &str = "kind = 'sweep'\nrate = 50000\npages = 200000";
/// The same, half of the time.
const IN_BURSTS: &str = "kind = 'burst'\nperiod = '4s'\nbusy = '2s'\nrate = 50000\npages = 200000";

/// Windows that see one part of a burst each.
const BRIEF: [&str; 6] = ["--downtime", "300ms", "--window", "1s", "--windows", "6"];

impl Scene {
    fn check(&self) -> Value {
        let Self { others, cpu, writes, config, budget } = self;
        let host = format!(
            "seed = 1\nlink = '1Gbit/s'\n[host]\ncpus = 2\nload = {others}\n\
             [[domain]]\nname = 'g1'\nmemory = '1GiB'\ncpu = {cpu}\nsetup.can_suspend = true\n\
             [[domain.workload]]\n{writes}\n"
        );
        let place = Place::new().file("host.toml", host).file("xenmig.toml", config);
        let check = ["--host", "sim:host.toml", "--config", "xenmig.toml", "check", "g1", "--json"];
        place.run(&[&check, *budget].concat()).json()
    }

    /// The codes and conclusions of all reasons that name a conclusion.
    fn applied(&self) -> Vec<(String, char)> {
        let check = self.check();
        let reasons = check["reasons"].as_array().into_iter().flatten();
        let applied = reasons.filter_map(|reason| {
            let (_, named) = reason["message"].as_str()?.split_once("(paper, conclusion ")?;
            Some((reason["code"].as_str()?.to_owned(), named.chars().next()?))
        });
        applied.collect()
    }
}

#[test]
fn every_conclusion_of_the_paper_is_applied() {
    let none = ["--downtime", "unlimited"].as_slice();
    let cases = [
        ('a', "guest-load-on-short-host", Scene { others: 0.4, cpu: 1.0, ..CALM }),
        (
            'b',
            "downtime-grows-with-memory",
            Scene { config: "costs = { finish = '50ms', per_p2m_page_s = 2e-8 }", ..CALM },
        ),
        ('c', "memory-too-large", Scene { budget: &["--total", "1s"], ..CALM }),
        ('d', "resends-much", Scene { writes: TOO_MUCH, budget: none, ..CALM }),
        ('e', "host-saturated", Scene { others: 0.9, ..CALM }),
        ('f', "downtime-at-risk", Scene { writes: IN_BURSTS, budget: &BRIEF, ..CALM }),
        ('g', "downtime-over-budget", Scene { writes: TOO_MUCH, ..CALM }),
    ];
    for (conclusion, code, scene) in cases {
        let applied = scene.applied();
        assert!(applied.contains(&(code.to_owned(), conclusion)), "{code}: {applied:?}");
    }
}

#[test]
fn none_is_applied_where_nothing_calls_for_it() {
    assert_eq!(CALM.applied(), []);
    assert_eq!(CALM.check()["verdict"], "go");
}
