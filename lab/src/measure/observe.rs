//! One migration, stock or by xenmig, observed from outside the tool stack: rounds and bytes on the
//! wire, the moments of suspension and resumption in the hypervisor. All times are on Dom0's clock.

use std::time::Duration;

use xenmig::history::{OutcomeRecord, SentRound};

use super::WATCH;
use super::account::Account;
use crate::stream::{WireLog, WireRound};
use crate::{Error, Host, Result, Status};

const TAP: &str = "/tmp/xenlab-tap";
/// Where xenmig's own account of a migration goes.
const ACCOUNT: &str = "/tmp/xenlab-migrate.json";
/// Runs its fifth and later arguments, and prints what `watch` saw from before they begin until they
/// are over. The status is theirs.
const SCRIPT: &str = r#"
    watch=$1 export=$2 out=$3
    shift 3
    states=$(mktemp)
    setsid "$watch" > "$states" & watch=$!
    until [ -s "$states" ]; do sleep 0.1; done
    rm -f "$export"
    export XENLAB_TAP=$export
    "$@" </dev/null >"$out"
    status=$?
    kill -TERM -$watch
    cat "$states"
    rm "$states"
    exit $status"#;
/// Length of the gate's windows before a migration by xenmig: a third of the first round.
const WINDOW: &str = "5s";

/// What a migration did.
#[derive(Debug, Clone)]
pub struct Observed {
    /// What crossed the wire.
    pub wire: WireLog,
    /// When the guest was suspended at the source.
    pub suspended_s: f64,
    /// When it ran at the target.
    pub running_s: f64,
    start_s: f64,
}

/// Migrates a guest with stock `xl migrate` over a link of `rate` bytes per second and observes
/// it.
///
/// # Errors
/// When the migration fails, or something of it was not seen.
pub fn observe(host: &Host, name: &str, rate: u64) -> Result<Observed> {
    let way = format!("xenlab-receive {rate}");
    let output = host.shell(
        SCRIPT,
        &[WATCH, TAP, "/dev/stderr", "xl", "migrate", "-s", &way, name, "localhost"],
    )?;
    Observed::gather(host, name, &output.stdout())
}

/// How a migration by xenmig ended.
#[derive(Debug, Clone)]
pub enum Steering {
    /// The guest runs at the target.
    Moved {
        /// What it did.
        observed: Observed,
        /// The downtime that xenmig expected when it stopped, in seconds.
        predicted_downtime_s: Option<f64>,
    },
    /// Refused before it began.
    Refused,
    /// Given up; the guest is at the source.
    Aborted,
}

/// Migrates a guest with `xenmig migrate`, its `further` options and a downtime of at most `budget`
/// over a link of `rate` bytes per second and observes it.
///
/// # Errors
/// When it fails in another way than by xenmig's decision, or something of it was not seen.
pub fn observe_steered(
    host: &Host,
    name: &str,
    rate: u64,
    budget: Duration,
    further: &[&str],
) -> Result<Steering> {
    let further = [&["--window", WINDOW], further].concat();
    observe_judged(host, name, rate, budget, &further).map(|(steering, _)| steering)
}

/// [`observe_steered`] with windows of the length that `further` says, or xenmig's own, and
/// xenmig's own report of it.
///
/// # Errors
/// As [`observe_steered`].
pub fn observe_judged(
    host: &Host,
    name: &str,
    rate: u64,
    budget: Duration,
    further: &[&str],
) -> Result<(Steering, serde_json::Value)> {
    let (way, budget) = (format!("xenlab-receive {rate}"), format!("{}ms", budget.as_millis()));
    let migrate = ["xenmig", "migrate", name, "localhost", "-s", &way, "--json"];
    let limits = ["--downtime", &budget];
    let watched = ["sh", "-c", SCRIPT, "observe", WATCH, TAP, ACCOUNT];
    let output = host.run(watched.iter().chain(&migrate).chain(&limits).chain(further))?;
    let account = host.pull_bytes(ACCOUNT)?;
    let account = String::from_utf8_lossy(&account);
    let told = Account::read(&account);
    let steering = match output.status {
        Status::Exited(0) => Steering::Moved {
            observed: Observed::gather(host, name, &output.stdout())?,
            predicted_downtime_s: told.expected_downtime_s(),
        },
        Status::Exited(1) => Steering::Refused,
        Status::Exited(3) if told.decided("abort").is_some() => Steering::Aborted,
        _ => {
            return Err(Error::Unexpected(format!(
                "xenmig migrate ended with {:?}: {}{}",
                output.status,
                account,
                output.stderr()
            )));
        }
    };
    Ok((steering, told.report().clone()))
}

impl Observed {
    /// Reads what was seen on the wire, with what `watch` said.
    fn gather(host: &Host, name: &str, states: &str) -> Result<Self> {
        let moved_to = u64::from(host.domid(name)?);
        let wire: WireLog =
            String::from_utf8_lossy(&host.pull_bytes(TAP)?).parse().map_err(Error::Unexpected)?;
        Self::new(wire, states, moved_to).ok_or_else(|| {
            Error::Unexpected(format!("the migration was not seen whole:\n{states}"))
        })
    }

