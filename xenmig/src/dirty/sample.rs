//! The sampler: switches the dirty log on, PEEKs at geometric times, and so reads W(t) directly,
//! each page faulting once per window.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Bitmap;
use crate::error::{Error, Kind, Result};
use crate::host::{Domain, Host, Wake};
use crate::units::Pages;

/// How to sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Length of each window: the log is on for this long.
    pub window: Duration,
    /// How many windows. Their spread is what the prediction's quantiles come from.
    pub windows: u32,
    /// After each window, so many brief ones: W at short times, which small rounds depend on,
    /// differs most from one moment to the next.
    pub brief_windows: u32,
    /// Length of a brief window.
    pub brief: Duration,
    /// Pause between windows, with the log off: half as long to one and a half times as long, so
    /// that windows do not keep step with what the guest does.
    pub pause: Duration,
    /// First PEEK of a window.
    pub first: Duration,
    /// Each PEEK comes this many times later than the one before; above 1.
    pub ratio: f64,
    /// Also read, at the end of each window, which pages were dirtied.
    pub bitmap: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(3),
            windows: 3,
            brief_windows: 2,
            brief: Duration::from_millis(300),
            pause: Duration::from_millis(250),
            first: Duration::from_millis(5),
            ratio: std::f64::consts::SQRT_2,
            bitmap: false,
        }
    }
}

impl Plan {
    /// The lengths of all windows, in time order.
    #[must_use]
    pub fn lengths(&self) -> Vec<Duration> {
        let brief = self.brief.min(self.window);
        let one =
            || std::iter::once(self.window).chain((0..self.brief_windows).map(move |_| brief));
        (0..self.windows.max(1)).flat_map(|_| one()).collect()
    }

    /// The pause before window `nth`, from 1.
    fn pause_before(&self, nth: usize) -> Duration {
        self.pause.mul_f64(0.5 + scattered(nth as u64))
    }

    /// The moments of the PEEKs in a window of `length`, ascending; the last is its end.
    #[must_use]
    pub fn moments(&self, length: Duration) -> Vec<Duration> {
        let end = length.as_secs_f64();
        let first = self.first.as_secs_f64().max(1e-4);
        let ratio = self.ratio.max(1.01);
        // A PEEK just before the end would say the same as the one at the end.
        let mut moments: Vec<_> = std::iter::successors(Some(first), |t| Some(t * ratio))
            .take_while(|t| *t < end / ratio.sqrt())
            .map(Duration::from_secs_f64)
            .collect();
        moments.push(length);
        moments
    }

    /// How long the whole sample takes.
    #[must_use]
    pub fn duration(&self) -> Duration {
        let lengths = self.lengths();
        let pauses = (1..lengths.len()).map(|nth| self.pause_before(nth));
        lengths.iter().copied().chain(pauses).sum()
    }
}

/// From 0 to 1, for `nth` moments that should keep step with nothing: multiples of the golden section
/// lie as far from each other as can be.
pub(crate) fn scattered(nth: u64) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    (nth as f64 * GOLDEN).fract()
}

/// Why a window ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// At its planned end.
    Complete,
    /// A save of the domain began; the log was let go at once.
    SaveBegan,
    /// The user asked to stop.
    Interrupted,
    /// The domain went away.
    DomainGone,
}

/// One window: the dirty log switched on, PEEKed at growing times, switched off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// (time since the log was clean, distinct pages dirtied since), both non-decreasing.
    pub points: Vec<(Duration, Pages)>,
    /// Why it ended.
    pub ended: Ended,
    /// CPU use of each vCPU over the window, 0 to 1. Empty when it could not be read.
    pub vcpu_utilisation: Vec<f64>,
    /// CPU use of the whole host over the window, 0 to 1; `None` when it could not be read.
    pub host_cpu_utilisation: Option<f64>,
    /// Physical CPUs of the host; `None` when they could not be read.
    pub host_cpus: Option<u32>,
}

/// What sampling one domain showed.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The domain, as it was when sampling began.
    pub domain: Domain,
    /// The windows, in time order; the last may have ended early. Never empty, but a window that
    /// ended at once may have no points.
    pub windows: Vec<Window>,
    /// How often each page was among the dirtied ones: one bitmap per window that reached its
    /// end, without the brief ones. Empty unless [`Plan::bitmap`].
    pub bitmaps: Vec<Bitmap>,
}

impl Sample {
    /// Why the sample ended: as its last window did.
    #[must_use]
    pub fn ended(&self) -> Ended {
        self.windows.last().map_or(Ended::Complete, |window| window.ended)
    }

