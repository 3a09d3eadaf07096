//! Kinds of value that the configuration has: read, checked and refused here, so that an error
//! points at the value's own line.

use std::time::Duration;

use glob::Pattern;
use serde::Deserialize;

use crate::units::{Bytes, parse_duration};

/// A duration, as `300ms`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Time(pub Duration);

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_duration(&text).map(Self).map_err(|error| error.to_string())
    }
}

/// A duration above zero.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "Time")]
pub(super) struct Span(pub Duration);

impl TryFrom<Time> for Span {
    type Error = &'static str;

    fn try_from(time: Time) -> Result<Self, &'static str> {
        if time.0.is_zero() { Err("this time must be above 0") } else { Ok(Self(time.0)) }
    }
}

/// Where to listen, as `127.0.0.1:9817`; `none` is nowhere.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "String")]
pub(super) struct Listen(pub Option<String>);

impl From<String> for Listen {
    fn from(text: String) -> Self {
        Self((text != "none").then_some(text))
    }
}

/// A size, as `4GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Size(pub Bytes);

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error: crate::units::ParseQuantityError| error.to_string())
    }
}

/// An upper limit of a duration; `unlimited` takes one away that holds otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct TimeLimit(pub Option<Duration>);

impl TryFrom<String> for TimeLimit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "unlimited" => Ok(Self(None)),
            _ => Time::try_from(text).map(|time| Self(Some(time.0))),
        }
    }
}

/// An upper limit of a size; `unlimited` takes one away that holds otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct SizeLimit(pub Option<Bytes>);

impl TryFrom<String> for SizeLimit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "unlimited" => Ok(Self(None)),
            _ => Size::try_from(text).map(|size| Self(Some(size.0))),
        }
    }
}

/// A number, or what it is not.
fn number(value: f64, sound: bool, what: &str) -> Result<f64, String> {
    sound.then_some(value).ok_or_else(|| format!("{value} is not {what}"))
}

/// A share, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub(super) struct Share(pub f64);

impl TryFrom<f64> for Share {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        number(value, (0.0..=1.0).contains(&value), "a share; write a number from 0 to 1").map(Self)
    }
}

/// CPUs' worth of time per second.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub(super) struct Cpus(pub f64);

impl TryFrom<f64> for Cpus {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        number(
            value,
            value.is_finite() && value >= 0.0,
            "a number of CPUs; write 0 or more, as 0.5",
        )
        .map(Self)
    }
}

/// Seconds as a number, for times far below a nanosecond.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub(super) struct Seconds(pub f64);

impl TryFrom<f64> for Seconds {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        number(value, value.is_finite() && value >= 0.0, "a number of seconds").map(Self)
    }
}

/// A factor above 1.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub(super) struct Factor(pub f64);

impl TryFrom<f64> for Factor {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        number(value, value.is_finite() && value > 1.0, "a factor; write a number above 1")
            .map(Self)
    }
}

/// A pattern as the shell has them: `db-*`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Glob(pub Pattern);

impl TryFrom<String> for Glob {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Pattern::new(&text).map(Self).map_err(|error| format!("`{text}` is no pattern: {error}"))
    }
}

impl Glob {
    pub(super) fn matches(&self, name: &str) -> bool {
        self.0.matches(name)
    }
}
