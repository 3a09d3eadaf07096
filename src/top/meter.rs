//! CPU use of a domain and of the host, out of readings that only grow.

use std::time::Duration;

use xenmig::host::CpuTimes;

/// Use over less time than this says nothing.
pub const SHORTEST: Duration = Duration::from_millis(500);

/// What is known so far.
#[derive(Default)]
pub struct Meter {
    since: Option<CpuTimes>,
    /// Use of each vCPU, 0 to 1; empty before there are two readings.
    pub vcpus: Vec<f64>,
    /// Use of the host, 0 to 1; `None` before there are two readings.
    pub host: Option<f64>,
}

impl Meter {
    /// Takes a reading. One that comes too soon after the last one changes nothing.
    pub fn read(&mut self, now: CpuTimes) {
        if let Some(since) = &self.since {
            if now.at.saturating_sub(since.at) < SHORTEST {
                return;
            }
            self.vcpus = now.vcpu_utilisation_since(since);
            self.host = now.host_utilisation_since(since);
        }
        self.since = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_is_known_from_the_second_reading_on_and_not_over_a_moment() {
        let reading = |at, used, idle| CpuTimes {
            at: Duration::from_millis(at),
            vcpus: vec![Duration::from_millis(used)],
            idle: vec![Duration::from_millis(idle); 2],
        };
        let mut meter = Meter::default();
        meter.read(reading(1000, 100, 500));
        assert!(meter.vcpus.is_empty() && meter.host.is_none());
        meter.read(reading(2000, 350, 1400));
        assert_eq!(meter.vcpus, [0.25]);
        assert!((meter.host.unwrap() - 0.1).abs() < 1e-9);
        meter.read(reading(2100, 450, 1400));
        assert_eq!(meter.vcpus, [0.25]);
    }
}