    /// The windows but the brief ones.
    pub fn long(&self) -> impl Iterator<Item = &Window> {
        let longest = self.windows.iter().map(Window::length).max().unwrap_or_default();
        self.windows.iter().filter(move |window| window.length() * 2 >= longest)
    }

    /// The windows that reached their end, without the brief ones.
    pub fn complete(&self) -> impl Iterator<Item = &Window> {
        self.long().filter(|window| window.ended == Ended::Complete)
    }

    /// Whether the guest dirtied pages about as fast in every window, brief ones included: in the
    /// time of the shortest, nowhere more than one and a half times as many as anywhere else.
    ///
    /// `None` below four windows, which show too little, and where it did but its CPU use varied as
    /// much: pages tell of the begin of each window only, CPU time of all of it.
    #[must_use]
    pub fn is_steady(&self) -> Option<bool> {
        /// Pages that come and go with the kernel's own work, and CPU use.
        const KERNEL: (f64, f64) = (50.0, 0.02);
        let whole = || self.windows.iter().filter(|window| window.ended == Ended::Complete);
        let shortest = whole().map(Window::length).min()?;
        let dirtied = |window: &Window| {
            let seen = window.points.iter().take_while(|(at, _)| *at <= shortest);
            seen.last().map_or(0.0, |(_, pages)| pages.0 as f64)
        };
        let cpu = |window: &Window| window.vcpu_utilisation.iter().sum::<f64>();
        if whole().count() < 4 {
            None
        } else if !is_even(whole().map(dirtied), KERNEL.0) {
            Some(false)
        } else {
            is_even(self.complete().map(cpu), KERNEL.1).then_some(true)
        }
    }

    /// CPU use of each vCPU, 0 to 1, averaged over the windows.
    #[must_use]
    pub fn vcpu_utilisation(&self) -> Vec<f64> {
        let known = || self.long().filter(|window| !window.vcpu_utilisation.is_empty());
        let Some(vcpus) = known().map(|window| window.vcpu_utilisation.len()).min() else {
            return Vec::new();
        };
        (0..vcpus).map(|v| mean(known().map(|window| window.vcpu_utilisation[v]))).collect()
    }

    /// CPU use of the host, 0 to 1, averaged over the windows; `None` when unknown.
    #[must_use]
    pub fn host_cpu_utilisation(&self) -> Option<f64> {
        let known: Vec<_> = self.long().filter_map(|window| window.host_cpu_utilisation).collect();
        (!known.is_empty()).then(|| mean(known.into_iter()))
    }

    /// Physical CPUs of the host; `None` when unknown.
    #[must_use]
    pub fn host_cpus(&self) -> Option<u32> {
        self.windows.iter().find_map(|window| window.host_cpus)
    }
}

/// Whether the greatest is at most one and a half times the least, and `slack`.
fn is_even(values: impl Iterator<Item = f64>, slack: f64) -> bool {
    let (least, most) = values
        .fold((f64::INFINITY, 0.0f64), |(least, most), value| (least.min(value), most.max(value)));
    most <= 1.5 * least + slack
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
    sum / f64::from(count.max(1))
}

/// Samples `domain` as `plan` says. `progress` is called after each PEEK with the share of the
/// plan that is done, 0 to 1.
///
/// A window that ends early (a save begins, the domain goes, `stop` is set) ends the sample; what
/// was seen until then is returned.
///
/// # Errors
/// As [`Host::dirty_log`]; [`Kind::NoSuchDomain`] when the domain was gone before the first PEEK.
pub fn sample(
    host: &dyn Host,
    domain: &Domain,
    plan: &Plan,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(f64),
) -> Result<Sample> {
    let mut taken = Sample { domain: domain.clone(), windows: Vec::new(), bitmaps: Vec::new() };
    let lengths = plan.lengths();
    let whole: Duration = lengths.iter().sum();
    let mut done = Duration::ZERO;
    for (nth, length) in lengths.into_iter().enumerate() {
        if nth > 0 && !host.pause(plan.pause_before(nth), stop) {
            break;
        }
        let mut at = |t: Duration| progress((done + t).div_duration_f64(whole).min(1.0));
        let ended = one_window(host, &mut taken, plan, length, stop, &mut at);
        done += length;
        match ended {
            Ok(()) if taken.ended() == Ended::Complete => {}
            Ok(()) => break,
            // What an earlier window saw is worth more than the error that ended this one.
            Err(error) if nth > 0 => {
                log::warn!("sampling of domain {} ends after {nth} windows: {error}", domain.id);
                let ended = match error.kind() {
                    Kind::NoSuchDomain => Ended::DomainGone,
                    Kind::Interrupted => Ended::Interrupted,
                    Kind::Busy => Ended::SaveBegan,
                    _ => return Err(error),
                };
                taken.windows.push(Window::ended_at_once(ended));
                break;
            }
            Err(error) => return Err(error),
        }
    }
    if taken.ended() == Ended::DomainGone && taken.windows.iter().all(|w| w.points.is_empty()) {
        let what = format!("domain {} went away before it could be sampled", domain.id);
        return Err(Error::new(Kind::NoSuchDomain, what));
    }
    Ok(taken)
}

