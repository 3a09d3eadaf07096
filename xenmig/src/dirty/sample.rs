//! The sampler: switches the dirty log on, PEEKs at geometric times, and so reads W(t) directly,
//! each page faulting once per window.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Bitmap;
use crate::error::{Error, Kind, Result};
use crate::host::{CpuTimes, Domain, Host, Wake};
use crate::units::Pages;

/// How to sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Length of each window: the log is on for this long.
    pub window: Duration,
    /// How many windows. Their spread is what the prediction's quantiles come from.
    pub windows: u32,
    /// Pause between windows, with the log off.
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
            pause: Duration::from_millis(250),
            first: Duration::from_millis(5),
            ratio: std::f64::consts::SQRT_2,
            bitmap: false,
        }
    }
}

impl Plan {
    /// The moments of one window's PEEKs, ascending; the last is the window's end.
    #[must_use]
    pub fn moments(&self) -> Vec<Duration> {
        let end = self.window.as_secs_f64();
        let first = self.first.as_secs_f64().max(1e-4);
        let ratio = self.ratio.max(1.01);
        // A PEEK just before the end would say the same as the one at the end.
        let mut moments: Vec<_> = std::iter::successors(Some(first), |t| Some(t * ratio))
            .take_while(|t| *t < end / ratio.sqrt())
            .map(Duration::from_secs_f64)
            .collect();
        moments.push(self.window);
        moments
    }

    /// How long the whole sample takes.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.window * self.windows + self.pause * self.windows.saturating_sub(1)
    }
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
    /// end. Empty unless [`Plan::bitmap`].
    pub bitmaps: Vec<Bitmap>,
}

impl Sample {
    /// Why the sample ended: as its last window did.
    #[must_use]
    pub fn ended(&self) -> Ended {
        self.windows.last().map_or(Ended::Complete, |window| window.ended)
    }

    /// CPU use of each vCPU, 0 to 1, averaged over the windows.
    #[must_use]
    pub fn vcpu_utilisation(&self) -> Vec<f64> {
        let known = || self.windows.iter().filter(|window| !window.vcpu_utilisation.is_empty());
        let Some(vcpus) = known().map(|window| window.vcpu_utilisation.len()).min() else {
            return Vec::new();
        };
        (0..vcpus).map(|v| mean(known().map(|window| window.vcpu_utilisation[v]))).collect()
    }

    /// CPU use of the host, 0 to 1, averaged over the windows; `None` when unknown.
    #[must_use]
    pub fn host_cpu_utilisation(&self) -> Option<f64> {
        let known: Vec<_> = self.windows.iter().filter_map(|w| w.host_cpu_utilisation).collect();
        (!known.is_empty()).then(|| mean(known.into_iter()))
    }
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
    let whole = f64::from(plan.windows.max(1)) * plan.window.as_secs_f64();
    for nth in 0..plan.windows.max(1) {
        if nth > 0 && !host.pause(plan.pause, stop) {
            break;
        }
        let done = f64::from(nth) * plan.window.as_secs_f64();
        let mut at = |t: Duration| progress(((done + t.as_secs_f64()) / whole).min(1.0));
        match one_window(host, &mut taken, plan, stop, &mut at) {
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
    fn ended_at_once(ended: Ended) -> Self {
        Self { points: Vec::new(), ended, vcpu_utilisation: Vec::new(), host_cpu_utilisation: None }
    }
}

fn one_window(
    host: &dyn Host,
    taken: &mut Sample,
    plan: &Plan,
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
    for moment in plan.moments() {
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
    if plan.bitmap && window.ended == Ended::Complete {
        let mut bitmap = Bitmap::new(taken.domain.p2m_size);
        log.peek_bitmap(&mut bitmap)?;
        taken.bitmaps.push(bitmap);
    }
    log.close()?;
    if let (Ok(before), Ok(after)) = (before, host.cpu_times(id)) {
        window.vcpu_utilisation = utilisation(&before, &after, &before.vcpus, &after.vcpus);
        let idle = utilisation(&before, &after, &before.idle, &after.idle);
        window.host_cpu_utilisation =
            (!idle.is_empty()).then(|| (1.0 - mean(idle.into_iter())).clamp(0.0, 1.0));
    }
    taken.windows.push(window);
    Ok(())
}

/// The share of the time between two readings that each counter advanced.
fn utilisation(
    before: &CpuTimes,
    after: &CpuTimes,
    earlier: &[Duration],
    later: &[Duration],
) -> Vec<f64> {
    let elapsed = after.at.saturating_sub(before.at).as_secs_f64();
    if elapsed <= 0.0 {
        return Vec::new();
    }
    let used = earlier.iter().zip(later).map(|(a, b)| b.saturating_sub(*a).as_secs_f64());
    used.map(|used| (used / elapsed).clamp(0.0, 1.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_grow_and_end_with_the_window() {
        let plan = Plan::default();
        let moments = plan.moments();
        assert_eq!(moments[0], plan.first);
        assert_eq!(*moments.last().unwrap(), plan.window);
        assert!(moments.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_window_shorter_than_the_first_peek_still_peeks_once() {
        let plan = Plan { window: Duration::from_millis(1), ..Plan::default() };
        assert_eq!(plan.moments(), [Duration::from_millis(1)]);
    }
}
