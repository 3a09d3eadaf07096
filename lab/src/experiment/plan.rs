//! What is measured: for each figure of the paper its points.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::guest::{Pattern, Workload};

/// A figure of the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Throughput over time.
    Fig2,
    /// The load of the migrated guest.
    Fig3,
    /// The same, with a second guest at 100 %.
    Fig4,
    /// The load of another guest, while the migrated one is idle.
    Fig5,
    /// The memory of the guest.
    Fig6,
    /// The pages it modifies.
    Fig7,
}

impl Figure {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Fig2, Self::Fig3, Self::Fig4, Self::Fig5, Self::Fig6, Self::Fig7];

    /// What its horizontal axis shows.
    pub const fn axis(self) -> &'static str {
        match self {
            Self::Fig2 => "time, s",
            Self::Fig3 | Self::Fig4 => "CPU load of the migrated guest, % of its virtual CPU",
            Self::Fig5 => "CPU load of another guest, % of its virtual CPU",
            Self::Fig6 => "memory of the guest, MiB",
            Self::Fig7 => "page writes per second",
        }
    }

    /// The values on that axis.
    const fn values(self) -> &'static [f64] {
        match self {
            Self::Fig2 => &[50.0],
            Self::Fig3 | Self::Fig4 | Self::Fig5 => &[0.0, 25.0, 50.0, 75.0, 100.0],
            Self::Fig6 => &[96.0, 128.0, 160.0, 224.0, 320.0],
            Self::Fig7 => &[0.0, 1000.0, 2000.0, 4000.0, 8000.0, 16_000.0],
        }
    }

    /// Whether a value is measured with this curve. The weak host under the stock policy has all,
    /// xenmig both ends and a place between, the strong host the ends. When it has to be `quick`,
    /// all have the ends, and figure 6 a place between.
    fn measured(self, curve: Curve, nth: usize, quick: bool) -> bool {
        let last = self.values().len() - 1;
        // Beside a guest that computes these take longest.
        let beside = matches!(self, Self::Fig4 | Self::Fig5);
        match curve {
            // No threshold comes from figure 4, and what has to be linear needs three places.
            Curve::Weak if !quick && self != Self::Fig4 => true,
            Curve::Weak if !quick || self == Self::Fig6 => [0, last / 2, last].contains(&nth),
            Curve::Budget if !quick && !beside => [0, last / 2, last].contains(&nth),
            Curve::Strong if !quick && self == Self::Fig6 => [0, last / 2, last].contains(&nth),
            Curve::Weak | Curve::Strong | Curve::Budget => nth == 0 || nth == last,
        }
    }

    /// The points to measure, those of one guest together.
    pub(super) fn points(self, quick: bool) -> Vec<Point> {
        let point = |(nth, &x): (usize, &f64)| {
            let curves = |kind: Kind| {
                Curve::ALL
                    .into_iter()
                    .filter(move |curve| curve.kind() == kind && self.measured(*curve, nth, quick))
                    .collect::<Vec<_>>()
            };
            [Kind::Weak, Kind::Strong].map(|kind| Point {
                figure: self,
                x,
                kind,
                curves: curves(kind),
            })
        };
        let points = self.values().iter().enumerate().flat_map(point);
        points.filter(|point| !point.curves.is_empty()).collect()
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = Self::ALL.iter().position(|figure| figure == self).unwrap_or(0) + 2;
        write!(f, "fig{number}")
    }
}

/// One figure, or `all` of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures(pub Vec<Figure>);

impl FromStr for Figures {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let named = Figure::ALL.into_iter().filter(|f| text == "all" || f.to_string() == text);
        match named.collect::<Vec<_>>() {
            figures if figures.is_empty() => {
                Err(Error::Unexpected(format!("no figure {text}: all, or fig2 to fig7")))
            }
            figures => Ok(Self(figures)),
        }
    }
}

/// A kind of host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One CPU, shared by Dom0 and the guests as Xen's scheduler does it.
    Weak,
    /// The same CPU, divided by caps, so that nobody takes anybody's time.
    Strong,
}

impl Kind {
    /// What of the CPU Dom0 may use, in per cent; 0 is all.
    pub(super) const fn dom0_cap(self) -> u32 {
        match self {
            Self::Weak => 0,
            Self::Strong => 50,
        }
    }

    /// The same for each guest.
    pub(super) const fn guest_cap(self) -> u32 {
        match self {
            Self::Weak => 0,
            Self::Strong => 25,
        }
    }
}

/// A curve of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Curve {
    /// Stock `xl migrate` on the weak host.
    Weak,
    /// The same on the strong one.
    Strong,
    /// `xenmig migrate` with a budget on the weak host.
    Budget,
}

impl Curve {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Weak, Self::Strong, Self::Budget];

    /// The host it is measured on.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Weak | Self::Budget => Kind::Weak,
            Self::Strong => Kind::Strong,
        }
    }

    /// For legends and raw figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Weak => "weak host",
            Self::Strong => "strong host",
            Self::Budget => "weak host, xenmig",
        }
    }
}

