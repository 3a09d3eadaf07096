//! One migration: gate, save, the dialogue with the target, report. And what is said between it
//! and the hook in the save helper.

pub mod hook;
pub mod installed;
pub mod settings;
