//! The page that `report` writes: one file that needs no other. Everything that is shown by colour
//! is also a number, a line style or a shape, so that it can be read without colour and on paper.

mod chart;
mod heat;

use jiff::Zoned;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use xenmig::Result;
use xenmig::history::{AtBandwidth, OutcomeRecord};

use super::report::{Portrait, Report};
use super::table::count;
use super::text::{self, seconds};

/// Migrations that are listed one by one; the picture has all.
const LISTED: usize = 50;

/// The whole file.
pub fn report(report: &Report) -> Result<String> {
    let domains = report.domains.iter().map(domain).collect::<Result<Vec<_>>>()?;
    let migrations = migrations(report)?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content={ "xenmig " (env!("CARGO_PKG_VERSION")) };
                title { "Migrations: " (report.host.as_ref().unwrap_or(&report.source)) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                header {
                    h1 { "What migrations cost" @if let Some(host) = &report.host { " at " (host) } }
                    p.facts {
                        "From " (report.source) ", "
                        (day(&report.local(report.since.as_second()))) " to "
                        (day(&report.local(report.at.as_second()))) ". Times of day are of the zone "
                        (zone(report)) "."
                    }
                }
                (overview(report))
                @for domain in &domains { (domain) }
                (migrations)
                (footer())
            }
        }
    };
    Ok(page.into_string())
}

/// `Mon 5 Jan 2026 00:00`
fn day(at: &Zoned) -> String {
    at.strftime("%a %-d %b %Y %H:%M").to_string()
}

fn zone(report: &Report) -> String {
    let name = report.zone.iana_name().map(str::to_owned);
    name.unwrap_or_else(|| report.local(report.at.as_second()).strftime("UTC%:z").to_string())
}

/// A row for each domain.
fn overview(report: &Report) -> Markup {
    html! {
        h2 { "Domains" }
        div.scroll {
            table {
                thead {
                    tr {
                        th.left { "Domain" }
                        th { "Memory" }
                        th { "vCPUs" }
                        th { "Dirty rate, pages/s" br; "median (p90)" }
                        th { "Downtime" br; "median (p90)" }
                        th.left { "Cheapest next" }
                    }
                }
                tbody { @for domain in &report.domains { (overview_row(domain)) } }
            }
        }
        @if !report.unseen.is_empty() {
            p.note { "Known, but not seen in this time: " (report.unseen.join(", ")) "." }
        }
        p.note {
            "Downtime is that of a stock migration, as xl does it, predicted from each sample for the "
            "bandwidth and the host costs that are known. p90: nine of ten take at most this. Rate and "
            "downtime are of the last week in which the domain was seen."
        }
    }
}

fn overview_row(portrait: &Portrait) -> Markup {
    let domain = &portrait.outlook.past.domain;
    let rate = portrait.dirty_rate().map(|(p50, p90)| pair(&count(p50), &count(p90)));
    let downtime = portrait.downtime().map(|(p50, p90)| pair(&seconds(p50), &seconds(p90)));
    html! {
        tr {
            th.left { a href={ "#" (domain.uuid) } { (domain.name) } }
            td { (domain.memory.bytes()) }
            td { (domain.vcpus) }
            td { (rate.unwrap_or_default()) }
            td { (downtime.unwrap_or_default()) }
            td.left { (cheapest(portrait)) }
        }
    }
}

/// `80 ms (140 ms)`
fn pair(likely: &str, most: &str) -> String {
    format!("{likely} ({most})")
}

/// The first window, or a word in its place.
fn cheapest(portrait: &Portrait) -> String {
    use xenmig::history::Advice;
    match &portrait.outlook.advice {
        Advice::Windows { .. } => {
            let first =
                text::window::rows(&portrait.outlook).into_iter().next().unwrap_or_default();
            first.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(" ")
        }
        Advice::AnyTime { .. } => "any time".to_owned(),
        Advice::NoTime { .. } => "none keeps the budget".to_owned(),
        Advice::TooShort { .. } => "not known yet".to_owned(),
    }
}

/// All about one domain.
fn domain(portrait: &Portrait) -> Result<Markup> {
    let outlook = &portrait.outlook;
    let known = &outlook.past.domain;
    let samples = outlook.past.observations.len();
    let last = outlook.last_seen().map(|at| day(&outlook.local(at))).unwrap_or_default();
    Ok(html! {
        section.domain id=(known.uuid) {
            h2 { (known.name) }
            p.facts {
                (known.memory.bytes()) ", " (known.vcpus) " vCPU" @if known.vcpus != 1 { "s" }
                "; UUID " (known.uuid) "; " (count(samples as f64)) " samples, the last on " (last)
            }
            p.facts { "History: " (text::window::history(outlook)) ". Budget: " (text::window::budget(outlook)) "." }
            @if let Some(stale) = text::window::stale(outlook) { p { strong { (stale) } } }
            (windows(portrait))
            h3 { "Downtime by hour and weekday" }
            (heat::table(portrait))
            div.charts {
                figure {
                    figcaption { "Pages dirtied, by time since they were clean; last week" }
                    (PreEscaped(chart::dirtied(&portrait.dirtied)?))
                    (dirtied_numbers(portrait))
                }
                figure {
                    figcaption { "Downtime against bandwidth; last week" }
                    (PreEscaped(chart::by_bandwidth(portrait)?))
                    (enough(portrait))
                    (bandwidth_numbers(portrait))
                }
            }
        }
    })
}

