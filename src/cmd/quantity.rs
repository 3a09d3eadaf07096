//! Quantities of the command line, read; errors name the option.

use std::str::FromStr;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use xenmig::units::{Bytes, BytesPerSecond, parse_duration};
use xenmig::{Error, Kind, Result};

fn wrong(option: &str, cause: &impl std::fmt::Display) -> Error {
    Error::new(Kind::Usage, format!("{option}: {cause}"))
}

fn read<T: FromStr<Err: std::fmt::Display>>(option: &str, text: &str) -> Result<T> {
    text.parse().map_err(|cause| wrong(option, &cause))
}

/// A duration above zero.
pub fn time(option: &str, text: &str) -> Result<Duration> {
    match parse_duration(text) {
        Ok(time) if time.is_zero() => Err(wrong(option, &format!("`{text}` is not above 0"))),
        other => other.map_err(|cause| wrong(option, &cause)),
    }
}

/// An upper limit of time; `None` is unlimited.
pub fn time_limit(option: &str, text: &str) -> Result<Option<Duration>> {
    match text {
        "unlimited" => Ok(None),
        text => parse_duration(text).map(Some).map_err(|cause| wrong(option, &cause)),
    }
}

/// An upper limit of size; `None` is unlimited.
pub fn size_limit(option: &str, text: &str) -> Result<Option<Bytes>> {
    match text {
        "unlimited" => Ok(None),
        text => read(option, text).map(Some),
    }
}

/// A bandwidth.
pub fn bandwidth(option: &str, text: &str) -> Result<BytesPerSecond> {
    read(option, text)
}

/// A moment as the user writes it: with an offset or zone, or else in local time. Now, when nothing
/// was written.
pub fn moment(option: &str, text: Option<&str>) -> Result<Timestamp> {
    let Some(text) = text else {
        return Ok(Timestamp::now());
    };
    let local = || text.parse::<DateTime>()?.to_zoned(TimeZone::system());
    text.parse::<Timestamp>()
        .or_else(|_| text.parse::<Zoned>().map(|at| at.timestamp()))
        .or_else(|_| local().map(|at| at.timestamp()))
        .map_err(|_| {
            wrong(option, &format!("`{text}` is no time; write for instance 2026-01-20T18:00"))
        })
}
