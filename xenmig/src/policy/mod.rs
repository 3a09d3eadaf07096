//! Policy: the budget a migration has to keep, and the gate that says whether it may start.
//! Pure: no I/O, no clock.

pub mod budget;
pub mod gate;

pub use budget::Budget;
