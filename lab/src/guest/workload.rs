//! Workloads by name, and how many pages each writes at which moment.

use std::str::FromStr;
use std::time::Duration;

use super::content::mix;

/// Pages are written once per slot.
const SLOT: Duration = Duration::from_millis(10);

/// Which page of the set is written next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// Uniformly random.
    Random,
    /// One after the other, round and round.
    Sequential,
}

/// What a guest does. Written as `idle`, `hot:PAGES,RATE`, `sweep:PAGES,RATE`,
/// `burst:PAGES,RATE,BUSY_MS,IDLE_MS`, `cpu:SHARE[,PAGES,RATE]` or
/// `phase:SHARE,PERIOD_MS,WRITES,PAGES[,sweep]`; a rate is in pages per second,
/// or `max`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Workload {
    /// Size of the written set.
    pub pages: usize,
    /// Page writes per second while busy; `None` is as fast as the CPU allows.
    pub rate: Option<f64>,
    /// Order of the writes.
    pub pattern: Pattern,
    /// Busy and idle time of a burst; `None` is busy all the time.
    pub burst: Option<(Duration, Duration)>,
    /// Share of each virtual CPU spent computing, 0 to 1. With bursts it is
    /// their busy part of a period.
    pub cpu: f64,
}

/// A workload that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "workload {0:?}: expected idle, hot:PAGES,RATE, sweep:PAGES,RATE, \
     burst:PAGES,RATE,BUSY_MS,IDLE_MS, cpu:SHARE[,PAGES,RATE] or \
     phase:SHARE,PERIOD_MS,WRITES,PAGES[,sweep] (RATE in pages/s or max)"
)]
pub struct Parse(String);

impl Workload {
    /// Writes nothing and computes nothing.
    pub const IDLE: Self =
        Self { pages: 0, rate: Some(0.0), pattern: Pattern::Random, burst: None, cpu: 0.0 };

    /// Page writes due between the start and `elapsed`; `None` without a limit.
    ///
    /// During the idle part of a burst the figure does not grow.
    pub fn due(&self, elapsed: Duration) -> Option<u64> {
        let rate = self.rate?;
        let busy = match self.burst {
            None => elapsed.as_secs_f64(),
            Some((busy, idle)) => {
                let (busy, period) = (busy.as_secs_f64(), (busy + idle).as_secs_f64());
                let cycles = (elapsed.as_secs_f64() / period).floor();
                cycles * busy + (elapsed.as_secs_f64() - cycles * period).min(busy)
            }
        };
        // A whole number of phases must not fall short of its writes.
        Some((busy * rate + 1e-6) as u64)
    }

    /// Until when it computes, `elapsed` after the start; `None` while it does not.
    pub fn computes_until(&self, elapsed: Duration) -> Option<Duration> {
        let period = self.burst.map_or(SLOT, |(busy, idle)| busy + idle);
        let phase = Duration::from_nanos((elapsed.as_nanos() % period.as_nanos()) as u64);
        let end = elapsed - phase + period.mul_f64(self.cpu);
        (elapsed < end).then_some(end)
    }

    /// How often it has to be looked after: with every phase, and more often where it writes.
    pub fn slot(&self) -> Duration {
        match self.burst {
            Some((busy, idle)) if !self.writes() => busy + idle,
            _ => SLOT,
        }
    }

    /// Whether it ever writes a page.
    pub fn writes(&self) -> bool {
        self.pages > 0 && self.rate != Some(0.0)
    }
}

impl FromStr for Workload {
    type Err = Parse;

    fn from_str(text: &str) -> Result<Self, Parse> {
        parse(text).ok_or_else(|| Parse(text.to_owned()))
    }
}

impl std::fmt::Display for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rate = self.rate.map_or_else(|| "max".to_owned(), |r| r.to_string());
        match (self.burst, self.pattern) {
            (Some((busy, idle)), pattern) if self.cpu > 0.0 => {
                let writes = (self.rate.unwrap_or(0.0) * busy.as_secs_f64()).round();
                let (ms, pages) = ((busy + idle).as_millis(), self.pages);
                let order = if pattern == Pattern::Sequential { ",sweep" } else { "" };
                write!(f, "phase:{},{ms},{writes},{pages}{order}", self.cpu)
            }
            _ if self.cpu > 0.0 => write!(f, "cpu:{},{},{rate}", self.cpu, self.pages),
            _ if !self.writes() => write!(f, "idle"),
            (Some((busy, idle)), _) => {
                let (busy, idle) = (busy.as_millis(), idle.as_millis());
                write!(f, "burst:{},{rate},{busy},{idle}", self.pages)
            }
            (None, Pattern::Random) => write!(f, "hot:{},{rate}", self.pages),
            (None, Pattern::Sequential) => write!(f, "sweep:{},{rate}", self.pages),
        }
    }
}

