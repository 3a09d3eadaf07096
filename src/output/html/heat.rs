//! The week as a table: a row per day, a column per hour, a number in each.

use maud::{Markup, html};
use xenmig::history::Hour;
use xenmig::history::week::HOURS;

use crate::output::report::Portrait;
use crate::output::text::seconds;

const NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// Shades of the style sheet, `s0` to `s9`.
const SHADES: usize = 10;

/// How numbers become shades and text.
struct Scale {
    least: f64,
    most: f64,
}

impl Scale {
    fn of<'a>(hours: impl Iterator<Item = &'a Hour>) -> Option<Self> {
        let scale = hours.fold(None, |scale: Option<Self>, hour| {
            let s = hour.downtime_s;
            let Self { least, most } = scale.unwrap_or(Self { least: s, most: s });
            Some(Self { least: least.min(s), most: most.max(s) })
        });
        // Small differences are no darker than they deserve.
        scale.map(|Self { least, most }| Self { least, most: most.max(2.0 * least) })
    }

    /// By the logarithm: twice as long is a step, wherever it begins.
    fn shade(&self, s: f64) -> usize {
        let share = (s / self.least).ln() / (self.most / self.least).ln();
        ((share * SHADES as f64) as usize).min(SHADES - 1)
    }

    /// The middle of a shade.
    fn middle(&self, shade: usize) -> f64 {
        self.least * (self.most / self.least).powf((shade as f64 + 0.5) / SHADES as f64)
    }

    /// Whole table in one unit, at most four figures to a cell.
    fn unit(&self) -> (&'static str, f64) {
        if self.most < 10.0 { ("ms", 1000.0) } else { ("s", 1.0) }
    }

    fn number(&self, s: f64) -> String {
        let value = s * self.unit().1;
        match value {
            value if value < 0.995 => format!("{value:.2}"),
            value if value < 9.95 => format!("{value:.1}"),
            value => format!("{value:.0}"),
        }
    }
}

/// The week of a domain.
pub fn table(portrait: &Portrait) -> Markup {
    let Some(scale) = Scale::of(portrait.week.seen()) else {
        return html! { p { "Nothing was seen that could be predicted from." } };
    };
    let limit = portrait.outlook.wanted.downtime.map(|limit| limit.as_secs_f64());
    let over = |hour: &Hour| limit.is_some_and(|limit| hour.downtime_p90_s > limit);
    html! {
        div.scroll.keep {
            table.week {
                thead { tr { th {} @for hour in 0..HOURS { th { (format!("{hour:02}")) } } } }
                tbody {
                    @for (name, hours) in NAMES.iter().zip(&portrait.week.hours) {
                        tr { th scope="row" { (name) } @for hour in hours { (cell(hour.as_ref(), &scale, over)) } }
                    }
                }
            }
        }
        p.note {
            "Median of what a stock migration would have cost in that hour, in " (scale.unit().0)
            "; darker is longer. "
            @if portrait.week.seen().any(over) {
                span.over { "Bold and underlined" }
                ": more than one of ten would have been down for longer than the budget. "
            } @else if limit.is_some() {
                "In every hour nine of ten would have kept the budget's downtime. "
            }
            "Empty: nothing was seen."
        }
        (legend(&scale))
    }
}

fn cell(hour: Option<&Hour>, scale: &Scale, over: impl Fn(&Hour) -> bool) -> Markup {
    let Some(hour) = hour else {
        return html! { td {} };
    };
    let days = if hour.days == 1 { "day" } else { "days" };
    let more = format!("p90 {}, {} {days}", seconds(hour.downtime_p90_s), hour.days);
    let shade = format!("s{}", scale.shade(hour.downtime_s));
    html! {
        td.(shade).over[over(hour)] title=(more) { (scale.number(hour.downtime_s)) }
    }
}

/// What the shades stand for.
fn legend(scale: &Scale) -> Markup {
    html! {
        table.scale.keep {
            tr {
                @for shade in 0..SHADES {
                    td.{ "s" (shade) } { (scale.number(scale.middle(shade))) }
                }
                td { (scale.unit().0) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(downtimes: &[f64]) -> Scale {
        let hour = |s: &f64| Hour { downtime_s: *s, downtime_p90_s: *s, days: 1 };
        Scale::of(downtimes.iter().map(hour).collect::<Vec<_>>().iter()).unwrap()
    }

    #[test]
    fn shades_go_from_the_least_to_the_most() {
        let scale = scale(&[0.05, 5.0, 0.5]);
        assert_eq!([0.05, 0.5, 5.0].map(|s| scale.shade(s)), [0, 5, 9]);
        assert_eq!(
            (0..SHADES).map(|s| scale.shade(scale.middle(s))).collect::<Vec<_>>(),
            (0..SHADES).collect::<Vec<_>>()
        );
    }

    #[test]
    fn what_hardly_differs_has_light_shades() {
        let scale = scale(&[1.0, 1.05]);
        assert!(scale.shade(1.05) <= 1);
    }

    #[test]
    fn a_table_has_one_unit() {
        assert_eq!(scale(&[0.05, 9.0]).number(0.05), "50");
        assert_eq!(scale(&[0.05, 90.0]).number(90.0), "90");
        assert_eq!(scale(&[0.05, 90.0]).number(0.05), "0.05");
    }
}
