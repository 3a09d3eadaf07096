//! One migration of a point, and what was seen of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::plan::{Curve, Figure, RATE, Scene};
use crate::measure::observe::{Observed, Steering, observe, observe_judged};
use crate::meter::{Arrival, Listener, Phases, throughput};
use crate::{Error, Host, Result};

/// Where the service sends to.
pub(super) const PORT: u16 = 9000;
/// The migrated guest.
pub(super) const GUEST: &str = "g1";
/// What xenmig may let a guest be down. An idle one with a network card is down for some 1.5 s.
pub(super) const BUDGET: Duration = Duration::from_secs(2);
/// How long the service is listened to before.
const CALM: Duration = Duration::from_secs(1);
/// The same after.
const AFTER: Duration = Duration::from_millis(500);
/// What xenmig samples before it decides: two thirds of the longest round on an idle host.
const SAMPLE: [&str; 4] = ["--window", "3s", "--windows", "2"];
/// The intervals of figure 2.
const INTERVAL_S: f64 = 0.1;

/// A migration to the end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Moved {
    /// By the tool stack: start of the save to the guest running at the target.
    pub(super) total_s: f64,
    /// By the tool stack: guest suspended to guest running at the target.
    pub(super) downtime_s: f64,
    pub(super) pages: Vec<u64>,
    /// By the meter, with the beginning of the save on its axis; `None` where it recognised none.
    pub(super) phases: Option<Phases>,
    /// The service's throughput: seconds since the beginning of the save, bytes per second.
    pub(super) curve: Vec<(f64, f64)>,
    pub(super) suspended_s: f64,
}

/// How it ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ended {
    Moved(Box<Moved>),
    /// Refused by xenmig, even though it was told to begin in any case.
    Refused,
    /// Given up by xenmig; the guest is at the source.
    Aborted,
}

/// What xenmig thought of it before: it was told to begin in any case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Verdict {
    pub(super) verdict: String,
    pub(super) reasons: Vec<String>,
}

impl Verdict {
    fn of(report: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
        let reasons = report["reasons"].as_array()?.iter().filter_map(text).collect();
        Some(Self { verdict: text(&report["verdict"])?, reasons })
    }

    pub(super) fn go(&self) -> bool {
        self.verdict == "go"
    }
}

/// The load that a guest had before the migration; of a CPU, shares.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Load {
    /// What it says of itself.
    pub(super) guest: f64,
    /// What the hypervisor counted for it.
    pub(super) xen: f64,
    /// What the hypervisor counted for all domains, Dom0 among them.
    pub(super) host: f64,
    /// Pages per second that the guest says it wrote.
    pub(super) writes_per_s: f64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) figure: Figure,
    pub(super) x: f64,
    /// The figure that this was measured for and that has it as well; `None` where it is this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<Figure>,
    pub(super) curve: Curve,
    pub(super) nth: u32,
    pub(super) load: Load,
    /// `None` for the stock policy, which asks nobody.
    pub(super) verdict: Option<Verdict>,
    pub(super) ended: Ended,
}

/// Migrates the guest of a scene once.
pub(super) fn migrate(
    host: &Host,
    scene: &Scene,
    curve: Curve,
) -> Result<(Ended, Option<Verdict>)> {
    super::scene::forget(host)?;
    let listener = Listener::start(host, PORT)?;
    host.sleep(CALM)?;
    let (steering, report) = match curve {
        Curve::Weak | Curve::Strong => {
            let observed = observe(host, GUEST, RATE)?;
            (Steering::Moved { observed, predicted_downtime_s: None }, Value::Null)
        }
        Curve::Budget => {
            let further = [&["--force"], &SAMPLE[..]].concat();
            observe_judged(host, GUEST, RATE, BUDGET, &further)?
        }
    };
    host.sleep(AFTER)?;
    let arrivals = listener.finish(super::scene::address())?;
    let ended = match steering {
        Steering::Moved { observed, .. } => {
            Ended::Moved(Box::new(Moved::of(&observed, &arrivals, scene.drawn)))
        }
        Steering::Refused => Ended::Refused,
        Steering::Aborted => Ended::Aborted,
    };
    super::scene::verify(host, scene)?;
    Ok((ended, Verdict::of(&report)))
}

