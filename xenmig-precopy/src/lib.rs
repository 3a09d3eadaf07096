//! The hook in libxl's save helper: decides, in place of Xen's own precopy policy, when a guest
//! that is being migrated is suspended.
//!
//! Preloaded, this library's `xc_domain_save` stands before that of libxenguest. It calls the real
//! one with callbacks of its own, for live saves to one place; others pass straight through.
//! **Whatever fails here, the save goes on under the stock policy**, and stderr and the telemetry
//! say why. No panic crosses into C.
//!
//! | file | holds |
//! | --- | --- |
//! | `border` | the C border, with all `unsafe` |
//! | `session` | one steered save: settings, and from the callbacks to the driver |
//! | `driver` | what a policy's decisions mean, over a trait: the part that tests run |
//! | `holding` | pages that a round leaves for a later one |
//! | `machine` | that trait on the real thing: hypercalls, the caller, signals, time |
//! | `caller` | the socket to whoever started the save |
//! | `telemetry` | where events go: the caller and a file |
//! | `signals` | signals held back while a save is steered |
//! | `report` | what is said on stderr, which libxl's user sees |

#[allow(unsafe_code)]
mod border;
mod caller;
mod driver;
mod holding;
mod machine;
mod report;
mod session;
mod signals;
mod telemetry;
