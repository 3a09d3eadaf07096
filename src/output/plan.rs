//! What `migrate --dry-run` shows: the gate's verdict and what would be done.

use std::path::PathBuf;

use serde::Serialize;
use xenmig::Result;
use xenmig::check::{Document, Report};
use xenmig::config::Settings;
use xenmig::policy::precopy::{OnMiss, Steering};
use xenmig::units::show_duration;

use super::style::Style;
use super::{json, text};

/// A migration that is not made.
pub struct Plan<'a> {
    pub gate: &'a Report,
    pub may_start: bool,
    pub transport: &'a str,
    pub settings: &'a Settings,
    /// The save would be steered.
    pub steered: bool,
    /// By this program.
    pub wrapper: Option<&'a PathBuf>,
}

#[derive(Serialize)]
struct PlanDocument<'a> {
    schema: &'static str,
    would_start: bool,
    transport: &'a str,
    hook: Option<&'a PathBuf>,
    steering: Option<SteeringPart>,
    check: Document<'a>,
}

#[derive(Serialize)]
struct SteeringPart {
    on_miss: OnMiss,
    /// Of a physical CPU, as in the configuration.
    cap_floor_share: f64,
    hold_back: bool,
    max_wait_s: f64,
}

impl SteeringPart {
    fn of(steering: &Steering) -> Self {
        let Steering { on_miss, cap_floor, hold_back, max_wait } = *steering;
        let cap_floor_share = f64::from(cap_floor) / 100.0;
        Self { on_miss, cap_floor_share, hold_back, max_wait_s: max_wait.as_secs_f64() }
    }
}

impl Plan<'_> {
    /// `xenmig.migrate-plan/1`
    pub fn json(&self) -> Result<String> {
        json::text(&PlanDocument {
            schema: "xenmig.migrate-plan/1",
            would_start: self.may_start,
            transport: self.transport,
            hook: self.wrapper,
            steering: self.steered.then(|| SteeringPart::of(&self.settings.steering)),
            check: self.gate.document(),
        })
    }

    pub fn text(&self, style: Style) -> String {
        let mut out = text::check(self.gate, style);
        let begun = if self.may_start { "This would be done" } else { "Nothing would be done" };
        out += &format!("\n{}\n", style.strong(begun));
        if self.may_start {
            out += &text::field("Command", self.transport, style);
            let policy = match self.steered {
                true => steering(&self.settings.steering),
                false => "Xen's own, whatever it costs".to_owned(),
            };
            out += &text::field("Policy", &policy, style);
            if let Some(wrapper) = self.wrapper {
                out += &text::field("Save by", &wrapper.display().to_string(), style);
            }
        }
        out
    }
}

fn steering(steering: &Steering) -> String {
    let Steering { on_miss, cap_floor, max_wait, hold_back: _ } = steering;
    let wait = show_duration(*max_wait);
    match on_miss {
        OnMiss::Abort => format!("keep the budget, wait up to {wait}, or give up"),
        OnMiss::Throttle => {
            format!("keep the budget, throttle down to {cap_floor} % of a CPU, or give up")
        }
        OnMiss::Stop => format!("keep the budget, wait up to {wait}, or take the best moment"),
    }
}
