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
            Self::Fig7 => &[0.0, 1000.0, 2000.0, 3000.0, 4000.0, 8000.0],
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

    /// What is measured at the places of its axis, by kinds of host.
    fn points(self, quick: bool) -> impl Iterator<Item = Point> {
        let places = self.values().iter().enumerate();
        let points = places.flat_map(move |(nth, &x)| {
            [Kind::Weak, Kind::Strong].map(|kind| {
                let measured =
                    |curve: &Curve| curve.kind() == kind && self.measured(*curve, nth, quick);
                let curves = Curve::ALL.into_iter().filter(measured).collect();
                Point { places: vec![(self, x)], scene: self.scene(x, kind), curves }
            })
        });
        points.filter(|point| !point.curves.is_empty())
    }

    /// What is set up at a place of its axis.
    fn scene(self, x: f64, kind: Kind) -> Scene {
        let workload = match self {
            Self::Fig2 | Self::Fig3 | Self::Fig4 => computing(x),
            Self::Fig5 | Self::Fig6 => Workload::IDLE,
            Self::Fig7 => modifying(x),
        };
        let memory_mib = match self {
            Self::Fig6 => x as u32,
            Self::Fig7 => MEMORY_FOR_SET_MIB,
            _ => MEMORY_MIB,
        };
        let other = match self {
            Self::Fig4 => Some(computing(100.0)),
            Self::Fig5 => Some(computing(x)),
            _ => None,
        };
        Scene { kind, workload, memory_mib, other, drawn: self == Self::Fig2 }
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

/// The hosts and guests of a migration.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scene {
    pub(super) kind: Kind,
    /// What the migrated guest does.
    pub(super) workload: Workload,
    pub(super) memory_mib: u32,
    /// What another guest on the same host does; `None` where there is none.
    pub(super) other: Option<Workload>,
    /// Whether its throughput is drawn over time, and so measured once.
    pub(super) drawn: bool,
}

/// What is measured together: one scene, for one or two curves.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    /// All places on figures' axes that have this scene: measured once, it is in each.
    pub(super) places: Vec<(Figure, f64)>,
    pub(super) scene: Scene,
    pub(super) curves: Vec<Curve>,
}

/// The points of these figures.
pub(super) fn points(figures: &[Figure], quick: bool) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    for point in figures.iter().flat_map(|figure| figure.points(quick)) {
        match points.iter_mut().find(|known| known.scene == point.scene) {
            None => points.push(point),
            Some(known) => {
                known.places.extend(point.places);
                known.curves.extend(point.curves);
                known.curves.sort();
                known.curves.dedup();
            }
        }
    }
    points
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

    /// Where a curve of a figure has places when all figures are measured.
    fn places(figure: Figure, curve: Curve, quick: bool) -> Vec<f64> {
        let points = points(&Figure::ALL, quick);
        let with = points.iter().filter(|point| point.curves.contains(&curve));
        let all = with.flat_map(|point| point.places.iter());
        all.filter(|(of, _)| *of == figure).map(|(_, x)| *x).collect()
    }

    #[test]
    fn every_figure_has_all_curves_and_enough_places() {
        for figure in Figure::ALL {
            for curve in Curve::ALL {
                let of = places(figure, curve, false).len();
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
        let weak = |figure| places(figure, Curve::Weak, true);
        assert_eq!(weak(Figure::Fig2), [50.0]);
        assert_eq!(weak(Figure::Fig4), [0.0, 100.0]);
        assert_eq!(weak(Figure::Fig6), [96.0, 160.0, 320.0]);
        for curve in [Curve::Strong, Curve::Budget] {
            assert_eq!(places(Figure::Fig7, curve, true), [0.0, 8000.0], "{curve:?}");
        }
    }

    #[test]
    fn what_figures_have_in_common_is_measured_once() {
        use Figure::{Fig3, Fig4, Fig5, Fig6, Fig7};
        let points = points(&Figure::ALL, false);
        let shared = |kind| {
            let of_kind = points.iter().filter(move |point| point.scene.kind == kind);
            let places = of_kind.map(|point| point.places.clone());
            places.filter(|places| places.len() > 1).collect::<Vec<_>>()
        };
        let idle = vec![(Fig3, 0.0), (Fig6, 96.0)];
        let beside = vec![(Fig4, 0.0), (Fig5, 100.0)];
        let with_set = vec![(Fig6, 160.0), (Fig7, 0.0)];
        assert_eq!(shared(Kind::Weak), [idle, beside, with_set]);
        assert_eq!(shared(Kind::Weak), shared(Kind::Strong));
    }

    #[test]
    fn a_strong_host_has_a_share_for_everybody() {
        assert!(Kind::Strong.dom0_cap() + 2 * Kind::Strong.guest_cap() <= 100);
    }

    #[test]
    fn loads_reach_the_guest_as_words() {
        for Point { scene, .. } in points(&Figure::ALL, false) {
            for workload in [Some(scene.workload), scene.other].into_iter().flatten() {
                let text = workload.to_string();
                assert_eq!(text.parse::<Workload>().unwrap(), workload, "{text}");
            }
        }
    }
}
