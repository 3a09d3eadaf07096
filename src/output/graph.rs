//! The dirty curve as bars: a line per moment, moments growing as they were sampled. And a history
//! as a sparkline.

use std::time::Duration;

use xenmig::units::show_duration;

use super::style::Style;
use super::table::{align, count};

/// Most moments shown.
const LINES: usize = 10;
/// Widest bar where there are 80 columns.
pub const WIDTH: usize = 48;

/// Lines for `points` (seconds, pages), the last of which is always shown, with bars of at most
/// `width`.
pub fn curve(points: &[(f64, f64)], width: usize, style: Style) -> Vec<String> {
    let shown = thin(points);
    let most = shown.iter().map(|point| point.1).fold(0.0, f64::max);
    let cells = |&(seconds, pages): &(f64, f64)| {
        let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        vec![show_duration(time), count(pages)]
    };
    let labels = align(&shown.iter().map(cells).collect::<Vec<_>>(), 2, 0);
    let bars = shown.iter().map(|point| bar(point.1 / most.max(1.0), width, style.unicode));
    let lines = labels.into_iter().zip(bars).map(|(label, bar)| match bar.as_str() {
        "" => label,
        bar => format!("{label}  {}", style.bar(bar)),
    });
    lines.collect()
}

/// At most [`LINES`] of the points, evenly from the end, without (0, 0).
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let points: Vec<_> = points.iter().copied().filter(|point| point.0 > 0.0).collect();
    let step = points.len().div_ceil(LINES).max(1);
    let mut shown: Vec<_> = points.into_iter().rev().step_by(step).collect();
    shown.reverse();
    shown
}

fn bar(share: f64, width: usize, unicode: bool) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if !unicode {
        return "#".repeat((share * width as f64).round() as usize);
    }
    let eighths = (share * width as f64 * 8.0).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// The last `width` of `values`, a character each, in proportion to the greatest of them.
pub fn spark(values: &[f64], width: usize, unicode: bool) -> String {
    const BLOCKS: &[char] = &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const ASCII: &[char] = &['_', '.', '-', '=', '+', '*', '%', '#'];
    let shown = &values[values.len().saturating_sub(width)..];
    let most = shown.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let levels = if unicode { BLOCKS } else { ASCII };
    let top = (levels.len() - 1) as f64;
    shown.iter().map(|value| levels[(value / most * top).round() as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_has_the_latest_and_is_in_proportion() {
        assert_eq!(spark(&[9.0, 0.0, 350.0, 700.0], 3, true), "▁▅█");
        assert_eq!(spark(&[0.0, 0.0], 8, false), "__");
        assert_eq!(spark(&[], 8, true), "");
    }

    #[test]
    fn bars_are_in_proportion() {
        let lines = curve(&[(0.0, 0.0), (0.1, 500.0), (1.0, 1000.0)], WIDTH, Style::PLAIN);
        assert_eq!(lines[0], format!("  100 ms    500  {}", "#".repeat(24)));
        assert_eq!(lines[1], format!("  1.00 s  1,000  {}", "#".repeat(48)));
        assert_eq!(bar(0.5, WIDTH, true), "█".repeat(24));
        assert_eq!(bar(1.0 / (48.0 * 8.0), WIDTH, true), "▏");
    }

    #[test]
    fn the_last_moment_is_always_there_and_a_still_guest_has_no_bars() {
        let points: Vec<_> = (1..=19).map(|t| (f64::from(t), 0.0)).collect();
        let lines = curve(&points, WIDTH, Style::PLAIN);
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[9], "  19.0 s  0");
    }
}
