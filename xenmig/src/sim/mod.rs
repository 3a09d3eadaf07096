//! A simulated host in virtual time, behind the same [`Host`](crate::host::Host) as the real one:
//! to try every command on a machine without Xen, and to test what a real host shows too rarely.
//!
//! | file | holds |
//! | --- | --- |
//! | `scene.rs` | the TOML file that describes a host, and its checks |
//! | `workload.rs` | what a guest writes to, page by page |
//! | `clock.rs` | virtual time |
//! | `host.rs`, `log.rs` | the host and its dirty log |
//! | `builtin.toml` | the host behind `--host sim` |
//!
//! Waiting costs no time unless the scene asks for real time. The same scene, seed included, gives
//! the same samples, bit for bit.

mod clock;
mod host;
mod log;
mod scene;
mod workload;

pub use host::SimHost;

#[cfg(test)]
mod tests;
