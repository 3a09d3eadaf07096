//! Where the hook's [`Settings`] come from when no caller gives them: the configuration, what
//! earlier migrations showed, and the environment, which wins. And what they make of a save.

use std::path::PathBuf;
use std::time::Duration;

use super::hook::Settings;
use crate::config::{self, Config};
use crate::error::{Error, Kind, Result};
use crate::history::{Calibration, OutcomeStore, calibrate};
use crate::model::Guest;
use crate::policy::Budget;
use crate::policy::precopy::{Controller, Known, OnMiss};
use crate::units::{Bytes, BytesPerSecond, parse_duration};

/// Environment variable: the configuration file, in place of the usual one.
pub const CONFIG_VARIABLE: &str = "XENMIG_CONFIG";
/// Environment variable: most downtime, as `300ms` or `unlimited`.
pub const DOWNTIME_VARIABLE: &str = "XENMIG_DOWNTIME";
/// Environment variable: most total time, as `60s` or `unlimited`.
pub const TOTAL_VARIABLE: &str = "XENMIG_TOTAL";
/// Environment variable: most bytes, as `20GiB` or `unlimited`.
pub const BYTES_VARIABLE: &str = "XENMIG_BYTES";
/// Environment variable: what happens when the budget cannot be kept, as [`OnMiss`] is written.
pub const ON_MISS_VARIABLE: &str = "XENMIG_ON_MISS";
/// Environment variable: a file to which the events are appended.
pub const TELEMETRY_VARIABLE: &str = "XENMIG_TELEMETRY";

/// What the environment says; `None` is nothing. The inner `None` of a limit is `unlimited`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides {
    /// See [`Budget::downtime`].
    pub downtime: Option<Option<Duration>>,
    /// See [`Budget::total`].
    pub total: Option<Option<Duration>>,
    /// See [`Budget::bytes`].
    pub bytes: Option<Option<Bytes>>,
    /// See [`crate::policy::precopy::Steering::on_miss`].
    pub on_miss: Option<OnMiss>,
    /// See [`Settings::telemetry`].
    pub telemetry: Option<PathBuf>,
}

impl Overrides {
    /// Reads them; `variable` gives the value of an environment variable. Empty ones count as not
    /// set.
    ///
    /// # Errors
    /// [`Kind::Usage`] with the variable's name when its value cannot be read.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let set =
            |name| variable(name).filter(|value| !value.is_empty()).map(|value| (name, value));
        Ok(Self {
            downtime: set(DOWNTIME_VARIABLE).map(|v| limit(v, parse_duration)).transpose()?,
            total: set(TOTAL_VARIABLE).map(|v| limit(v, parse_duration)).transpose()?,
            bytes: set(BYTES_VARIABLE).map(|v| limit(v, str::parse)).transpose()?,
            on_miss: set(ON_MISS_VARIABLE).map(on_miss).transpose()?,
            telemetry: set(TELEMETRY_VARIABLE).map(|(_, path)| PathBuf::from(path)),
        })
    }

    /// Whether anything is said about how to steer.
    #[must_use]
    pub fn steer(&self) -> bool {
        let Self { downtime, total, bytes, on_miss, telemetry: _ } = self;
        downtime.is_some() || total.is_some() || bytes.is_some() || on_miss.is_some()
    }
}

fn limit<T, E: std::error::Error + Send + Sync + 'static>(
    (name, text): (&str, String),
    read: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>> {
    match text.as_str() {
        "unlimited" => Ok(None),
        text => read(text).map(Some).map_err(|cause| wrong(name, cause)),
    }
}

fn on_miss((name, text): (&str, String)) -> Result<OnMiss> {
    serde_json::from_value(text.into()).map_err(|cause| wrong(name, cause))
}

fn wrong(name: &str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(Kind::Usage, name).because(cause)
}

/// Migrations to a target from which on those to others say nothing of it.
const ENOUGH: usize = 3;

