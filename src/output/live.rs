//! A migration while it runs: a line that changes on a terminal, plain lines elsewhere, JSON lines
//! on stdout if those are wanted.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use xenmig::host::Domain;
use xenmig::migrate::hook::Event as Save;
use xenmig::migrate::{Event, Stage};
use xenmig::policy::Budget;
use xenmig::units::{Bytes, show_duration};

use super::json;
use super::style::Style;
use super::table::count;
use crate::cli::Global;

/// Shows what happens.
pub struct Live {
    way: Way,
    name: String,
    limit: Option<Duration>,
    memory: u64,
    sent: u64,
    /// Pages of the send that runs, and its round.
    sending: (u32, u64),
    downtime_s: Option<f64>,
    rate: Option<f64>,
}

enum Way {
    Bar(ProgressBar),
    Lines,
    Json,
    Silent,
}

impl Live {
    pub fn new(domain: &Domain, budget: &Budget, global: &Global) -> Self {
        let way = if global.json {
            Way::Json
        } else if global.quiet {
            Way::Silent
        } else if std::io::stderr().is_terminal() {
            Way::Bar(bar(Style::stderr()))
        } else {
            Way::Lines
        };
        let name = if domain.name.is_empty() { domain.id.to_string() } else { domain.name.clone() };
        Self {
            way,
            name,
            limit: budget.downtime,
            memory: domain.memory.bytes().0,
            sent: 0,
            sending: (0, 0),
            downtime_s: None,
            rate: None,
        }
    }

    /// Takes note of `event`, and shows it.
    pub fn show(&mut self, event: &Event) {
        if let Way::Json = self.way {
            // The sampling's share is for bars.
            let wanted = !matches!(event, Event::Sampling { .. });
            match wanted.then(|| json::line(event)) {
                Some(Ok(line)) => write(std::io::stdout(), &line),
                Some(Err(error)) => log::warn!("{error}"),
                None => {}
            }
            return;
        }
        if let Event::Said { line } = event {
            log::info!("target: {line}");
        }
        self.learn(event);
        let line = self.line(event);
        match &self.way {
            Way::Bar(bar) => {
                self.draw(bar, event);
                if let Event::GivingUp { .. } = event {
                    line.iter().for_each(|line| bar.println(line));
                }
            }
            Way::Lines => {
                line.iter().for_each(|line| write(std::io::stderr(), &format!("{line}\n")))
            }
            Way::Json | Way::Silent => {}
        }
    }

    /// Leaves the terminal as it was.
    pub fn clear(&self) {
        if let Way::Bar(bar) = &self.way {
            bar.finish_and_clear();
        }
    }

    fn learn(&mut self, event: &Event) {
        match event {
            Event::Save(Save::Send { round, pages, .. }) => self.sending = (*round, *pages),
            Event::Save(Save::Sent { bytes, .. }) => self.sent += bytes,
            Event::Save(Save::Decision { downtime_s, bandwidth_bytes_per_s, .. }) => {
                self.downtime_s = *downtime_s;
                self.rate = bandwidth_bytes_per_s.or(self.rate);
            }
            _ => {}
        }
    }

    /// The event in words; `None` when it is nothing to be told line by line.
    fn line(&self, event: &Event) -> Option<String> {
        let name = &self.name;
        Some(match event {
            Event::Stage { stage, since_start_s } => {
                let what = match stage {
                    Stage::Gate => format!("checking {name}"),
                    Stage::Connecting => "waiting for the target".to_owned(),
                    Stage::Sending => format!("sending {name} while it runs"),
                    Stage::Suspended => "suspended; sending the rest".to_owned(),
                    Stage::Waiting => "sent; the target puts it together".to_owned(),
                    Stage::HandedOver => "the target may run it now".to_owned(),
                    Stage::Arrived => "it runs at the target".to_owned(),
                    Stage::Done => return None,
                };
                format!("{since_start_s:8.3} s  {what}")
            }
            Event::Steered { .. } => "            the budget steers the save".to_owned(),
            Event::GivingUp { why } => format!("            giving up: {why}"),
            Event::Save(Save::Sent { round, pages, bytes, s, pending, .. }) => {
                let (pages, pending) = (count(*pages as f64), count(*pending as f64));
                let time = seconds(*s);
                let bytes = Bytes(*bytes);
                format!(
                    "            round {}: {pages} pages, {bytes} in {time}; {pending} dirty",
                    round + 1
                )
            }
            Event::Save(Save::Capped { cap: 0, .. }) => {
                "            no longer throttled".to_owned()
            }
            Event::Save(Save::Capped { cap, .. }) => {
                format!("            throttled to {cap} % of a CPU")
            }
            Event::Save(Save::Stock { why, .. }) => {
                format!("            Xen's stock policy decides from here on: {why}")
            }
            _ => return None,
        })
    }

    fn draw(&self, bar: &ProgressBar, event: &Event) {
        match event {
            Event::Sampling { done } => {
                bar.set_length(1000);
                bar.set_position((done * 1000.0) as u64);
                bar.set_message(format!("sampling {}", self.name));
            }
            Event::Stage { stage, .. } => bar.set_message(match stage {
                Stage::Gate => format!("checking {}", self.name),
                Stage::Connecting => "waiting for the target".to_owned(),
                Stage::Sending => {
                    bar.reset();
                    bar.set_length(self.memory);
                    format!("sending {}", self.name)
                }
                Stage::Suspended => "suspended; sending the rest".to_owned(),
                Stage::Waiting => "the target puts it together".to_owned(),
                Stage::HandedOver => "starting at the target".to_owned(),
                Stage::Arrived | Stage::Done => "done".to_owned(),
            }),
            Event::Save(Save::Send { .. } | Save::Sent { .. } | Save::Decision { .. }) => {
                bar.set_position(self.sent.min(self.memory));
                bar.set_message(self.state());
            }
            _ => {}
        }
    }

    /// `round 2, 1.50 GiB sent, 118 MiB/s, 210 ms of 300 ms down`
    fn state(&self) -> String {
        let mut parts = vec![format!("round {}, {} sent", self.sending.0 + 1, Bytes(self.sent))];
        parts.extend(self.rate.map(|rate| format!("{}/s", Bytes(rate as u64))));
        parts.extend(self.downtime_s.map(|now| match self.limit {
            Some(limit) => format!("{} of {} down", seconds(now), show_duration(limit)),
            None => format!("{} down", seconds(now)),
        }));
        parts.join(", ")
    }
}

fn seconds(s: f64) -> String {
    Duration::try_from_secs_f64(s).map_or_else(|_| "for ever".to_owned(), show_duration)
}

fn bar(style: Style) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr());
    let look = ProgressStyle::with_template("[{bar:24}] {elapsed} {msg}");
    let look = look.unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(look.progress_chars(if style.unicode {
        "█▉▊▋▌▍▎▏ "
    } else {
        "#>."
    }));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A reader that has gone away is no reason to fail in the midst of a migration.
fn write(mut to: impl Write, text: &str) {
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}
