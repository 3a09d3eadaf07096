//! What a guest of the lab runs, as pure code: its workload and the content
//! its memory must have. The program around it is `xenlab-load`.

mod content;
mod workload;

pub use content::{Content, Corruption};
pub use workload::{Parse, Pattern, Rng, Workload};
