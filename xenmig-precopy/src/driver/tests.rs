//! The driver on a machine that only keeps a record.

use std::collections::VecDeque;

use xenmig::units::Pages;

use super::*;

/// A guest of 1000 pages with 500 holes; each look at it takes 1 ms.
#[derive(Default)]
struct Fake {
    now: Duration,
    pending: u64,
    broken: bool,
    cap: Option<u16>,
    uncapped: bool,
    most: Option<u64>,
    stop_after: Option<Duration>,
    told: Vec<Event>,
}

impl Machine for Fake {
    fn now(&self) -> Duration {
        self.now
    }

    fn holds_back(&mut self) -> bool {
        true
    }

    fn pending(&mut self, _exact: bool) -> Result<Dirty> {
        self.now += Duration::from_millis(1);
        if self.broken {
            return Err(Error::new(Kind::Internal, "no PEEK"));
        }
        Ok(Dirty { all: self.pending, fresh: self.pending / 2 })
    }

    fn hold_back(&mut self, most: u64) {
        self.most = Some(most);
    }

    fn last_set(&mut self) -> Result<u64> {
        Ok(self.pending + 3)
    }

    fn cap(&mut self, per_cent: u32) -> Result<u16> {
        self.cap = Some(per_cent as u16);
        Ok(per_cent as u16)
    }

    fn uncap(&mut self) -> Result<bool> {
        self.uncapped |= self.cap.is_some();
        Ok(self.cap.take().is_some())
    }

    fn abandon(&mut self) -> Result<()> {
        self.uncap().map(drop)
    }

    fn rest(&mut self, time: Duration) -> Option<String> {
        self.now += time;
        self.pending = self.pending.saturating_sub(time.as_millis() as u64);
        let ends = self.stop_after.is_some_and(|after| self.now >= after);
        ends.then(|| "asked to".to_owned())
    }

    fn tell(&mut self, event: &Event) {
        self.told.push(event.clone());
    }
}

/// Decides as it is told to, after sends; then for ever the last.
struct Script(VecDeque<Decision>, Vec<PrecopyStats>);

impl PrecopyPolicy for Script {
    fn decide(&mut self, stats: &PrecopyStats) -> Decision {
        self.1.push(*stats);
        if stats.dirty_count.is_some() {
            return Decision::Wait(Duration::from_secs(9));
        }
        if self.0.len() > 1 { self.0.pop_front() } else { self.0.front().copied() }
            .unwrap_or(Decision::Continue)
    }
}

impl Policy for Script {
    fn why(&self) -> Why {
        Why::Shrinks
    }

    fn send_whole_rounds(&mut self) {}

    fn downtime_s(&self, pending: f64) -> Option<f64> {
        Some(pending / 1000.0)
    }

    fn expected_downtime_s(&self, pending: f64) -> Option<f64> {
        Some(pending / 2000.0)
    }

    fn bandwidth(&self) -> Option<BytesPerSecond> {
        BytesPerSecond::new(1e6)
    }
}

fn driver(script: &[Decision]) -> Driver<Fake, Script> {
    let guest = Guest::new(Pages(1000), Pages(1500));
    let machine = Fake { pending: 200, ..Fake::default() };
    Driver::new(machine, Script(script.iter().copied().collect(), Vec::new()), guest)
}

const fn before(iteration: u32, dirty: u64) -> Told {
    Told { iteration, total_written: 0, dirty: Some(dirty) }
}

const fn after(iteration: u32) -> Told {
    Told { iteration, total_written: 1500, dirty: None }
}

/// The first round, which takes a second.
fn first(driver: &mut Driver<Fake, Script>) -> Answer {
    assert_eq!(driver.decide(&before(0, 1500)), Answer::Continue);
    driver.machine.now += Duration::from_secs(1);
    driver.decide(&after(1))
}

#[test]
fn a_part_is_a_round_whose_rest_is_held_back() {
    let mut driver = driver(&[Decision::Part(120)]);
    assert_eq!(first(&mut driver), Answer::Continue);
    assert_eq!((driver.machine.most, decisions(&driver)), (Some(120), vec!["part"]));
    let stats = driver.policy.1.last().unwrap();
    assert_eq!((stats.pending, stats.fresh), (200.0, 100.0));
}

fn decisions(driver: &Driver<Fake, Script>) -> Vec<&str> {
    let named = driver.machine.told.iter().filter_map(|event| match event {
        Event::Decision { decision, .. } => Some(decision.as_str()),
        _ => None,
    });
    named.collect()
}

