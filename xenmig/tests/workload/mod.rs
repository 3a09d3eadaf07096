//! Guests that write pages, for tests: exact page sets in virtual time.

#![allow(dead_code, reason = "each test binary uses its part")]

pub mod oracle;

use std::time::Duration;

use xenmig::dirty::{Ended, Plan, Window};
use xenmig::units::Pages;

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in 0..1.
    pub fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A set of pages, one flag each.
#[derive(Debug, Clone, Default)]
pub struct PageSet(Vec<bool>, u64);

impl PageSet {
    /// Adds a page.
    pub fn insert(&mut self, page: u64) {
        let page = page as usize;
        if self.0.len() <= page {
            self.0.resize(page + 1, false);
        }
        self.1 += u64::from(!std::mem::replace(&mut self.0[page], true));
    }

    /// Pages in it.
    pub fn len(&self) -> u64 {
        self.1
    }

    /// Whether `page` is in it.
    pub fn contains(&self, page: u64) -> bool {
        self.0.get(page as usize) == Some(&true)
    }

    /// Its pages, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        (0..self.0.len() as u64).filter(|page| self.contains(*page))
    }
}

/// What a guest writes: `rate` writes per second at random moments, a share of them (`swept`) to
/// the next page of a sweep over `sweep` pages, the others to one of `hot` pages, picked by the
/// `skew`-th power of a uniform number.
#[derive(Debug, Clone)]
pub struct Workload {
    pub rate: f64,
    pub hot: u64,
    pub skew: i32,
    pub swept: f64,
    pub sweep: u64,
}

impl Workload {
    /// Uniform writes to a hot set.
    pub fn hot(rate: f64, hot: u64) -> Self {
        Self { rate, hot, skew: 1, swept: 0.0, sweep: 1 }
    }

    /// Page after page.
    pub fn sweep(rate: f64, sweep: u64) -> Self {
        Self { rate, hot: 1, skew: 1, swept: 1.0, sweep }
    }

    /// A hot set, and a sweep over 500,000 pages.
    pub fn mixed(rate: f64, hot: u64, swept: f64) -> Self {
        Self { rate, hot, skew: 1, swept, sweep: 500_000 }
    }

    /// Some pages much hotter than others.
    pub fn skewed(rate: f64, hot: u64) -> Self {
        Self { rate, hot, skew: 4, swept: 0.0, sweep: 1 }
    }

    /// A guest that does it.
    pub fn start(&self, seed: u64) -> Guest {
        Guest { workload: self.clone(), random: Random(seed), swept: 0, due: 0.0 }
    }
}

/// A running guest.
#[derive(Debug, Clone)]
pub struct Guest {
    workload: Workload,
    random: Random,
    swept: u64,
    /// Time until its next write.
    due: f64,
}

impl Guest {
    /// Lets `seconds` pass; `wrote` gets each page written to and when.
    pub fn run(&mut self, seconds: f64, mut wrote: impl FnMut(u64, f64)) {
        let mut now = self.due;
        while now < seconds {
            let work = &self.workload;
            let page = if self.random.uniform() < work.swept {
                self.swept += 1;
                work.hot + self.swept % work.sweep
            } else {
                (self.random.uniform().powi(work.skew) * work.hot as f64) as u64
            };
            wrote(page, now);
            now += -(1.0 - self.random.uniform()).ln() / self.workload.rate;
        }
        self.due = now - seconds;
    }
}

/// What a sampler sees of `guest` in a window of `end` seconds.
pub fn window(guest: &mut Guest, end: f64) -> Window {
    window_and_beyond(guest, end, []).0
}

/// Also the pages it has dirtied by each of some later times, ascending.
pub fn window_and_beyond<const N: usize>(
    guest: &mut Guest,
    end: f64,
    later: [f64; N],
) -> (Window, [f64; N]) {
    let moments = Plan::default().moments(Duration::from_secs_f64(end)).into_iter();
    let mut moments = moments.peekable();
    let (mut dirty, mut points) = (PageSet::default(), Vec::new());
    let mut beyond = [0.0; N];
    guest.run(later.last().map_or(end, |last| last.max(end)), |page, now| {
        while let Some(moment) = moments.next_if(|moment| moment.as_secs_f64() < now) {
            points.push((moment, Pages(dirty.len())));
        }
        dirty.insert(page);
        for (pages, _) in beyond.iter_mut().zip(&later).filter(|(_, later)| now <= **later) {
            *pages = dirty.len() as f64;
        }
    });
    points.extend(moments.map(|moment| (moment, Pages(dirty.len()))));
    let window = Window {
        points,
        ended: Ended::Complete,
        vcpu_utilisation: Vec::new(),
        host_cpu_utilisation: None,
        host_cpus: None,
    };
    (window, beyond)
}
