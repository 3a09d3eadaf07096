//! Quantities of the command line, read; errors name the option.

use std::str::FromStr;
use std::time::Duration;

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