/// What the outcomes kept in the state directory show: those to `target` if there are three, or else
/// all, so that a single odd one does not decide about all that follow. `None` when they show nothing; a prediction without them is worse, but still one.
#[must_use]
pub fn learn(config: &Config, target: Option<&str>) -> Option<Calibration> {
    let store = OutcomeStore::new(config.state_dir());
    let outcomes = match store.read() {
        Ok(outcomes) => outcomes,
        Err(error) => {
            log::warn!("earlier migrations are not taken into account: {error}");
            return None;
        }
    };
    for skipped in &outcomes.skipped {
        let (path, line) = (store.path().display(), skipped.line);
        log::warn!("{path}, line {line} is skipped: {}", skipped.why);
    }
    let to_it = target.and_then(|target| calibrate(&outcomes.records, Some(target)));
    to_it.filter(|learnt| learnt.from >= ENOUGH).or_else(|| calibrate(&outcomes.records, None))
}

impl Settings {
    /// What is configured, or else what was learnt.
    #[must_use]
    pub fn new(configured: &config::Settings, learnt: Option<&Calibration>) -> Self {
        let config::Settings { budget, steering, bandwidth, costs, .. } = configured;
        let seconds = |limit: Option<Duration>| limit.map(|limit| limit.as_secs_f64());
        let bandwidth = bandwidth.or(learnt.map(|learnt| learnt.bandwidth));
        let spread = learnt.map_or(Duration::ZERO, |learnt| learnt.finish_spread);
        Self {
            downtime_s: seconds(budget.downtime),
            total_s: seconds(budget.total),
            bytes: budget.bytes.map(|bytes| bytes.0),
            steering: *steering,
            bandwidth_bytes_per_s: bandwidth.map(BytesPerSecond::get),
            costs: costs.over(learnt.map(|learnt| learnt.costs).unwrap_or_default()),
            finish_spread_s: spread.as_secs_f64(),
            steady: None,
            telemetry: None,
        }
    }

    /// What holds for the domain called `domain`: `overrides`, or else the configuration, or else
    /// what was learnt.
    #[must_use]
    pub fn resolve(
        config: &Config,
        domain: &str,
        learnt: Option<&Calibration>,
        overrides: Overrides,
    ) -> Self {
        let mut configured = config.settings(domain, None);
        let (budget, steering) = (&mut configured.budget, &mut configured.steering);
        budget.downtime = overrides.downtime.unwrap_or(budget.downtime);
        budget.total = overrides.total.unwrap_or(budget.total);
        budget.bytes = overrides.bytes.unwrap_or(budget.bytes);
        steering.on_miss = overrides.on_miss.unwrap_or(steering.on_miss);
        Self { telemetry: overrides.telemetry, ..Self::new(&configured, learnt) }
    }