impl Moved {
    fn of(observed: &Observed, arrivals: &[Arrival], drawn: bool) -> Self {
        let since = |at_s: f64| at_s - observed.start_s();
        let shifted: Vec<_> = arrivals
            .iter()
            .map(|arrival| Arrival { at_s: since(arrival.at_s), ..*arrival })
            .collect();
        Self {
            total_s: observed.total_s(),
            downtime_s: observed.downtime_s(),
            pages: observed.wire.rounds.iter().map(|round| round.pages).collect(),
            phases: Phases::recognise(&shifted, CALM.as_secs_f64()),
            curve: if drawn { throughput(&shifted, INTERVAL_S) } else { Vec::new() },
            suspended_s: since(observed.suspended_s),
        }
    }
}

impl Run {
    /// The same in another figure.
    pub(super) fn in_figure(&self, figure: Figure, x: f64) -> Self {
        let from = (figure != self.figure).then_some(self.figure);
        Self { figure, x, from, ..self.clone() }
    }

    pub(super) fn moved(&self) -> Option<&Moved> {
        match &self.ended {
            Ended::Moved(moved) => Some(moved),
            Ended::Refused | Ended::Aborted => None,
        }
    }

    /// What of the guest's memory was sent again, as a share of it.
    pub(super) fn resent(&self) -> Option<f64> {
        let (first, again) = self.moved()?.pages.split_first()?;
        Some(again.iter().sum::<u64>() as f64 / *first as f64)
    }

    /// By the tool stack; `None` where the guest was not moved.
    pub(super) fn total_s(&self) -> Option<f64> {
        Some(self.moved()?.total_s)
    }

    /// The same.
    pub(super) fn downtime_s(&self) -> Option<f64> {
        Some(self.moved()?.downtime_s)
    }

    /// How long the service was away, by the meter.
    pub(super) fn offline_s(&self) -> Option<f64> {
        Some(self.moved()?.phases.as_ref()?.offline.s)
    }

    pub(super) fn line(&self) -> String {
        let what = match &self.ended {
            Ended::Refused => "refused".to_owned(),
            Ended::Aborted => "given up, the guest is intact".to_owned(),
            Ended::Moved(moved) => {
                let seen = |s: Option<f64>| s.map_or("—".into(), |s| format!("{s:.2} s"));
                format!(
                    "total {:.2} s ({} by the meter), down {:.2} s, offline {}, pages {:?}",
                    moved.total_s,
                    seen(moved.phases.as_ref().and_then(Phases::total).map(|total| total.s)),
                    moved.downtime_s,
                    seen(self.offline_s()),
                    moved.pages,
                )
            }
        };
        let verdict = self.verdict.as_ref();
        let verdict =
            verdict.map(|v| format!(" {} {:?}", v.verdict, v.reasons)).unwrap_or_default();
        let (figure, curve, nth) = (self.figure, self.curve.name(), self.nth);
        format!("{figure} at {}, {curve} ({nth}){verdict}: {what}", self.x)
    }
}

/// Reads the load that Xen counted for all domains over some seconds, and what the guest said of the
/// time around them.
pub(super) fn load(host: &Host) -> Result<Load> {
    // The first of its two looks has nothing to compare with.
    let script = r#"xentop -b -i 2 -d 3 |
            awk '$1 != "NAME" { cpu[$1] = $4 } END { for (name in cpu) print name, cpu[name] }'
        cat "/var/log/xen/guest-$1.log" | tr -d '\r' | grep '^GUEST: tick' | tail -n 1"#;
    let text = host.shell(script, &[GUEST])?.stdout();
    let counted = |line: &str| {
        let (name, percent) = line.trim().split_once(' ')?;
        Some((name.to_owned(), percent.parse::<f64>().ok()? / 100.0))
    };
    let domains: Vec<_> = text.lines().map_while(counted).collect();
    let xen = domains.iter().find(|(name, _)| name == GUEST).map(|(_, share)| *share);
    let said = |name: &str| -> Option<f64> {
        text.split_whitespace().find_map(|word| word.strip_prefix(name)?.parse().ok())
    };
    let unknown = || Error::Unexpected(format!("no load of {GUEST} in {text:?}"));
    Ok(Load {
        guest: said("cpu=").ok_or_else(unknown)?,
        writes_per_s: said("rate=").ok_or_else(unknown)?,
        xen: xen.ok_or_else(unknown)?,
        host: domains.iter().map(|(_, share)| share).sum(),
    })
}
