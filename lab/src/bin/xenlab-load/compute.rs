//! Floating-point work for a share of the time, on every virtual CPU.

use std::hint::black_box;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};
use xenlab::guest::{Rng, Workload};

/// The end of the slot that is under way `elapsed` after the start.
pub fn slot_end(workload: &Workload, elapsed: Duration) -> Duration {
    let slot = workload.slot().as_nanos();
    Duration::from_nanos(((elapsed.as_nanos() / slot + 1) * slot) as u64)
}

/// Computes until `end` and gives how much was done: a walk whose steps are random numbers.
///
/// One in some twenty instructions is a floating-point one, which the emulator is slow at; the clock,
/// which is a trap under Xen, is looked at four times a millisecond.
pub fn compute(end: Instant) -> u64 {
    let (mut place, mut rng, mut work) = (black_box(1.0f64), Rng::new(1), 0);
    while Instant::now() < end {
        for _ in 0..1500 {
            let steps: usize = (0..4).map(|_| rng.below(100)).sum();
            place = place * 0.5 + steps as f64;
        }
        place = black_box(place);
        work += 1;
    }
    work
}

/// Computes on all virtual CPUs but the first, which is left to the caller and pinned to it; counts
/// what is done.
pub fn on_the_others(workload: Workload, start: Instant) -> Arc<AtomicU64> {
    let work = Arc::new(AtomicU64::new(0));
    let cpus = thread::available_parallelism().map_or(1, NonZero::get);
    if workload.cpu == 0.0 || cpus == 1 {
        return work;
    }
    for cpu in 1..cpus {
        let work = Arc::clone(&work);
        thread::spawn(move || {
            pin(cpu);
            loop {
                if let Some(until) = workload.computes_until(start.elapsed()) {
                    work.fetch_add(compute(start + until), Ordering::Relaxed);
                }
                let elapsed = start.elapsed();
                thread::sleep(slot_end(&workload, elapsed) - elapsed);
            }
        });
    }
    pin(0);
    work
}

/// Keeps this thread on a CPU; without, the kernel finds one.
fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    let _ = sched_setaffinity(None, &set);
}
