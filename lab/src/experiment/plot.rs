//! The figures as SVG.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::plan::{Curve, Figure};
use super::run::Run;
use super::series::{Place, Spread, places};
use crate::{Error, Result};

const FONT: &str = "sans-serif";
const PANEL: (u32, u32) = (520, 400);
const STRIP_HEIGHT: u32 = 190;

/// Okabe and Ito's colours, which the colour-blind tell apart.
const fn colour(curve: Curve) -> RGBColor {
    match curve {
        Curve::Weak => RGBColor(213, 94, 0),
        Curve::Strong => RGBColor(0, 114, 178),
        Curve::Budget => RGBColor(0, 158, 115),
    }
}

const fn label(curve: Curve) -> &'static str {
    match curve {
        Curve::Weak => "weak host, stock",
        Curve::Strong => "strong host, stock",
        Curve::Budget => "weak host, xenmig with a budget",
    }
}

/// Without a fraction where there is none.
fn number(value: &f64) -> String {
    format!("{value:.1}").trim_end_matches(".0").to_owned()
}

fn failed<E: std::fmt::Display>(cause: E) -> Error {
    Error::Unexpected(format!("drawing: {cause}"))
}

/// Draws a figure from its runs.
pub(super) fn draw(figure: Figure, runs: &[&Run]) -> Result<String> {
    let mut text = String::new();
    match figure {
        Figure::Fig2 => over_time(&mut text, runs)?,
        _ => against_load(&mut text, figure, runs)?,
    }
    Ok(text)
}

/// Total and offline time side by side.
fn against_load(text: &mut String, figure: Figure, runs: &[&Run]) -> Result<()> {
    let root = SVGBackend::with_string(text, (2 * PANEL.0, PANEL.1)).into_drawing_area();
    root.fill(&WHITE).map_err(failed)?;
    let (left, right) = root.split_horizontally(PANEL.0);
    let curves: Vec<(Curve, Vec<Place>)> =
        Curve::ALL.into_iter().map(|curve| (curve, places(runs, curve))).collect();
    panel(&left, figure, "total time, virtual s", &curves, |place| place.total_s)?;
    panel(&right, figure, "offline time, virtual s", &curves, |place| place.offline_s)?;
    root.present().map_err(failed)
}

fn panel<D: DrawingBackend>(
    area: &DrawingArea<D, Shift>,
    figure: Figure,
    title: &str,
    curves: &[(Curve, Vec<Place>)],
    what: impl Fn(&Place) -> Option<Spread>,
) -> Result<()> {
    let all = || curves.iter().flat_map(|(_, places)| places);
    let highest = all().filter_map(&what).map(|spread| spread.most).fold(0.0, f64::max);
    let top = if highest > 0.0 { highest * 1.3 } else { 1.0 };
    let right = all().map(|place| place.x).fold(0.0, f64::max).max(1.0) * 1.04;
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 17))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(46)
        .build_cartesian_2d(0.0..right, 0.0..top)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(figure.axis())
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&number)
        .label_style((FONT, 13))
        .draw()
        .map_err(failed)?;
    for (curve, places) in curves {
        let style = colour(*curve).stroke_width(2);
        let seen: Vec<(f64, Spread)> =
            places.iter().filter_map(|p| Some((p.x, what(p)?))).collect();
        let medians = seen.iter().map(|(x, spread)| (*x, spread.median));
        chart
            .draw_series(LineSeries::new(medians.clone(), style))
            .map_err(failed)?
            .label(label(*curve))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        let dots = medians.map(|at| Circle::new(at, 3, style.filled()));
        chart.draw_series(dots).map_err(failed)?;
        let bars = seen
            .iter()
            .map(|(x, spread)| PathElement::new([(*x, spread.least), (*x, spread.most)], style));
        chart.draw_series(bars).map_err(failed)?;
        let warned = places.iter().filter(|place| place.warned > 0);
        let crosses: Vec<_> =
            warned.map(|place| Cross::new((place.x, top * 0.03), 5, style)).collect();
        if !crosses.is_empty() {
            chart
                .draw_series(crosses)
                .map_err(failed)?
                .label("xenmig advised against it")
                .legend(move |(x, y)| Cross::new((x + 9, y), 5, style));
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .label_font((FONT, 13))
        .draw()
        .map_err(failed)
}

/// The throughput of one migration by each curve, with its phases.
fn over_time(text: &mut String, runs: &[&Run]) -> Result<()> {
    let moved: Vec<_> = runs.iter().filter_map(|run| Some((run.curve, run.moved()?))).collect();
    let strips = moved.len().max(1);
    let size = (2 * PANEL.0, STRIP_HEIGHT * strips as u32 + 20);
    let root = SVGBackend::with_string(text, size).into_drawing_area();
    root.fill(&WHITE).map_err(failed)?;
    let end = moved.iter().filter_map(|(_, m)| m.curve.last()).map(|c| c.0).fold(1.0, f64::max);
    let begin = moved.iter().filter_map(|(_, m)| m.curve.first()).map(|c| c.0).fold(0.0, f64::min);
    let top = moved.iter().flat_map(|(_, m)| &m.curve).map(|c| c.1 / 1e3).fold(1.0, f64::max) * 1.3;
    for (area, (curve, moved)) in root.split_evenly((strips, 1)).iter().zip(&moved) {
        let mut chart = ChartBuilder::on(area)
            .caption(format!("{}: service's throughput, kB/s", label(*curve)), (FONT, 15))
            .margin(8)
            .x_label_area_size(30)
            .y_label_area_size(46)
            .build_cartesian_2d(begin..end, 0.0..top)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc("virtual s since the save began")
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&number)
            .y_labels(4)
            .label_style((FONT, 12))
            .draw()
            .map_err(failed)?;
        let points = moved.curve.iter().map(|(at, bytes)| (*at, bytes / 1e3));
        let line = LineSeries::new(points, colour(*curve).stroke_width(1));
        chart.draw_series(line).map_err(failed)?;
        let Some(phases) = &moved.phases else { continue };
        let marks = [
            // xenmig samples before: what disturbs the service first is no push phase.
            (phases.push_begins.filter(|_| *curve != Curve::Budget), "push"),
            (Some(phases.offline_begins), "offline"),
            (Some(phases.offline_ends), "back"),
        ];
        let marks = marks.iter().filter_map(|(at, name)| Some(((*at)?.s, *name)));
        for (at, name) in marks {
            let line = PathElement::new([(at, 0.0), (at, top * 0.9)], BLACK.mix(0.6));
            chart.draw_series([line]).map_err(failed)?;
            let text = Text::new(name, (at, top * 0.98), (FONT, 12).into_font());
            chart.draw_series([text]).map_err(failed)?;
        }
    }
    root.present().map_err(failed)
}
