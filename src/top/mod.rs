//! What is behind `xenmig top`.
//!
//! | file | holds |
//! | --- | --- |
//! | `asked.rs` | what the user asked for, and how short the samples are |
//! | `row.rs`, `column.rs` | what is known of each domain, and the columns that show it |
//! | `meter.rs`, `watch.rs` | CPU use between two looks; looks at all domains, samples in turn |
//! | `worker.rs` | the loop around that, and what it tells |

mod asked;
mod column;
mod meter;
mod row;
mod watch;
mod worker;

pub use asked::Asked;
pub use column::Column;
pub use row::{Row, Snapshot};
pub use watch::Watch;
pub use worker::{Update, live};

#[cfg(test)]
mod fixture;
