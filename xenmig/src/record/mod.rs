//! `xenmig record` without a command line: samples every running domain in turn at a low duty
//! cycle, keeps what it sees, and shows it to whoever asks over HTTP.
//!
//! | module | holds |
//! | --- | --- |
//! | [`schedule`] | pure: whose turn it is when |
//! | [`board`] | what is known now, shared with the HTTP server |
//! | [`metrics`] | the board as Prometheus reads it |
//! | [`serve`] | the HTTP server |

pub mod board;
pub mod metrics;
pub mod schedule;
pub mod serve;

mod journal;
mod recorder;
mod settings;

pub use board::Board;
pub use recorder::{Event, Predict, Recorder};
pub use settings::Settings;
