//! The library's one error type: what was tried, what answered, what the user can do.

use std::fmt;

/// Result of everything in this library that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure it was. Callers branch on it; the command line maps it to sysexits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The arguments or the configuration are wrong.
    Usage,
    /// A file is not what it should be: truncated, corrupt, of another version.
    Data,
    /// There is no such domain, or no longer.
    NoSuchDomain,
    /// No Xen on this machine, or not the version this program was built for.
    NoXen,
    /// The kernel or the hypervisor says that this user may not.
    Permission,
    /// Another host gives no answer: there is no way to it, or no xenmig that can answer.
    Unreachable,
    /// Something else holds what is needed: log-dirty, a save, another xenmig.
    Busy,
    /// This host or guest cannot do it at all.
    Unsupported,
    /// Saves cannot be held back on this host, so no dirty log may be switched on. Migrations are
    /// none the worse for it.
    Unguarded,
    /// The user asked to stop.
    Interrupted,
    /// A file could not be read or written.
    Io,
    /// Anything else; a fault of ours or an answer that nobody expected.
    Internal,
}

/// An error with its context.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    what: String,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`; `what` says what was tried and what happened, with no full stop.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), hint: None, source: None }
    }

    /// The same error with the one underneath it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error with what the user can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error, with the advice of `other` if it has none.
    #[must_use]
    pub(crate) fn or_hint(mut self, other: &Self) -> Self {
        self.hint = self.hint.or_else(|| other.hint.clone());
        self
    }

    /// What sort of failure it was.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What the user can do; `None` when nothing better than the message is known.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// A file that could not be used: maps the cause to its kind. `tried` is a verb, as "read".
    pub fn file(path: &std::path::Path, tried: &str, cause: std::io::Error) -> Self {
        let kind = match cause.kind() {
            std::io::ErrorKind::PermissionDenied => Kind::Permission,
            _ => Kind::Io,
        };
        Self::new(kind, format!("cannot {tried} {}", path.display())).because(cause)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.what)?;
        if let Some(source) = &self.source {
            write!(out, ": {source}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
