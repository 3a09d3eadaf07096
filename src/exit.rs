//! Exit statuses: 0 to 5 are answers, the others sysexits.

use std::process::ExitCode;

use xenmig::migrate::Fate;
use xenmig::policy::gate::Verdict;
use xenmig::{Error, Kind};

/// `EX_USAGE`
const USAGE: u8 = 64;
/// `EX_DATAERR`
const DATA: u8 = 65;
/// `EX_UNAVAILABLE`
const UNAVAILABLE: u8 = 69;
/// `EX_SOFTWARE`
const INTERNAL: u8 = 70;
/// `EX_NOPERM`
const PERMISSION: u8 = 77;
/// What shells give a program that ^C ended: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

/// The arguments are wrong.
pub fn usage() -> ExitCode {
    USAGE.into()
}

/// The user stopped it.
pub fn interrupted() -> ExitCode {
    INTERRUPTED.into()
}

/// What `check` says.
pub fn of_verdict(verdict: Verdict) -> ExitCode {
    let status: u8 = match verdict {
        Verdict::Go => 0,
        Verdict::NoGo => 1,
        Verdict::Wait => 2,
    };
    status.into()
}

/// The gate would refuse it.
pub fn refused() -> ExitCode {
    of_fate(&Fate::Refused)
}

/// None of the hosts that were asked gave an answer.
pub fn unreachable() -> ExitCode {
    UNAVAILABLE.into()
}

/// What became of a migration.
pub fn of_fate(fate: &Fate) -> ExitCode {
    let status: u8 = match fate {
        Fate::Moved => 0,
        Fate::Refused => 1,
        Fate::Stayed(_) => 3,
        // Somebody has to look.
        Fate::Stuck(..) | Fate::Undefined(_) => 4,
        Fate::Gone(..) => 5,
    };
    status.into()
}

/// An error's.
pub fn of_error(error: &Error) -> ExitCode {
    let status = match error.kind() {
        // A domain that is not there was a wrong argument.
        Kind::Usage | Kind::NoSuchDomain => USAGE,
        Kind::Data | Kind::Io => DATA,
        Kind::NoXen | Kind::Unreachable => UNAVAILABLE,
        Kind::Permission => PERMISSION,
        Kind::Interrupted => INTERRUPTED,
        _ => INTERNAL,
    };
    status.into()
}
