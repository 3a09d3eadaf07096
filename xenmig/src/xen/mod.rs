//! The real host: safe handles over libxenctrl, libxenlight and libxenstore. The only folder of
//! this crate with `unsafe`.
//!
//! | file | holds |
//! | --- | --- |
//! | `gate` | the one place where C return codes and errno become errors |
//! | `control`, `buffer` | libxenctrl: hypercalls and the memory they need |
//! | `light`, `logger` | libxenlight: the tool stack's configuration of a domain |
//! | `store` | xenstore |
//! | `domain`, `cpu` | what the hypervisor says of domains and CPUs |
//! | `features`, `equipment` | CPU features, and what else a guest that arrives may need |
//! | `log_dirty` | the dirty log as a guard that cannot be had without a save guard |
//! | `save_guard`, `marks`, `process` | holding saves back, and recognising them |
//! | `lease` | the lock and the note that survive a crash; what `recover` reads |
//! | `cap` | the scheduler's cap of a domain, lowered and restored |
//! | `saving`, `rivals` | what the hook may do to the domain that its own process saves; others that save it too |
//! | `source` | a domain that is migrated; `environment`: what its save needs of this process |
//! | `abandoned` | what a killed migration left, and what `recover` does about it |
//! | `findings` | what `doctor` looks at |

mod abandoned;
mod buffer;
mod cap;
mod control;
mod cpu;
mod domain;
mod environment;
mod equipment;
mod features;
mod findings;
mod gate;
mod host;
mod lease;
mod light;
mod log_dirty;
mod logger;
mod marks;
mod process;
mod rivals;
mod save_guard;
mod saving;
mod setup;
mod source;
mod store;

pub use cap::NotedCap;
pub(crate) use environment::wait_for_terminal;
pub use environment::{private_socket, set_environment};
pub use host::{Options, XenHost};
pub use log_dirty::LogDirty;
pub use rivals::outlast_other_saves;
pub use save_guard::{SaveGuard, save_helpers};
pub use saving::{LastResort, Saving};

/// Version of Xen's libraries this program was built against; `none` without Xen's packages.
pub const BUILT_FOR: &str = xen_sys::BUILT_FOR;
