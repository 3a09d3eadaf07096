//! Policy: the budget a migration has to keep, the gate that says whether it may start, and the
//! controller that steers the save. Pure: no I/O, no clock.

pub mod budget;
pub mod gate;
pub mod precopy;

pub use budget::Budget;
