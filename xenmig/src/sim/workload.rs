//! What a simulated guest writes to. A workload is a few streams of numbered writes; which page
//! write number k hits follows from the seed and k alone, so a window's dirty pages depend on when
//! it starts and on nothing else.

use std::f64::consts::TAU;
use std::time::Duration;

use serde::Deserialize;

use super::scene::Span;

/// What a guest does to its memory. Rates are in writes per second, each to one page.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Workload {
    /// Writes all over `pages` pages, in no order.
    Steady {
        /// Writes per second.
        rate: f64,
        /// Pages written to.
        pages: u64,
    },
    /// Most writes go to a few hot pages.
    Hot {
        /// Writes per second.
        rate: f64,
        /// The hot pages.
        pages: u64,
        /// The share of the writes that goes to the hot pages, 0 to 1.
        #[serde(default = "hot_share")]
        share: f64,
        /// The pages that the other writes go to.
        cold_pages: u64,
    },
    /// Writes `pages` pages in order, over and over.
    Sweep {
        /// Writes per second.
        rate: f64,
        /// Pages written to.
        pages: u64,
    },
    /// Busy for a while in each period.
    Burst {
        /// From the start of one burst to the start of the next.
        period: Span,
        /// How long each burst lasts.
        busy: Span,
        /// How far into a period the host comes up.
        #[serde(default)]
        phase: Span,
        /// Writes per second in a burst.
        rate: f64,
        /// Writes per second between bursts.
        #[serde(default)]
        quiet_rate: f64,
        /// Pages written to.
        pages: u64,
        /// What a burst adds to the use of each vCPU, 0 to 1.
        #[serde(default)]
        cpu: f64,
    },
    /// Swings between a low at the start of a period and a high in its middle.
    Diurnal {
        /// Length of a day.
        #[serde(default = "day")]
        period: Span,
        /// How far into the day the host comes up.
        #[serde(default)]
        phase: Span,
        /// Writes per second at the quietest.
        low: f64,
        /// Writes per second at the busiest.
        high: f64,
        /// Pages written to.
        pages: u64,
    },
}

fn hot_share() -> f64 {
    0.9
}

fn day() -> Span {
    Span(Duration::from_secs(86_400))
}

impl Workload {
    /// All pages it may write to.
    pub fn pages(&self) -> u64 {
        match *self {
            Self::Hot { pages, cold_pages, .. } => pages + cold_pages,
            Self::Steady { pages, .. }
            | Self::Sweep { pages, .. }
            | Self::Burst { pages, .. }
            | Self::Diurnal { pages, .. } => pages,
        }
    }

    /// What is wrong with its numbers; `None` when nothing is.
    pub fn fault(&self) -> Option<&'static str> {
        let rates = match *self {
            Self::Steady { rate, .. } | Self::Sweep { rate, .. } | Self::Hot { rate, .. } => {
                [rate, 0.0]
            }
            Self::Burst { rate, quiet_rate, .. } => [rate, quiet_rate],
            Self::Diurnal { low, high, .. } => [low, high - low],
        };
        if !rates.iter().all(|rate| (0.0..=1e9).contains(rate)) {
            return Some("a rate is a number from 0 to 1e9 writes per second, and low <= high");
        }
        match *self {
            Self::Hot { share, .. } if !(0.0..=1.0).contains(&share) => {
                Some("share is a number from 0 to 1")
            }
            Self::Burst { cpu, .. } if !(0.0..=1.0).contains(&cpu) => {
                Some("cpu is a number from 0 to 1")
            }
            Self::Burst { period, busy, .. } if busy > period || period.0.is_zero() => {
                Some("a burst's busy time fits into its period")
            }
            Self::Diurnal { period, .. } if period.0.is_zero() => Some("a day is longer than 0"),
            _ => None,
        }
    }

    /// CPU time it has used per vCPU when the host has been up for `up`, beyond the domain's own.
    pub fn cpu_time(&self, up: Duration) -> Duration {
        match *self {
            Self::Burst { period, busy, phase, cpu, .. } => {
                let pace = Pace::Burst { period, busy, rate: cpu, quiet_rate: 0.0 };
                Duration::from_secs_f64(pace.between(phase.0, phase.0 + up))
            }
            _ => Duration::ZERO,
        }
    }

    /// Its streams, the first one's pages starting at page `first` of the guest.
    pub fn streams(&self, first: u64, seed: u64) -> Vec<Stream> {
        let stream = |first, pages, order, pace, phase: Span| Stream {
            first,
            pages,
            order,
            pace,
            phase: phase.0,
            seed: mix(seed ^ mix(first)),
        };
        let even = |rate| Pace::Even { rate };
        let zero = Span::default();
        match *self {
            Self::Steady { rate, pages } => {
                vec![stream(first, pages, Order::Random, even(rate), zero)]
            }
            Self::Sweep { rate, pages } => {
                vec![stream(first, pages, Order::Sweep, even(rate), zero)]
            }
            Self::Hot { rate, pages, share, cold_pages } => vec![
                stream(first, pages, Order::Random, even(rate * share), zero),
                stream(first + pages, cold_pages, Order::Random, even(rate * (1.0 - share)), zero),
            ],
            Self::Burst { period, busy, phase, rate, quiet_rate, pages, .. } => {
                let pace = Pace::Burst { period, busy, rate, quiet_rate };
                vec![stream(first, pages, Order::Random, pace, phase)]
            }
            Self::Diurnal { period, phase, low, high, pages } => {
                let pace = Pace::Diurnal { period, low, high };
                vec![stream(first, pages, Order::Random, pace, phase)]
            }
        }
    }
}