fn parse(text: &str) -> Option<Workload> {
    if text == "idle" {
        return Some(Workload::IDLE);
    }
    let (name, arguments) = text.split_once(':')?;
    let arguments: Vec<&str> = arguments.split(',').collect();
    let set = |pages: &str, rate: &str| {
        let pages: usize = pages.parse().ok()?;
        let rate = if rate == "max" { None } else { Some(non_negative(rate)?) };
        (pages > 0).then_some(Workload { pages, rate, ..Workload::IDLE })
    };
    match (name, arguments.as_slice()) {
        ("hot", [pages, rate]) => set(pages, rate),
        ("sweep", [pages, rate]) => {
            Some(Workload { pattern: Pattern::Sequential, ..set(pages, rate)? })
        }
        ("burst", [pages, rate, busy, idle]) => {
            let ms = |s: &str| s.parse().ok().map(Duration::from_millis).filter(|d| !d.is_zero());
            let workload = Workload { burst: Some((ms(busy)?, ms(idle)?)), ..set(pages, rate)? };
            workload.rate.map(|_| workload)
        }
        ("cpu", [share, set_of @ ..]) => {
            let cpu = non_negative(share).filter(|&s| s <= 1.0)?;
            match set_of {
                [] => Some(Workload { cpu, ..Workload::IDLE }),
                ["0", _] => Some(Workload { cpu, ..Workload::IDLE }),
                [pages, rate] => Some(Workload { cpu, ..set(pages, rate)? }),
                _ => None,
            }
        }
        ("phase", [share, period, writes, pages, order @ ..]) => {
            let pattern = match order {
                [] => Pattern::Random,
                ["sweep"] => Pattern::Sequential,
                _ => return None,
            };
            let cpu = non_negative(share).filter(|&s| s > 0.0 && s <= 1.0)?;
            let period = period.parse().ok().map(Duration::from_millis).filter(whole_slots)?;
            let busy = period.mul_f64(cpu);
            let writes: u32 = writes.parse().ok()?;
            let rate = Some(f64::from(writes) / busy.as_secs_f64());
            let burst = Some((busy, period - busy));
            let pages = pages.parse().ok().filter(|&pages| pages > 0 || writes == 0)?;
            Some(Workload { pages, rate, pattern, burst, cpu })
        }
        _ => None,
    }
}

fn whole_slots(period: &Duration) -> bool {
    !period.is_zero() && period.as_nanos().is_multiple_of(SLOT.as_nanos())
}

fn non_negative(text: &str) -> Option<f64> {
    text.parse().ok().filter(|x: &f64| x.is_finite() && *x >= 0.0)
}

/// SplitMix64: small, fast, the same numbers for the same seed.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which must not be 0.
    #[inline]
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        ((u128::from(mix(self.0)) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_read_back_as_they_print() {
        for text in [
            "idle",
            "hot:4000,2000",
            "hot:100,max",
            "sweep:4000,0.5",
            "burst:500,1000,200,800",
            "cpu:0.5,10,20",
            "cpu:1,0,0",
            "phase:0.3,100,40,500",
            "phase:1,20,7,500,sweep",
            "phase:0.4,100,0,0",
        ] {
            assert_eq!(text.parse::<Workload>().unwrap().to_string(), text);
        }
        assert_eq!("cpu:0.25".parse::<Workload>().unwrap().cpu, 0.25);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "hot",
            "hot:1",
            "hot:0,5",
            "hot:5,-1",
            "cpu:2",
            "burst:5,5,0,5",
            "cpu:1,2",
            "nap:1",
            "phase:0,100,40,500",
            "phase:0.5,95,40,500",
            "phase:0.5,100,40,0",
            "phase:0.5,100,40,10,back",
        ] {
            assert!(text.parse::<Workload>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_burst_writes_only_while_busy() {
        let w: Workload = "burst:10,1000,200,800".parse().unwrap();
        let due = |ms| w.due(Duration::from_millis(ms)).unwrap();
        assert_eq!((due(100), due(200), due(999), due(1100), due(2000)), (100, 200, 200, 300, 400));
    }

    #[test]
    fn a_phase_computes_and_writes_in_its_busy_part() {
        let w: Workload = "phase:0.3,100,40,500".parse().unwrap();
        let ms = Duration::from_millis;
        let due = |t| w.due(ms(t)).unwrap();
        assert_eq!((due(15), due(30), due(99), due(115), due(1000)), (20, 40, 40, 60, 400));
        assert_eq!(w.computes_until(ms(215)), Some(ms(230)));
        assert_eq!(w.computes_until(ms(231)), None);
        let w: Workload = "cpu:0.25".parse().unwrap();
        assert_eq!(w.computes_until(ms(52)), Some(Duration::from_micros(52_500)));
        assert_eq!(w.computes_until(ms(53)), None);
    }

    #[test]
    fn random_pages_cover_the_set_evenly() {
        let mut rng = Rng::new(1);
        let mut hits = [0u32; 50];
        (0..50_000).for_each(|_| hits[rng.below(50)] += 1);
        assert!(hits.iter().all(|&h| (850..1150).contains(&h)), "{hits:?}");
    }
}