#[test]
fn decisions_become_answers_and_are_told() {
    for (decision, answer) in [
        (Decision::Continue, Answer::Continue),
        (Decision::StopAndCopy, Answer::StopAndCopy),
        (Decision::Abort, Answer::Abort),
    ] {
        let mut driver = driver(&[decision]);
        assert_eq!(first(&mut driver), answer);
        assert_eq!(decisions(&driver), [decision.name()]);
    }
}

#[test]
fn a_send_is_measured_and_pending_pages_are_looked_up() {
    let mut driver = driver(&[Decision::Continue]);
    first(&mut driver);
    // Pages 1000 × (4096 + 8), two batches of 16, holes 500 × 8.
    assert_eq!(driver.machine.told[0], Event::Send { t: 0.0, round: 0, pages: 1000 });
    let bytes = 1000 * 4104 + 32 + 500 * 8;
    let sent = Event::Sent { t: 1.0, round: 0, pages: 1000, bytes, s: 1.0, pending: 200 };
    assert_eq!(driver.machine.told[1], sent);
    let asked = &driver.policy.1[1];
    assert_eq!((asked.iteration, asked.dirty_count, asked.pending), (1, None, 200.0));
    assert_eq!(asked.last_send, Duration::from_secs(1));

    assert_eq!(driver.decide(&before(1, 210)), Answer::Continue);
    assert_eq!(driver.policy.1[2].dirty_count, Some(210.0));
    let Event::Send { round: 1, pages: 210, .. } = driver.machine.told.last().unwrap() else {
        panic!("{:?}", driver.machine.told);
    };
}

#[test]
fn a_wait_looks_and_asks_again() {
    let wait = Decision::Wait(Duration::from_millis(60));
    let mut driver = driver(&[wait, Decision::Wait(Duration::ZERO), Decision::StopAndCopy]);
    assert_eq!(first(&mut driver), Answer::StopAndCopy);
    let pending: Vec<_> = driver.policy.1[1..].iter().map(|stats| stats.pending).collect();
    assert_eq!(pending, [200.0, 140.0, 139.0]);
    assert_eq!(decisions(&driver), ["wait", "wait", "stop_and_copy"]);
}

#[test]
fn a_throttled_guest_gets_its_cap_back_however_the_save_ends() {
    let mut driver = driver(&[Decision::Throttle(50), Decision::Throttle(20), Decision::Continue]);
    assert_eq!(first(&mut driver), Answer::Continue);
    assert_eq!(driver.machine.cap, Some(20));
    assert!(driver.machine.told.iter().any(|e| matches!(e, Event::Capped { cap: 50, .. })));
    driver.end(-1);
    assert!(driver.machine.uncapped && driver.machine.cap.is_none());
    assert!(matches!(driver.machine.told.last(), Some(Event::End { result: -1, .. })));
}

#[test]
fn whoever_asks_ends_a_wait() {
    let mut driver = driver(&[Decision::Wait(Duration::from_millis(50))]);
    driver.machine.stop_after = Some(Duration::from_secs(3));
    assert_eq!(first(&mut driver), Answer::Abort);
    let Some(Event::GivenUp { t, why }) = driver.machine.told.last() else {
        panic!("{:?}", driver.machine.told);
    };
    assert!((3.0..3.1).contains(t) && why == "asked to");
}

#[test]
fn a_fault_means_the_stock_policy_and_no_cap() {
    let mut driver = driver(&[Decision::Throttle(50), Decision::Continue]);
    first(&mut driver);
    driver.machine.broken = true;
    assert_eq!(driver.decide(&before(1, 500)), Answer::Continue);
    assert_eq!(driver.decide(&after(2)), Answer::Continue);
    assert!(driver.machine.uncapped);
    let Some(Event::Stock { why, .. }) = driver.machine.told.last() else {
        panic!("{:?}", driver.machine.told);
    };
    assert_eq!(why, "no PEEK");
    // The script is not asked any more, nor the machine.
    driver.machine.broken = false;
    let asked = driver.policy.1.len();
    assert_eq!(driver.decide(&before(2, 49)), Answer::StopAndCopy);
    assert_eq!(driver.decide(&before(2, 50)), Answer::Continue);
    assert_eq!(driver.decide(&after(4)), Answer::Continue);
    assert_eq!(driver.decide(&after(5)), Answer::StopAndCopy);
    assert_eq!(driver.policy.1.len(), asked);
}

#[test]
fn a_policy_that_throttles_for_ever_is_a_fault() {
    let mut driver = driver(&[Decision::Throttle(50)]);
    assert_eq!(first(&mut driver), Answer::Continue);
    assert!(driver.stock && driver.machine.uncapped);
}
