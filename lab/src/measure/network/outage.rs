//! The outage that a receiver outside sees in the datagrams of a guest.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::super::stats::quantile;
use crate::error::Context;
use crate::guest::Datagram;
use crate::{Clock, Result};

/// A datagram that came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub outside_s: f64,
    pub datagram: Datagram,
}

/// Receives until `over`. Seconds count from `epoch`.
pub(super) fn receive(
    socket: &UdpSocket,
    epoch: Instant,
    over: &AtomicBool,
) -> Result<Vec<Arrival>> {
    let what = || "receiving the guest's datagrams".into();
    socket.set_read_timeout(Some(Duration::from_millis(50))).context(what)?;
    let mut arrivals = Vec::new();
    let mut buffer = [0; 2048];
    while !over.load(Ordering::Relaxed) {
        match socket.recv(&mut buffer) {
            Ok(length) => {
                let outside_s = epoch.elapsed().as_secs_f64();
                let datagram = Datagram::decode(&buffer[..length]);
                arrivals.extend(datagram.map(|datagram| Arrival { outside_s, datagram }));
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(e) => return Err(e).context(what),
        }
    }
    Ok(arrivals)
}

/// The longest silence between two datagrams.
#[derive(Debug, Clone, Copy)]
pub(super) struct Silence {
    pub before: Arrival,
    pub after: Arrival,
    /// Datagrams that never came: in the silence, and in the whole time.
    pub lost: u64,
    pub lost_overall: u64,
}

/// A length of time on some clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub s: f64,
    /// How much more or less it may be.
    pub error_s: f64,
}

impl Silence {
    /// `None` with fewer than two datagrams.
    pub(super) fn of(arrivals: &[Arrival]) -> Option<Self> {
        let length = |pair: &&[Arrival]| pair[1].outside_s - pair[0].outside_s;
        let longest = arrivals.windows(2).max_by(|a, b| length(a).total_cmp(&length(b)))?;
        let (before, after) = (longest[0], longest[1]);
        let mut came: Vec<_> = arrivals.iter().map(|arrival| arrival.datagram.sequence).collect();
        came.sort_unstable();
        came.dedup();
        let sent = |first: u64, last: u64| (last - first) + 1;
        let (first, last) = (*came.first()?, *came.last()?);
        Some(Self {
            before,
            after,
            lost: after.datagram.sequence.saturating_sub(before.datagram.sequence + 1),
            lost_overall: sent(first, last) - came.len() as u64,
        })
    }

    /// The silence on this machine's clock or on a host's, less the mean of the intervals before
    /// it; it is uncertain by nine tenths of those intervals' deviations from their mean, and by
    /// the readings of the clock.
    pub(super) fn outage(&self, arrivals: &[Arrival], clock: Option<&Clock>) -> Option<Span> {
        let at = |arrival: &Arrival| match clock {
            None => Some((arrival.outside_s, 0.0)),
            Some(clock) => clock.at(arrival.outside_s),
        };
        let earlier = arrivals.iter().take_while(|a| a.outside_s <= self.before.outside_s);
        let times: Vec<f64> = earlier.filter_map(|arrival| Some(at(arrival)?.0)).collect();
        let intervals: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = intervals.iter().sum::<f64>() / intervals.len() as f64;
        let deviations: Vec<f64> = intervals.iter().map(|s| (s - mean).abs()).collect();
        let ((begin, a), (end, b)) = (at(&self.before)?, at(&self.after)?);
        Some(Span { s: end - begin - mean, error_s: quantile(&deviations, 0.9)? + a + b })
    }

    /// How much of the silence the guest did not live through: its clock stands still while it is
    /// suspended.
    pub(super) fn suspended_s(&self, clock: &Clock) -> Option<f64> {
        let (before, after) = (self.before.datagram.guest_ns, self.after.datagram.guest_ns);
        Some(self.on(clock)? - after.saturating_sub(before) as f64 * 1e-9)
    }

    /// Its length on a host's clock.
    pub(super) fn on(&self, clock: &Clock) -> Option<f64> {
        Some(clock.at(self.after.outside_s)?.0 - clock.at(self.before.outside_s)?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Datagrams every 10 ms, suspended for half a second after the 100th, and the next three lost.
    fn arrivals() -> Vec<Arrival> {
        let one = |sequence: u64| {
            let sent_s = sequence as f64 * 0.01 + if sequence >= 100 { 0.5 } else { 0.0 };
            let datagram = Datagram { sequence, guest_ns: sequence * 10_000_000 };
            Arrival { outside_s: sent_s, datagram }
        };
        (0..100).chain(103..200).map(one).collect()
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn an_outage_is_the_silence_beyond_an_interval() {
        let silence = Silence::of(&arrivals()).unwrap();
        assert_eq!((silence.lost, silence.lost_overall), (3, 3));
        let outage = silence.outage(&arrivals(), None).unwrap();
        assert!(near(outage.s, 0.53) && near(outage.error_s, 0.0), "{outage:?}");
    }

    #[test]
    fn uneven_datagrams_make_it_uncertain() {
        let mut uneven = arrivals();
        for late in uneven.iter_mut().step_by(2) {
            late.outside_s += 0.004;
        }
        let outage = Silence::of(&uneven).unwrap().outage(&uneven, None).unwrap();
        assert!((0.003..0.006).contains(&outage.error_s), "{outage:?}");
        assert!((outage.s - 0.53).abs() < outage.error_s + 1e-4, "{outage:?}");
    }

    #[test]
    fn one_datagram_is_no_silence() {
        assert!(Silence::of(&arrivals()[..1]).is_none());
        assert!(Silence::of(&[]).is_none());
    }
}
