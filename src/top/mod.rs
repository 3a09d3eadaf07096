//! What is behind `xenmig top`. One thread owns the host and looks at it; the other draws.
//!
//! | file | holds |
//! | --- | --- |
//! | `asked.rs` | what the user asked for, and how short the samples are |
//! | `row.rs`, `column.rs` | what is known of each domain, and by which columns it can be sorted |
//! | `meter.rs`, `watch.rs` | CPU use between two looks; looks at all domains, samples in turn |
//! | `worker.rs` | the loop around that, and what it tells |
//! | `view.rs`, `keys.rs` | what the user sees of it: order, filter, selection; and the keys |
//! | `draw/` | the view on a screen of any size |
//! | `terminal.rs`, `screen.rs` | the terminal lent and given back; both threads put together |

mod asked;
mod column;
mod draw;
mod keys;
mod meter;
mod row;
mod screen;
mod terminal;
mod view;
mod watch;
mod worker;

pub use asked::Asked;
pub use column::Column;
pub use row::{Row, Snapshot};
pub use screen::run as on_screen;
pub use watch::Watch;
pub use worker::{Controls, Update, live};

#[cfg(test)]
mod fixture;