    /// Puts the two views together; `None` when an event is missing.
    fn new(wire: WireLog, states: &str, moved_to: u64) -> Option<Self> {
        let start_s = wire.start_s.filter(|_| !wire.rounds.is_empty() && wire.end_s.is_some())?;
        let events: Vec<serde_json::Value> =
            states.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let when = |state: &str, on_target: bool| {
            events
                .iter()
                .filter(|event| event["state"] == state)
                .filter(|event| (event["domid"] == moved_to) == on_target)
                .filter_map(|event| event["t"].as_f64())
                .find(|t| *t > start_s)
        };
        let (suspended_s, running_s) = (when("suspended", false)?, when("running", true)?);
        Some(Self { wire, suspended_s, running_s, start_s })
    }

    /// When the save began.
    #[must_use]
    pub const fn start_s(&self) -> f64 {
        self.start_s
    }

    /// Start of the save to the guest running at the target.
    #[must_use]
    pub fn total_s(&self) -> f64 {
        self.running_s - self.start_s
    }

    /// Guest suspended to guest running at the target.
    #[must_use]
    pub fn downtime_s(&self) -> f64 {
        self.running_s - self.suspended_s
    }

    /// The rounds as the model counts them, from CLEAN to CLEAN: a CLEAN follows the end of the
    /// round before at once, and what it found is on the wire only after the bitmap was scanned.
    /// The first round begins with its first byte, the final copy with the suspension.
    fn sends(&self) -> (Vec<SentRound>, Option<SentRound>) {
        let live = self.wire.rounds.iter().take_while(|round| round.begin_s < self.suspended_s);
        let live: Vec<_> = live.collect();
        let last = self.wire.rounds.get(live.len());
        let begins = live.first().map(|round| round.begin_s).into_iter();
        let begins = begins.chain(live.iter().map(|round| round.end_s));
        let sends = live.iter().zip(begins).map(|(round, begin)| sent(round, round.end_s - begin));
        (sends.collect(), last.map(|round| sent(round, round.end_s - self.suspended_s)))
    }

    /// The record that `xenmig` calibrates itself by.
    #[must_use]
    pub fn record(&self, name: &str, populated_pages: u64, p2m_pages: u64) -> OutcomeRecord {
        let (rounds, last) = self.sends();
        let first_s = self.wire.rounds.first().map_or(self.start_s, |round| round.begin_s);
        let live_end_s = match rounds.len() {
            0 => self.start_s,
            n => self.wire.rounds[n - 1].end_s,
        };
        let copied_s = last.map_or(self.suspended_s, |last| self.suspended_s + last.s);
        OutcomeRecord {
            schema: Default::default(),
            at_unix_s: 0,
            domain: name.to_owned(),
            uuid: String::new(),
            target: "localhost".to_owned(),
            populated_pages,
            p2m_pages,
            sender_share: None,
            predicted: None,
            kept: None,
            start_s: first_s - self.start_s,
            rounds,
            suspend_pages: None,
            suspend_request_s: self.suspended_s - live_end_s,
            last,
            finish_s: self.running_s - copied_s,
            total_s: self.total_s(),
            downtime_s: self.downtime_s(),
        }
    }
}

fn sent(round: &WireRound, s: f64) -> SentRound {
    SentRound { pages: round.pages, holes: round.holes, bytes: round.bytes, s }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: &str = r#"{"t":1.0,"domid":4,"state":"running"}
{"t":9.0,"domid":5,"state":"paused"}
{"t":20.0,"domid":4,"state":"suspended"}
{"t":20.5,"domid":5,"state":"running"}
{"t":20.6,"domid":4,"state":"gone"}
"#;

    fn wire() -> WireLog {
        "start 9.5\nround 1000 24 5000000 9.7 15.0\nround 100 0 410000 15.2 19.9\n\
         round 10 0 41000 20.1 20.2\nend 20.3\nbytes 5500000\n"
            .parse()
            .unwrap()
    }

    #[test]
    fn the_parts_add_up_to_the_whole() {
        let observed = Observed::new(wire(), STATES, 5).unwrap();
        assert!((observed.downtime_s() - 0.5).abs() < 1e-9);
        let record = observed.record("g", 1000, 1024);
        let rounds: f64 = record.rounds.iter().map(|round| round.s).sum();
        let parts = record.start_s + rounds + record.suspend_request_s;
        let parts = parts + record.last.unwrap().s + record.finish_s;
        assert!((parts - record.total_s).abs() < 1e-9, "{record:?}");
        assert_eq!((record.rounds.len(), record.last.unwrap().pages), (2, 10));
    }

    #[test]
    fn an_event_that_was_not_seen_is_not_made_up() {
        assert!(Observed::new(wire(), STATES, 6).is_none());
        assert!(Observed::new(wire(), &STATES.replace("suspended", "running"), 5).is_none());
        let cut = "start 9.5\nbytes 100\n".parse().unwrap();
        assert!(Observed::new(cut, STATES, 5).is_none());
    }
}
