//! What is remembered of a host: outcomes of migrations and the calibration of link and hosts from
//! them; the continuous log of every domain's dirtying, and when that says a migration is cheapest.

pub mod bandwidths;
pub mod calibrate;
pub mod observation;
pub mod outcome;
pub mod past;
pub mod profile;
pub mod prometheus;
pub mod spread;
pub mod store;
pub mod week;
pub mod window;

pub use bandwidths::{AtBandwidth, by_bandwidth};
pub use calibrate::{Calibration, calibrate};
pub use observation::{Logged, Observation};
pub use outcome::{OutcomeRecord, OutcomeStore, Predicted, SentRound};
pub use past::{Look, Past};
pub use profile::{Pattern, Profile, Seen};
pub use spread::{Spread, spread};
pub use store::{HistoryStore, Keep, Thinned};
pub use week::{Hour, Week};
pub use window::{Advice, Wanted, Window, advise};
