//! xenmig on a real Xen: each test boots a host of its own in the lab, runs the program in its Dom0
//! as a user would, and asks the guests whether their memory is what they wrote.
//!
//! Without root, or with `XENLAB=off`, every test says "skipped". `XENLAB_XEN=4.20` takes another
//! Xen than 4.17, `QUICK=1` fewer moments in the race, `XENMIG_BIN` another program than the one
//! that cargo has just built; it must be built for that Xen.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod answers;
mod contrib;
mod control;
mod faults;
mod hook;
mod migrate;
mod obstacles;
mod race;
mod record;
mod refusals;
mod rules;
mod saves;
mod scene;
mod signals;
mod target;
