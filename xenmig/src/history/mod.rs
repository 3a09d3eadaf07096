//! What earlier migrations showed: a store of their outcomes, and the calibration of link and
//! hosts from them.

pub mod calibrate;
pub mod outcome;

pub use calibrate::{Calibration, calibrate};
pub use outcome::{OutcomeRecord, OutcomeStore, SentRound};