/// A place on a figure's axis, on one kind of host, for one or two curves.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    pub(super) figure: Figure,
    pub(super) x: f64,
    pub(super) kind: Kind,
    pub(super) curves: Vec<Curve>,
}

/// The least that Debian's kernel boots in, with what the guest needs.
const MEMORY_MIB: u32 = 96;
/// A busy and an idle phase of a computing guest.
pub(super) const PERIOD: Duration = Duration::from_millis(100);
/// The set that is modified (49 MB), and a guest that has room for it.
pub(super) const SET_PAGES: usize = 12_000;
const MEMORY_FOR_SET_MIB: u32 = 160;
/// Bytes per second that the link carries. The paper's carried 128 MB in a second; here it is the
/// CPU, and not the link, that a migration waits for most of the time.
pub(super) const RATE: u64 = 32_000_000;

impl Point {
    /// What the migrated guest does.
    pub(super) fn workload(&self) -> Workload {
        match self.figure {
            Figure::Fig2 | Figure::Fig3 | Figure::Fig4 => computing(self.x),
            Figure::Fig5 | Figure::Fig6 => Workload::IDLE,
            Figure::Fig7 => modifying(self.x),
        }
    }

    pub(super) fn memory_mib(&self) -> u32 {
        match self.figure {
            Figure::Fig6 => self.x as u32,
            Figure::Fig7 => MEMORY_FOR_SET_MIB,
            _ => MEMORY_MIB,
        }
    }

    /// What another guest on the same host does; `None` where there is none.
    pub(super) fn other(&self) -> Option<Workload> {
        match self.figure {
            Figure::Fig4 => Some(computing(100.0)),
            Figure::Fig5 => Some(computing(self.x)),
            _ => None,
        }
    }
}

/// Computes for this many per cent of the time, in phases as the paper's load generator. They are
/// long beside the time after which Xen grants a capped guest more, so that a capped virtual CPU is
/// a slower one.
fn computing(percent: f64) -> Workload {
    if percent == 0.0 {
        return Workload::IDLE;
    }
    let busy = PERIOD.mul_f64(percent / 100.0);
    let burst = Some((busy, PERIOD - busy));
    Workload { cpu: percent / 100.0, burst, ..Workload::IDLE }
}

/// Writes to the pages of the set in turn, all the time.
fn modifying(rate: f64) -> Workload {
    if rate == 0.0 {
        return Workload::IDLE;
    }
    Workload { pages: SET_PAGES, rate: Some(rate), pattern: Pattern::Sequential, ..Workload::IDLE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_named_as_in_the_paper() {
        assert_eq!("fig2".parse::<Figures>().unwrap().0, [Figure::Fig2]);
        assert_eq!("all".parse::<Figures>().unwrap().0, Figure::ALL);
        assert!("fig8".parse::<Figures>().is_err());
    }

    #[test]
    fn every_figure_has_all_curves_and_enough_points() {
        for figure in Figure::ALL {
            let points = figure.points(false);
            for curve in Curve::ALL {
                let of = points.iter().filter(|point| point.curves.contains(&curve)).count();
                let least = match (figure, curve) {
                    (Figure::Fig2, _) => 1,
                    (Figure::Fig6, Curve::Weak) => 5,
                    (Figure::Fig7, Curve::Weak) => 6,
                    (Figure::Fig6, Curve::Strong) => 3,
                    (_, Curve::Strong) | (Figure::Fig4 | Figure::Fig5, Curve::Budget) => 2,
                    _ => 3,
                };
                assert!(of >= least, "{figure} {curve:?}: {of}");
            }
        }
    }

    #[test]
    fn a_quick_figure_has_its_ends() {
        let weak = |point: &Point| point.curves.contains(&Curve::Weak);
        let places = |figure: Figure| -> Vec<f64> {
            figure.points(true).iter().filter(|p| weak(p)).map(|p| p.x).collect()
        };
        assert_eq!(places(Figure::Fig2), [50.0]);
        assert_eq!(places(Figure::Fig4), [0.0, 100.0]);
        assert_eq!(places(Figure::Fig6), [96.0, 160.0, 320.0]);
        for curve in [Curve::Strong, Curve::Budget] {
            let points = Figure::Fig7.points(true).into_iter();
            let of: Vec<f64> = points.filter(|p| p.curves.contains(&curve)).map(|p| p.x).collect();
            assert_eq!(of, [0.0, 16_000.0], "{curve:?}");
        }
    }

    #[test]
    fn a_strong_host_has_a_share_for_everybody() {
        assert!(Kind::Strong.dom0_cap() + 2 * Kind::Strong.guest_cap() <= 100);
    }

    #[test]
    fn loads_reach_the_guest_as_words() {
        for figure in Figure::ALL {
            for point in figure.points(false) {
                for workload in [Some(point.workload()), point.other()].into_iter().flatten() {
                    let text = workload.to_string();
                    assert_eq!(text.parse::<Workload>().unwrap(), workload, "{text}");
                }
            }
        }
    }
}