    /// The controller that keeps them for `guest`, which could use at most `cpu_percent` of a
    /// physical CPU, in a driver that can hold pages back or not.
    ///
    /// # Errors
    /// [`Kind::Data`] when a number is none that a limit or a cost can have.
    pub fn controller(
        &self,
        guest: Guest,
        cpu_percent: u32,
        holds_back: bool,
    ) -> Result<Controller> {
        let time = |name: &str, seconds: f64| {
            Duration::try_from_secs_f64(seconds).map_err(|cause| {
                Error::new(Kind::Data, format!("{name} is {seconds}")).because(cause)
            })
        };
        let limit = |name, seconds: Option<f64>| seconds.map(|s| time(name, s)).transpose();
        let bandwidth = self.bandwidth_bytes_per_s.map(|rate| {
            BytesPerSecond::new(rate)
                .ok_or_else(|| Error::new(Kind::Data, format!("bandwidth_bytes_per_s is {rate}")))
        });
        let budget = Budget {
            downtime: limit("downtime_s", self.downtime_s)?,
            total: limit("total_s", self.total_s)?,
            bytes: self.bytes.map(Bytes),
        };
        let known = Known {
            guest,
            bandwidth: bandwidth.transpose()?,
            costs: self.costs,
            holds_back: holds_back && self.steering.hold_back,
            steady: self.steady,
            cpu_percent,
            finish_spread: time("finish_spread_s", self.finish_spread_s)?,
        };
        Ok(Controller::new(budget, self.steering, known))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::Costs;
    use crate::units::Pages;

    fn read(set: &[(&str, &str)]) -> Result<Overrides> {
        Overrides::read(|name| {
            set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn config() -> Config {
        let text = "[budget]\ndowntime = \"2s\"\ntotal = \"1min\"\n\
            [costs]\nfinish = \"50ms\"\n\
            [[domain]]\nname = \"db-*\"\nbandwidth = \"1GB/s\"\nbudget.downtime = \"300ms\"\n\
            steer.on_miss = \"throttle\"";
        Config::parse(text, Path::new("test.toml")).unwrap()
    }

    fn learnt() -> Calibration {
        let costs = Costs {
            start: Duration::from_millis(7),
            finish: Duration::from_millis(90),
            ..Costs::default()
        };
        let bandwidth = BytesPerSecond::new(5e8).unwrap();
        Calibration { bandwidth, costs, finish_spread: Duration::from_millis(20), from: 3 }
    }

    #[test]
    fn the_environment_wins_over_the_domain_and_that_over_the_sections() {
        let web = Settings::resolve(&config(), "web", Some(&learnt()), Overrides::default());
        assert_eq!((web.downtime_s, web.total_s, web.bytes), (Some(2.0), Some(60.0), None));
        assert_eq!(web.steering.on_miss, OnMiss::Abort);
        assert_eq!(web.bandwidth_bytes_per_s, Some(5e8));
        assert_eq!(web.costs.finish, Duration::from_millis(50));
        assert_eq!(web.costs.start, Duration::from_millis(7));
        assert_eq!(web.finish_spread_s, 0.02);

        let db = Settings::resolve(&config(), "db-1", Some(&learnt()), Overrides::default());
        assert_eq!((db.downtime_s, db.bandwidth_bytes_per_s), (Some(0.3), Some(1e9)));
        assert_eq!(db.steering.on_miss, OnMiss::Throttle);

        let set = [
            (DOWNTIME_VARIABLE, "100ms"),
            (TOTAL_VARIABLE, "unlimited"),
            (BYTES_VARIABLE, "4KiB"),
            (ON_MISS_VARIABLE, "stop"),
            (TELEMETRY_VARIABLE, "/tmp/events"),
        ];
        let db = Settings::resolve(&config(), "db-1", None, read(&set).unwrap());
        assert_eq!((db.downtime_s, db.total_s, db.bytes), (Some(0.1), None, Some(4096)));
        assert_eq!(db.steering.on_miss, OnMiss::Stop);
        assert_eq!(db.telemetry, Some("/tmp/events".into()));
    }

    #[test]
    fn bad_values_name_their_variable_and_empty_ones_are_none() {
        for name in [DOWNTIME_VARIABLE, TOTAL_VARIABLE, BYTES_VARIABLE, ON_MISS_VARIABLE] {
            let error = read(&[(name, "soon")]).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            assert_eq!(error.kind(), Kind::Usage);
            assert_eq!(read(&[(name, "")]).unwrap(), Overrides::default());
        }
        assert!(!read(&[(TELEMETRY_VARIABLE, "/tmp/events")]).unwrap().steer());
        assert!(read(&[(ON_MISS_VARIABLE, "abort")]).unwrap().steer());
    }

    #[test]
    fn settings_that_no_budget_can_have_are_refused() {
        let guest = Guest::new(Pages(1000), Pages(1000));
        let good = Settings::resolve(&config(), "web", None, Overrides::default());
        assert!(good.controller(guest, 100, true).is_ok());
        for bad in [
            Settings { downtime_s: Some(-1.0), ..good.clone() },
            Settings { total_s: Some(f64::NAN), ..good.clone() },
            Settings { finish_spread_s: f64::INFINITY, ..good.clone() },
            Settings { bandwidth_bytes_per_s: Some(0.0), ..good },
        ] {
            assert_eq!(bad.controller(guest, 100, true).unwrap_err().kind(), Kind::Data, "{bad:?}");
        }
    }
}