impl Window {
    /// Up to its last PEEK.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.points.last().map_or(Duration::ZERO, |(at, _)| *at)
    }

    fn ended_at_once(ended: Ended) -> Self {
        Self {
            points: Vec::new(),
            ended,
            vcpu_utilisation: Vec::new(),
            host_cpu_utilisation: None,
            host_cpus: None,
        }
    }
}

fn one_window(
    host: &dyn Host,
    taken: &mut Sample,
    plan: &Plan,
    length: Duration,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(Duration),
) -> Result<()> {
    let id = taken.domain.id;
    if stop.load(Ordering::Relaxed) {
        taken.windows.push(Window::ended_at_once(Ended::Interrupted));
        return Ok(());
    }
    let mut log = host.dirty_log(id, stop)?;
    let mut window = Window::ended_at_once(Ended::Complete);
    let before = host.cpu_times(id);
    for moment in plan.moments(length) {
        window.ended = match log.wait_until(moment)? {
            Wake::Due => Ended::Complete,
            Wake::SaveBegins => Ended::SaveBegan,
            Wake::Interrupted => Ended::Interrupted,
        };
        if window.ended != Ended::Complete {
            break;
        }
        match log.peek() {
            Ok(peek) => window.points.push((peek.at, peek.dirty)),
            Err(error) if error.kind() == Kind::NoSuchDomain => {
                window.ended = Ended::DomainGone;
                break;
            }
            // It began between the wait and the PEEK.
            Err(error) if error.kind() == Kind::Busy => {
                window.ended = Ended::SaveBegan;
                break;
            }
            Err(error) => return Err(error),
        }
        progress(moment);
    }
    if plan.bitmap && length == plan.window && window.ended == Ended::Complete {
        let mut bitmap = Bitmap::new(taken.domain.p2m_size);
        log.peek_bitmap(&mut bitmap)?;
        taken.bitmaps.push(bitmap);
    }
    log.close()?;
    if let (Ok(before), Ok(after)) = (before, host.cpu_times(id)) {
        window.vcpu_utilisation = after.vcpu_utilisation_since(&before);
        window.host_cpu_utilisation = after.host_utilisation_since(&before);
        window.host_cpus = u32::try_from(after.idle.len()).ok().filter(|cpus| *cpus > 0);
    }
    taken.windows.push(window);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{DomId, GuestType, RunState, Uuid};

    #[test]
    fn moments_grow_and_end_with_the_window() {
        let plan = Plan::default();
        let moments = plan.moments(plan.window);
        assert_eq!(moments[0], plan.first);
        assert_eq!(*moments.last().unwrap(), plan.window);
        assert!(moments.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_window_shorter_than_the_first_peek_still_peeks_once() {
        let plan = Plan { window: Duration::from_millis(1), ..Plan::default() };
        assert_eq!(plan.moments(plan.window), [Duration::from_millis(1)]);
        assert!(plan.lengths().iter().all(|length| *length == plan.window));
    }

    #[test]
    fn a_guest_is_steady_when_neither_its_pages_nor_its_cpu_time_vary() {
        let window = |pages: u64, cpu: f64| Window {
            points: vec![(Duration::from_secs(1), Pages(pages))],
            ended: Ended::Complete,
            vcpu_utilisation: vec![cpu],
            host_cpu_utilisation: None,
            host_cpus: None,
        };
        let domain = Domain {
            id: DomId(7),
            name: "web".into(),
            uuid: Uuid([1; 16]),
            guest_type: GuestType::Pvh,
            state: RunState::Running,
            memory: Pages(40_960),
            max_memory: Pages(40_960),
            p2m_size: Pages(40_960),
            vcpus: 1,
            hap: true,
        };
        let steady = |last: Window| {
            let windows = [vec![window(1000, 0.3); 3], vec![last]].concat();
            Sample { domain: domain.clone(), windows, bitmaps: Vec::new() }.is_steady()
        };
        assert_eq!(steady(window(1400, 0.4)), Some(true));
        assert_eq!(steady(window(400, 0.3)), Some(false));
        assert_eq!(steady(window(1000, 0.1)), None);
    }
}
