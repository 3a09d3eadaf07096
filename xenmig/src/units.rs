//! Quantities with their unit in the type, and how they are read from and shown to people.
//! Durations are [`std::time::Duration`]; here is only how they are written.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Size of a page on x86, in bytes (Xen's `XC_PAGE_SIZE`).
pub const PAGE_SIZE: u64 = 4096;

/// A guest's page frame number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pfn(pub u64);

/// A number of pages of [`PAGE_SIZE`] bytes.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Pages(pub u64);

/// A number of bytes.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// A transfer rate in bytes per second. Finite and above zero.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct BytesPerSecond(f64);

/// A text that is not a quantity of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {wanted}; write for instance {example}")]
pub struct ParseQuantityError {
    text: String,
    wanted: &'static str,
    example: &'static str,
}

impl Pages {
    /// The bytes that the pages' contents take.
    #[must_use]
    pub const fn bytes(self) -> Bytes {
        Bytes(self.0 * PAGE_SIZE)
    }
}

impl Add for Pages {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Pages {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sub for Pages {
    type Output = Self;
    /// Saturates at zero: a count of pages is never negative.
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for Bytes {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Bytes {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl BytesPerSecond {
    /// A rate; `None` unless it is finite and above zero.
    #[must_use]
    pub fn new(rate: f64) -> Option<Self> {
        (rate.is_finite() && rate > 0.0).then_some(Self(rate))
    }

    /// The rate as a number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// How long `bytes` take at this rate.
    #[must_use]
    pub fn time_for(self, bytes: Bytes) -> Duration {
        Duration::from_secs_f64(bytes.0 as f64 / self.0)
    }
}

/// Splits `12.5MiB` into 12.5 and `MiB`.
fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    Some((number, text[end..].trim()))
}

fn bytes_in(unit: &str) -> Option<f64> {
    Some(match unit {
        "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        "KiB" => 1024.0,
        "MiB" => 1024f64.powi(2),
        "GiB" => 1024f64.powi(3),
        "TiB" => 1024f64.powi(4),
        _ => return None,
    })
}

impl FromStr for Bytes {
    type Err = ParseQuantityError;

    /// Reads `4GiB`, `160MiB`, `125000000B`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        split(text)
            .and_then(|(number, unit)| Some(Self((number * bytes_in(unit)?).round() as u64)))
            .ok_or_else(|| ParseQuantityError {
                text: text.to_owned(),
                wanted: "a size",
                example: "4GiB or 160MiB",
            })
    }
}

impl FromStr for BytesPerSecond {
    type Err = ParseQuantityError;

    /// Reads `10Gbit/s` (10⁹ bits), `1GiB/s`, `125000000B/s`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rate = split(text).and_then(|(number, unit)| {
            let unit = unit.strip_suffix("/s")?;
            let one = match unit {
                "bit" => 1.0 / 8.0,
                "kbit" => 1e3 / 8.0,
                "Mbit" => 1e6 / 8.0,
                "Gbit" => 1e9 / 8.0,
                other => bytes_in(other)?,
            };
            Self::new(number * one)
        });
        rate.ok_or_else(|| ParseQuantityError {
            text: text.to_owned(),
            wanted: "a bandwidth",
            example: "10Gbit/s, 1GiB/s or 125000000B/s",
        })
    }
}

