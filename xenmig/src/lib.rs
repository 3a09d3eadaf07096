//! xenmig measures how fast a Xen domain dirties its memory, predicts what a live migration of it
//! would cost, and decides whether it may start.
//!
//! Data flows one way: [`host`] → [`dirty`] → [`model`] → [`policy`] → a report. `model` and
//! `policy` are pure: no I/O, no clock, no FFI types; times come in as [`std::time::Duration`].
//!
//! | module | holds |
//! | --- | --- |
//! | [`units`] | `Pages`, `Bytes`, `BytesPerSecond` and how they are written on a command line |
//! | [`host`] | what the rest needs of a hypervisor: the trait [`host::Host`] |
//! | [`xen`] | the real host, over libxenctrl and libxenlight; the only folder with `unsafe` |
//! | [`sim`] | a simulated host in virtual time |
//! | [`dirty`] | bitmap, dirty curve W(t), sampler, trace file |
//! | [`model`] | Xen's save loop run over a curve |
//! | [`policy`] | budget; the gate: rules that give a verdict with reasons; the save's controller |
//! | [`migrate`] | one migration, and what is said between it and the hook in the save helper |
//! | [`history`] | outcomes and calibration; the continuous log |
//! | [`record`] | the service that keeps that log, and its metrics |
//! | [`inventory`] | what a host tells of itself, so that another can judge it as a target |
//! | [`place`] | which of several targets suits a domain best |
//! | [`config`] | the configuration file |
#![deny(missing_docs)]

pub mod check;
pub mod config;
pub mod dirty;
pub mod error;
pub mod history;
pub mod host;
pub mod inventory;
pub mod migrate;
pub mod model;
pub mod place;
pub mod policy;
pub mod record;
pub mod sim;
pub mod units;
#[allow(unsafe_code)]
pub mod xen;

pub use error::{Error, Kind, Result};