/// Which page a stream's next write hits.
#[derive(Debug, Clone, Copy)]
enum Order {
    Random,
    Sweep,
}

/// How many writes a second.
#[derive(Debug, Clone, Copy)]
enum Pace {
    Even { rate: f64 },
    Burst { period: Span, busy: Span, rate: f64, quiet_rate: f64 },
    Diurnal { period: Span, low: f64, high: f64 },
}

impl Pace {
    /// Writes from time 0 to `t`: the rate's integral.
    fn writes(self, t: Duration) -> f64 {
        let t = t.as_secs_f64();
        match self {
            Self::Even { rate } => rate * t,
            Self::Burst { period, busy, rate, quiet_rate } => {
                let (period, busy) = (period.0.as_secs_f64(), busy.0.as_secs_f64());
                let whole = (t / period).floor();
                let rest = t - whole * period;
                let busy_time = whole * busy + rest.min(busy);
                busy_time * rate + (t - busy_time) * quiet_rate
            }
            Self::Diurnal { period, low, high } => {
                let omega = TAU / period.0.as_secs_f64();
                low * t + (high - low) / 2.0 * (t - (omega * t).sin() / omega)
            }
        }
    }

    fn between(self, from: Duration, to: Duration) -> f64 {
        (self.writes(to) - self.writes(from)).max(0.0)
    }
}

/// Numbered writes to pages of its own.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    first: u64,
    pages: u64,
    order: Order,
    pace: Pace,
    phase: Duration,
    seed: u64,
}

impl Stream {
    /// The number of the next write when the host has been up for `up`.
    fn position(&self, up: Duration) -> u64 {
        self.pace.writes(self.phase + up) as u64
    }

    /// The page, among its own, that write number `k` hits.
    fn page(&self, k: u64) -> u64 {
        match self.order {
            Order::Sweep => k % self.pages,
            Order::Random => {
                let scaled = u128::from(mix(self.seed ^ k)) * u128::from(self.pages);
                (scaled >> 64) as u64
            }
        }
    }
}

/// The pages a guest has dirtied since its log was clean.
#[derive(Debug)]
pub(super) struct DirtyPages {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    stream: Stream,
    next: u64,
    dirty: Vec<bool>,
    count: u64,
}

impl DirtyPages {
    /// A clean log when the host has been up for `up`.
    pub fn clean(streams: Vec<Stream>, up: Duration) -> Self {
        let part = |stream: Stream| Part {
            next: stream.position(up),
            dirty: vec![false; stream.pages as usize],
            count: 0,
            stream,
        };
        Self { parts: streams.into_iter().map(part).collect() }
    }

    /// Lets the guest write until the host has been up for `up`.
    pub fn advance(&mut self, up: Duration) {
        for part in &mut self.parts {
            let end = part.stream.position(up);
            while part.next < end && part.count < part.stream.pages {
                let page = part.stream.page(part.next) as usize;
                part.count += u64::from(!part.dirty[page]);
                part.dirty[page] = true;
                part.next += 1;
            }
        }
    }

    pub fn count(&self) -> u64 {
        self.parts.iter().map(|part| part.count).sum()
    }

    /// The dirty pages, as numbers of the guest's pages.
    pub fn pages(&self) -> impl Iterator<Item = u64> {
        self.parts.iter().flat_map(|part| {
            let dirty = part.dirty.iter().zip(part.stream.first..).filter(|(dirty, _)| **dirty);
            dirty.map(|(_, page)| page)
        })
    }
}

/// Scatters the bits of a number (the finaliser of SplitMix64; Steele, Lea and Flood 2014).
pub(super) const fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