impl<'de> Deserialize<'de> for BytesPerSecond {
    /// From a text as [`FromStr`] reads it, or a number of bytes per second.
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Text(String),
        }
        match Written::deserialize(from)? {
            Written::Number(rate) => {
                Self::new(rate).ok_or_else(|| serde::de::Error::custom("a bandwidth is above 0"))
            }
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

/// Reads `300ms`, `2s`, `1.5s`, `5min`, `1h`, `250us`.
///
/// # Errors
/// The text is not a number followed by one of these units.
pub fn parse_duration(text: &str) -> Result<Duration, ParseQuantityError> {
    split(text)
        .and_then(|(number, unit)| {
            let one = match unit {
                "ns" => 1e-9,
                "us" | "µs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "min" | "m" => 60.0,
                "h" => 3600.0,
                "d" => 86400.0,
                _ => return None,
            };
            Duration::try_from_secs_f64(number * one).ok()
        })
        .ok_or_else(|| ParseQuantityError {
            text: text.to_owned(),
            wanted: "a duration",
            example: "300ms, 2s or 5min",
        })
}

/// Shows a duration with three significant digits: `412 µs`, `83.1 ms`, `2.42 s`, `12.5 min`,
/// `7.00 days`.
#[must_use]
pub fn show_duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let (number, unit) = match seconds {
        s if s >= 172_800.0 => (s / 86_400.0, "days"),
        s if s >= 5400.0 => (s / 3600.0, "h"),
        s if s >= 300.0 => (s / 60.0, "min"),
        s if s >= 0.9995 => (s, "s"),
        s if s >= 0.000_999_5 => (s * 1e3, "ms"),
        s => (s * 1e6, "µs"),
    };
    format!("{} {unit}", three_digits(number))
}

/// A number with three significant digits and no exponent.
fn three_digits(number: f64) -> String {
    let decimals = match number {
        n if n >= 99.95 || n == 0.0 => 0,
        n if n >= 9.995 => 1,
        _ => 2,
    };
    format!("{number:.decimals$}")
}

impl fmt::Display for Pages {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} pages", self.0)
    }
}

impl fmt::Display for Bytes {
    /// With three significant digits and a binary unit: `160 MiB`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut number = self.0 as f64;
        for unit in ["B", "KiB", "MiB", "GiB"] {
            if number < 1023.5 {
                return write!(out, "{} {unit}", three_digits(number));
            }
            number /= 1024.0;
        }
        write!(out, "{} TiB", three_digits(number))
    }
}

impl fmt::Display for BytesPerSecond {
    /// As networks are sold: `10.0 Gbit/s`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0 * 8.0;
        let (number, unit) = match bits {
            b if b >= 999.5e6 => (b / 1e9, "Gbit/s"),
            b if b >= 999.5e3 => (b / 1e6, "Mbit/s"),
            b => (b / 1e3, "kbit/s"),
        };
        write!(out, "{} {unit}", three_digits(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_manual_promises() {
        assert_eq!(parse_duration("300ms").unwrap(), Duration::from_millis(300));
        assert_eq!(parse_duration("2s").unwrap(), Duration::from_secs(2));
        assert_eq!("10Gbit/s".parse::<BytesPerSecond>().unwrap().get(), 1.25e9);
        assert_eq!("1GiB/s".parse::<BytesPerSecond>().unwrap().get(), 1_073_741_824.0);
        assert_eq!("125000000B/s".parse::<BytesPerSecond>().unwrap().get(), 125e6);
        assert_eq!("4GiB".parse::<Bytes>().unwrap(), Bytes(4 << 30));
    }

    #[test]
    fn a_wrong_unit_is_an_error_that_gives_an_example() {
        let error = "10Gbps".parse::<BytesPerSecond>().unwrap_err().to_string();
        assert!(error.contains("`10Gbps`") && error.contains("10Gbit/s"), "{error}");
        for bad in ["", "300", "-1s", "ms", "1e400s", "nan s", "..s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        assert!("0B/s".parse::<BytesPerSecond>().is_err());
    }

    #[test]
    fn shows_three_digits() {
        assert_eq!(show_duration(Duration::from_micros(412)), "412 µs");
        assert_eq!(show_duration(Duration::from_millis(2422)), "2.42 s");
        assert_eq!(show_duration(Duration::from_micros(83_100)), "83.1 ms");
        assert_eq!(show_duration(Duration::from_secs(750)), "12.5 min");
        assert_eq!(Bytes(160 << 20).to_string(), "160 MiB");
        assert_eq!("10Gbit/s".parse::<BytesPerSecond>().unwrap().to_string(), "10.0 Gbit/s");
    }
}
