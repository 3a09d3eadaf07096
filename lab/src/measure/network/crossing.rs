//! One migration between two hosts, as both sides tell it.

use serde_json::{Value, json};

use super::super::account::Account;
use super::super::stats::quantile;
use super::outage::{Arrival, Silence, Span};
use super::{Trip, Way};
use crate::Clock;

/// What was seen from outside.
pub(super) struct Seen {
    pub arrivals: Vec<Arrival>,
    pub source: Clock,
    pub target: Clock,
}

/// A migration. Seconds are on the source's clock where nothing else is said.
#[derive(Debug)]
pub(super) struct Crossing {
    pub way: &'static Way,
    from: usize,
    to: usize,
    /// The source had migrated to this target before.
    pub known: bool,
    /// Events and report of xenmig.
    account: Account,
    pub outage: Span,
    /// On this machine's clock.
    outage_outside: Span,
    /// The part of the outage that the guest did not live through.
    pub suspended_s: f64,
    pub lost: u64,
    /// Lost while there was no outage.
    pub lost_besides: u64,
    /// How much longer or shorter the outage is on the target's clock.
    pub apart_s: f64,
    pub intact: bool,
}

impl Crossing {
    /// `None` when the datagrams or the clocks' readings do not reach far enough.
    pub(super) fn new(
        trip: &Trip<'_>,
        seen: &Seen,
        account: Account,
        intact: bool,
    ) -> Option<Self> {
        let Seen { arrivals, source, target } = seen;
        let silence = Silence::of(arrivals)?;
        let outage = silence.outage(arrivals, Some(source))?;
        Some(Self {
            way: trip.way,
            from: trip.from,
            to: trip.to,
            known: trip.known,
            account,
            outage,
            outage_outside: silence.outage(arrivals, None)?,
            suspended_s: silence.suspended_s(source)?,
            lost: silence.lost,
            lost_besides: silence.lost_overall - silence.lost,
            apart_s: (silence.on(source)? - silence.on(target)?).abs(),
            intact,
        })
    }

    /// A figure of xenmig's report.
    pub(super) fn stated(&self, pointer: &str) -> Option<f64> {
        self.account.report().pointer(pointer)?.as_f64()
    }

    pub(super) fn downtime_s(&self) -> Option<f64> {
        self.stated("/measured/downtime_s")
    }

    /// The downtime that xenmig expected when it stopped.
    pub(super) fn expected_s(&self) -> Option<f64> {
        self.account.expected_downtime_s()
    }

    pub(super) fn direction(&self) -> String {
        format!("{} → {}", self.from + 1, self.to + 1)
    }

    pub(super) fn line(&self) -> String {
        let ms = |s: Option<f64>| s.map_or("?".into(), |s| format!("{:.0} ms", s * 1e3));
        format!(
            "{}, buffers {}: outage {}, guest suspended {}, xenmig {}, expected {}, {} datagrams \
             lost, {}",
            self.direction(),
            self.way.name,
            ms(Some(self.outage.s)),
            ms(Some(self.suspended_s)),
            ms(self.downtime_s()),
            ms(self.expected_s()),
            self.lost,
            if self.intact { "intact" } else { "THE GUEST IS DAMAGED" },
        )
    }

    pub(super) fn raw(&self) -> Value {
        json!({
            "from": self.from + 1, "to": self.to + 1, "buffer_bytes": self.way.buffer,
            "target_known": self.known, "guest_intact": self.intact,
            "outage_s": self.outage.s, "outage_error_s": self.outage.error_s,
            "outage_outside_s": self.outage_outside.s,
            "outage_outside_error_s": self.outage_outside.error_s,
            "suspended_s": self.suspended_s, "clocks_apart_s": self.apart_s,
            "datagrams_lost": self.lost, "datagrams_lost_besides": self.lost_besides,
            "expected_downtime_s": self.expected_s(), "xenmig": self.account.report(),
        })
    }
}

/// The median of a figure.
pub(super) fn median<'a>(
    crossings: impl IntoIterator<Item = &'a Crossing>,
    figure: impl Fn(&Crossing) -> Option<f64>,
) -> Option<f64> {
    let figures: Vec<f64> = crossings.into_iter().filter_map(figure).collect();
    quantile(&figures, 0.5)
}

/// How far xenmig's downtime is from what the guest did not live through.
pub(super) fn difference_s(crossing: &Crossing) -> Option<f64> {
    Some((crossing.downtime_s()? - crossing.suspended_s).abs())
}

/// How far the downtime was from what xenmig expected.
pub(super) fn surprise_s(crossing: &Crossing) -> Option<f64> {
    Some((crossing.downtime_s()? - crossing.expected_s()?).abs())
}

pub(super) fn last_line(crossings: &[Crossing], hung: usize) -> Value {
    let ms = |s: Option<f64>| s.map(|s| s * 1e3);
    json!({
        "bar": "network",
        "migrations": crossings.len(),
        "guest_intact": crossings.iter().filter(|crossing| crossing.intact).count(),
        "guests_hung": hung,
        "outage_ms_median": ms(median(crossings, |c| Some(c.outage.s))),
        "suspended_ms_median": ms(median(crossings, |c| Some(c.suspended_s))),
        "xenmig_downtime_ms_median": ms(median(crossings, Crossing::downtime_s)),
        "difference_ms_median": ms(median(crossings, difference_s)),
        "datagrams_lost_besides": crossings.iter().map(|c| c.lost_besides).sum::<u64>(),
    })
}
