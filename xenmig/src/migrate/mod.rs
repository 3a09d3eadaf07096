//! One migration: gate, save, the dialogue with the target, report. And what is said between it
//! and the hook in the save helper.
//!
//! [`Migration`] runs it. Nothing it does loses a guest: until the target has permission to run it
//! every failure ends with the guest running at the source, and afterwards nothing is undone that
//! the target has not given back.
//!
//! | file | holds |
//! | --- | --- |
//! | `migration` | what to migrate and how; the order of things |
//! | `supervise` | the thread that watches the handover: the user's stop, deadlines, events |
//! | `give_up` | ending a migration early, gently first |
//! | `handover`, `dialogue` | the sender's side, word by word |
//! | `source` | what it needs of the hypervisor; `transport`, `terminal`: the command that carries it |
//! | `steer`, [`hook`] | the caller's end of the hook, and what is said there |
//! | `rehearsal` | the same in the model only |
//! | `event`, `timeline`, `costs`, `report`, `document` | what is told while it runs, and afterwards |

mod costs;
mod dialogue;
mod document;
mod event;
mod give_up;
mod handover;
pub mod hook;
pub mod installed;
mod migration;
mod rehearsal;
mod report;
pub mod settings;
mod source;
mod steer;
mod supervise;
mod terminal;
mod timeline;
mod transport;

pub use costs::{About, Costs};
pub use document::Document;
pub use event::{Event, Stage};
pub(crate) use handover::{away_name, original_name};
pub use migration::{Migration, forcible};
pub use report::{Fate, Report};
pub(crate) use source::after_save;
pub use source::{Progress, Source};
pub use steer::Hook;

pub(crate) use transport::{Carrier, host_word};
pub use transport::{Receiver, Transport};
