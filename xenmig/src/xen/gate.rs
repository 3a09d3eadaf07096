//! The one place where answers of Xen's libraries become errors: what was tried, on which domain,
//! what the hypervisor answered, what the user can do.

use std::io;

use crate::error::{Error, Kind, Result};
use crate::host::DomId;

/// What was tried, for the message.
#[derive(Clone, Copy)]
pub(super) struct Attempt {
    what: &'static str,
    domain: Option<DomId>,
}

/// An attempt that concerns the whole host.
pub(super) const fn on_host(what: &'static str) -> Attempt {
    Attempt { what, domain: None }
}

/// An attempt on one domain.
pub(super) const fn on(domain: DomId, what: &'static str) -> Attempt {
    Attempt { what, domain: Some(domain) }
}

/// A return code of libxenctrl: below zero is a failure explained by errno.
pub(super) fn check<T: Into<i64> + Copy>(returned: T, attempt: Attempt) -> Result<T> {
    if returned.into() >= 0 {
        Ok(returned)
    } else {
        Err(attempt.failed(io::Error::last_os_error()))
    }
}

/// A return code of libxenlight: below zero is a failure; its number says which.
pub(super) fn check_light(returned: i32, attempt: Attempt) -> Result<()> {
    if returned >= 0 {
        return Ok(());
    }
    let (kind, why) = match returned {
        xen_sys::ERROR_DOMAIN_NOTFOUND => (Kind::NoSuchDomain, "it has gone"),
        xen_sys::ERROR_GUEST_TIMEDOUT => (Kind::Internal, "it did not answer in time"),
        _ => (Kind::Internal, "libxl says more on stderr"),
    };
    let error = Error::new(kind, attempt.sentence());
    Err(error.because(format!("libxl error {returned}, {why}")))
}

impl Attempt {
    fn sentence(&self) -> String {
        match self.domain {
            Some(id) => format!("cannot {} of domain {id}", self.what),
            None => format!("cannot {}", self.what),
        }
    }

    /// The error for an errno that this attempt met.
    pub(super) fn failed(self, errno: io::Error) -> Error {
        let (kind, hint) = match errno.raw_os_error() {
            Some(libc::ESRCH) => (Kind::NoSuchDomain, Some("`xl list` shows the domains")),
            Some(libc::EPERM | libc::EACCES) => {
                (Kind::Permission, Some("run as root in the control domain"))
            }
            Some(libc::EBUSY) => (Kind::Busy, None),
            Some(libc::EOPNOTSUPP | libc::ENOSYS) => (Kind::Unsupported, None),
            _ => (Kind::Internal, None),
        };
        let error = Error::new(kind, self.sentence()).because(errno);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}
