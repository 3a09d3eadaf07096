//! Several hosts in one time: whoever is ahead stands still until the others are there.
//!
//! Left alone, a host's virtual time lags behind this machine's as far as the emulation of what it
//! does is slow, and each host's by another amount.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::qmp::Qmp;
use super::{Clock, Host};
use crate::{Error, Result};

/// How far a host may be ahead of another before it is stopped.
const AHEAD_S: f64 = 0.004;
/// Between two looks at the clocks, in time outside.
const LOOK: Duration = Duration::from_millis(2);

struct Paced<'a> {
    qmp: MutexGuard<'a, Qmp>,
    clock: Clock,
    stands: bool,
}

/// Does `work` while the clocks of `hosts`, which must be in real time, are kept together. Gives what
/// came of it, and the clocks over that time, for which seconds outside count from `epoch`.
///
/// # Errors
/// Those of `work`; when a host is gone, or not in [real time](super::HostBuilder::real_time).
pub fn in_step<T, const N: usize>(
    hosts: [&Host; N],
    epoch: Instant,
    work: impl FnOnce() -> Result<T>,
) -> Result<(T, [Clock; N])> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let pacer = scope.spawn(|| pace(&hosts, epoch, &over));
        let done = work();
        over.store(true, Ordering::Relaxed);
        let clocks = pacer.join();
        let died = || Error::Unexpected("the pacer died".into());
        let clocks = clocks.unwrap_or_else(|_| Err(died()));
        let done = done?;
        Ok((done, clocks?.try_into().map_err(|_| died())?))
    })
}

fn pace(hosts: &[&Host], epoch: Instant, over: &AtomicBool) -> Result<Vec<Clock>> {
    let paced = hosts.iter().map(|host| {
        let qmp = host
            .qmp
            .as_ref()
            .ok_or_else(|| Error::Unexpected("a host that is not in real time".into()))?;
        let qmp = qmp.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Paced { qmp, clock: Clock::new(epoch), stands: false })
    });
    let mut paced: Vec<Paced<'_>> = paced.collect::<Result<_>>()?;
    let mut look = || {
        for host in &mut paced {
            host.clock.read(|| host.qmp.ticks())?;
        }
        let last = paced.iter().map(|host| host.clock.last_s()).fold(f64::INFINITY, f64::min);
        for host in &mut paced {
            host.stand(host.clock.last_s() > last + AHEAD_S)?;
        }
        Ok(())
    };
    let mut looked = Ok(());
    while looked.is_ok() && !over.load(Ordering::Relaxed) {
        looked = look();
        thread::sleep(LOOK);
    }
    // All go on, whatever became of one.
    let released: Vec<_> = paced.iter_mut().map(|host| host.stand(false)).collect();
    looked.and(released.into_iter().collect::<Result<()>>())?;
    Ok(paced.into_iter().map(|host| host.clock).collect())
}

impl Paced<'_> {
    fn stand(&mut self, still: bool) -> Result<()> {
        if still != self.stands {
            if still { self.qmp.stop() } else { self.qmp.cont() }?;
            self.stands = still;
        }
        Ok(())
    }
}
