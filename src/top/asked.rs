//! What the user asked for, read; and how short the samples of `top` are.

use std::time::Duration;

use xenmig::Result;
use xenmig::config::Settings;
use xenmig::units::BytesPerSecond;

use crate::cli::{Budget, Sampling, Top};
use crate::cmd::{quantity, sampling};

/// Longest window that is chosen for a guest here: the screen should not wait for one for long.
const LONGEST_WINDOW: Duration = Duration::from_secs(2);
/// Windows of a sample, and brief ones after each: the fewest that show a spread.
const WINDOWS: u32 = 2;
const BRIEF_WINDOWS: u32 = 1;

/// The options of `top`.
pub struct Asked<'a> {
    /// From one refresh to the next.
    pub interval: Duration,
    /// The bandwidth that wins over all others.
    pub bandwidth: Option<BytesPerSecond>,
    budget: &'a Budget,
    sampling: &'a Sampling,
}

impl<'a> Asked<'a> {
    pub fn read(args: &'a Top) -> Result<Self> {
        let bandwidth = args.bandwidth.as_deref();
        let asked = Self {
            interval: quantity::time("--interval", &args.interval)?,
            bandwidth: bandwidth.map(|b| quantity::bandwidth("--bandwidth", b)).transpose()?,
            budget: &args.budget,
            sampling: &args.sampling,
        };
        asked.settings(Settings::default())?;
        Ok(asked)
    }

    /// `configured`, with shorter samples and with what the command line says in its place.
    pub fn settings(&self, mut configured: Settings) -> Result<Settings> {
        let short = &mut configured.sampling;
        for window in [&mut short.plan.window, &mut short.min_window, &mut short.max_window] {
            *window = (*window).min(LONGEST_WINDOW);
        }
        short.plan.windows = short.plan.windows.min(WINDOWS);
        short.plan.brief_windows = short.plan.brief_windows.min(BRIEF_WINDOWS);
        sampling::with_budget(configured, self.budget, self.sampling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::fixture;

    #[test]
    fn samples_are_shorter_than_a_checks_unless_the_user_says_otherwise() {
        let plan = |arguments: &[&str]| {
            let args = fixture::arguments(arguments);
            let settings = Asked::read(&args).unwrap().settings(Settings::default()).unwrap();
            settings.sampling.plan_for(Some(Duration::from_secs(60)))
        };
        assert!(plan(&[]).duration() < Duration::from_secs(6));
        let longer = plan(&["--window", "8s", "--windows", "4"]);
        assert_eq!((longer.window, longer.windows), (Duration::from_secs(8), 4));
    }

    #[test]
    fn wrong_quantities_are_found_before_a_host_is_looked_at() {
        for wrong in [["--interval", "5"], ["--downtime", "300"], ["--bandwidth", "fast"]] {
            let args = fixture::arguments(&wrong);
            let error = Asked::read(&args).map(drop).unwrap_err();
            assert!(error.to_string().contains(wrong[0]), "{error}");
        }
    }
}