/// The cheapest windows to come.
fn windows(portrait: &Portrait) -> Markup {
    let outlook = &portrait.outlook;
    html! {
        h3 { "Cheapest times of the next days" }
        @if let Some(said) = text::window::said(outlook) {
            p { (capital(&said)) "." }
        } @else {
            table {
                @for row in text::window::rows(outlook) {
                    tr { @for cell in &row { td.left { (cell) } } }
                }
            }
        }
    }
}

/// A sentence that begins as one.
fn capital(said: &str) -> String {
    let mut letters = said.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn dirtied_numbers(portrait: &Portrait) -> Markup {
    html! {
        details {
            summary { "The same as numbers" }
            table {
                thead { tr { th { "within" } th { "p10" } th { "median" } th { "p90, pages" } } }
                tbody {
                    @for at in portrait.dirtied.iter().filter(|at| at.s > 0.0) {
                        tr {
                            td { (seconds(at.s)) }
                            td { (count(at.p10_pages)) }
                            td { (count(at.p50_pages)) }
                            td { (count(at.p90_pages)) }
                        }
                    }
                }
            }
        }
    }
}

/// From which bandwidth on the budget is kept.
fn enough(portrait: &Portrait) -> Markup {
    let from = |at: Option<&AtBandwidth>| match at {
        Some(at) => format!("from {} on", at.bandwidth_bytes_per_s),
        None => "at none of these".to_owned(),
    };
    let (stock, steered) = portrait.enough();
    html! {
        @if portrait.outlook.wanted.downtime.is_some() {
            p.note {
                "Nine of ten keep the downtime: stock " (from(stock)) "; sending on until the rest "
                "fits the budget, as xenmig migrate does, " (from(steered)) "."
            }
        }
    }
}

fn bandwidth_numbers(portrait: &Portrait) -> Markup {
    let time = |s: Option<f64>| s.map(seconds).unwrap_or_default();
    let share = |share: Option<f64>| share.map(super::table::percent).unwrap_or_default();
    html! {
        details {
            summary { "The same as numbers" }
            table {
                thead {
                    tr {
                        th { "bandwidth" } th { "stock, median" } th { "stock, p90" }
                        th { "fits the budget" }
                    }
                }
                tbody {
                    @for at in &portrait.by_bandwidth {
                        tr {
                            td { (at.bandwidth_bytes_per_s) }
                            td { (time(at.downtime_s)) }
                            td { (time(at.downtime_p90_s)) }
                            td { (share(at.fits)) }
                        }
                    }
                }
            }
        }
    }
}

/// Migrations from here, as predicted and as they were.
fn migrations(report: &Report) -> Result<Markup> {
    let all = &report.migrations;
    let picture = chart::outcomes(all)?;
    Ok(html! {
        section.migrations {
            h2 { "Migrations" }
            @if all.is_empty() {
                p { "None from this host are remembered." }
            } @else {
                p { (accuracy(all)) }
                div.charts {
                    figure {
                        figcaption { "Downtime: predicted and measured" }
                        (PreEscaped(picture))
                    }
                }
                @if all.len() > LISTED {
                    p.note { "The latest " (LISTED) " of " (all.len()) ":" }
                }
                div.scroll { (outcomes(report)) }
            }
        }
    })
}

/// How good the predictions were, in a sentence.
fn accuracy(all: &[OutcomeRecord]) -> String {
    let judged = |kept: bool| all.iter().filter(|record| record.kept == Some(kept)).count();
    let off = |record: &OutcomeRecord| {
        let predicted = record.predicted?.downtime_s;
        (predicted > 0.0).then(|| (record.downtime_s / predicted - 1.0).abs())
    };
    let mut off: Vec<_> = all.iter().filter_map(off).collect();
    off.sort_by(f64::total_cmp);
    let median = off.get(off.len() / 2).map(|off| {
        format!(" Half of the downtimes were within {:.0} % of what was predicted.", off * 100.0)
    });
    format!(
        "{} remembered: {} kept their budget, {} did not.{}",
        all.len(),
        judged(true),
        judged(false),
        median.unwrap_or_default()
    )
}

fn outcomes(report: &Report) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th.left { "When" } th.left { "Domain" } th.left { "To" }
                    th { "Downtime" br; "predicted" } th { br; "measured" }
                    th { "Total time" br; "predicted" } th { br; "measured" }
                    th { "Rounds" }
                    th.left { "Budget" }
                }
            }
            tbody {
                @for record in report.migrations.iter().rev().take(LISTED) {
                    (outcome(report, record))
                }
            }
        }
    }
}

fn outcome(report: &Report, record: &OutcomeRecord) -> Markup {
    let predicted = record.predicted;
    let kept = match record.kept {
        Some(true) => "kept",
        Some(false) => "broken",
        None => "not judged",
    };
    let at = report.local(i64::try_from(record.at_unix_s).unwrap_or(i64::MAX));
    html! {
        tr {
            td.left { (day(&at)) }
            td.left { (record.domain) }
            td.left { (record.target) }
            td { (predicted.map(|p| seconds(p.downtime_s)).unwrap_or_default()) }
            td { (seconds(record.downtime_s)) }
            td { (predicted.map(|p| seconds(p.total_s)).unwrap_or_default()) }
            td { (seconds(record.total_s)) }
            td { (record.rounds.len()) }
            td.left.over[record.kept == Some(false)] { (kept) }
        }
    }
}

fn footer() -> Markup {
    html! {
        footer {
            p.note {
                "Written by xenmig " (env!("CARGO_PKG_VERSION")) " from what xenmig record keeps. "
                "Costs are predictions of Xen's own save loop over dirty curves that were measured; "
                "migrations are what was measured of real ones."
            }
        }
    }
}
