//! The pictures of the page, as SVG. Lines differ by their dashes and points by their shapes, not by
//! colour alone.

use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;
use xenmig::history::{AtBandwidth, OutcomeRecord, Spread};
use xenmig::units::{BytesPerSecond, show_duration};
use xenmig::{Error, Kind, Result};

use crate::output::report::Portrait;
use crate::output::table::count;
use crate::output::text::seconds;

const SIZE: (u32, u32) = (520, 360);
const FONT: &str = "sans-serif";
const LABEL: i32 = 13;
/// Okabe and Ito's blue and vermilion, which the colour-blind tell apart.
const BLUE: RGBColor = RGBColor(0, 114, 178);
const VERMILION: RGBColor = RGBColor(213, 94, 0);

fn failed<E: std::fmt::Display>(cause: E) -> Error {
    Error::new(Kind::Internal, format!("cannot draw: {cause}"))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn picture(draw: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        draw(&root)?;
        root.present().map_err(failed)?;
    }
    Ok(text)
}

fn builder<'a, 'b>(root: &'a Area<'b>) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut builder = ChartBuilder::on(root);
    builder.margin(10).margin_right(26).x_label_area_size(40).y_label_area_size(64);
    builder
}

/// The dirty curve: the median, and where eight of ten lie.
pub fn dirtied(spread: &[Spread]) -> Result<String> {
    let end = spread.last().map_or(1.0, |last| last.s).max(1e-3);
    let most = spread.iter().map(|at| at.p90_pages).fold(1.0, f64::max);
    picture(|root| {
        let mut chart =
            builder(root).build_cartesian_2d(0.0..end, 0.0..most * 1.25).map_err(failed)?;
        axes(
            &mut chart,
            ("time since clean, s", &|s| format!("{s:.1}")),
            ("distinct pages", &|pages| count(*pages)),
        )?;
        let least = spread.iter().rev().map(|at| (at.s, at.p10_pages));
        let band: Vec<_> = spread.iter().map(|at| (at.s, at.p90_pages)).chain(least).collect();
        let shade = BLUE.mix(0.2).filled();
        chart
            .draw_series([Polygon::new(band, shade)])
            .map_err(failed)?
            .label("eight of ten samples (p10 to p90)")
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 20, y + 5)], shade));
        let median = BLUE.stroke_width(2);
        chart
            .draw_series(LineSeries::new(spread.iter().map(|at| (at.s, at.p50_pages)), median))
            .map_err(failed)?
            .label("median")
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], median));
        legend(&mut chart, SeriesLabelPosition::UpperLeft)
    })
}

/// Downtime of a stock migration over slower and faster links, beside the budget and the link.
pub fn by_bandwidth(portrait: &Portrait) -> Result<String> {
    let all = &portrait.by_bandwidth;
    let rate = |b: BytesPerSecond| b.get() * 8.0;
    let of = |value: fn(&AtBandwidth) -> Option<f64>| -> Vec<(f64, f64)> {
        let point = |at: &AtBandwidth| Some((rate(at.bandwidth_bytes_per_s), value(at)?));
        all.iter().filter_map(point).collect()
    };
    let (median, p90) = (of(|at| at.downtime_s), of(|at| at.downtime_p90_s));
    let limit = portrait.outlook.wanted.downtime;
    let limits = limit.iter().map(std::time::Duration::as_secs_f64).filter(|s| *s > 0.0);
    let shown = median.iter().chain(&p90).map(|point| point.1).chain(limits);
    let (least, most) = bounds(shown);
    let bandwidths = all.iter().map(|at| rate(at.bandwidth_bytes_per_s));
    let (slow, fast) = bandwidths.fold((f64::MAX, 0.0f64), |(a, b), x| (a.min(x), b.max(x)));
    picture(|root| {
        let mut chart = builder(root)
            .build_cartesian_2d((slow..fast).log_scale(), (least..most).log_scale())
            .map_err(failed)?;
        axes(&mut chart, ("bandwidth, bit/s", &|x| bits(*x)), ("downtime", &|s| seconds(*s)))?;
        let solid = BLUE.stroke_width(2);
        chart
            .draw_series(LineSeries::new(median, solid))
            .map_err(failed)?
            .label("stock, median")
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], solid));
        chart
            .draw_series(DashedLineSeries::new(p90, 7, 5, solid))
            .map_err(failed)?
            .label("stock, p90")
            .legend(move |(x, y)| {
                let dash = |from: i32| PathElement::new([(x + from, y), (x + from + 7, y)], solid);
                EmptyElement::at((0, 0)) + dash(0) + dash(12)
            });
        let thin = BLACK.stroke_width(1);
        let here = rate(portrait.outlook.link.bandwidth);
        let line = DashedLineSeries::new([(here, least), (here, most)], 2, 4, thin);
        chart.draw_series(line).map_err(failed)?;
        // To the side on which there is room for it.
        let side = if here * here < slow * fast { 1.06 } else { 0.3 };
        let at = (here * side, least * (most / least).powf(0.06));
        let words = format!("this link: {}", bits(here));
        chart.draw_series([Text::new(words, at, (FONT, LABEL).into_font())]).map_err(failed)?;
        if let Some(limit) = limit.filter(|limit| !limit.is_zero()) {
            let s = limit.as_secs_f64();
            let line = DashedLineSeries::new([(slow, s), (fast, s)], 2, 4, thin);
            chart.draw_series(line).map_err(failed)?;
            let at = (slow * 1.1, s * (most / least).powf(0.045));
            let words = format!("budget: {}", show_duration(limit));
            chart.draw_series([Text::new(words, at, (FONT, LABEL).into_font())]).map_err(failed)?;
        }
        legend(&mut chart, SeriesLabelPosition::UpperRight)
    })
}

/// Each migration's downtime against what had been predicted.
pub fn outcomes(all: &[OutcomeRecord]) -> Result<String> {
    let point = |record: &OutcomeRecord| {
        let predicted = record.predicted?.downtime_s;
        let drawable = predicted > 0.0 && record.downtime_s > 0.0;
        drawable.then_some(((predicted, record.downtime_s), record.kept))
    };
    let points: Vec<_> = all.iter().filter_map(point).collect();
    let (least, most) = bounds(points.iter().flat_map(|((x, y), _)| [*x, *y]));
    let of = |kept: Option<bool>| {
        points.iter().filter(move |(_, k)| *k == kept).map(|(at, _)| *at).collect::<Vec<_>>()
    };
    picture(|root| {
        let mut chart = builder(root)
            .build_cartesian_2d((least..most).log_scale(), (least..most).log_scale())
            .map_err(failed)?;
        axes(&mut chart, ("predicted", &|s| seconds(*s)), ("measured", &|s| seconds(*s)))?;
        let thin = BLACK.mix(0.6).stroke_width(1);
        chart
            .draw_series(LineSeries::new([(least, least), (most, most)], thin))
            .map_err(failed)?
            .label("as predicted")
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], thin));
        let kept = BLUE.filled();
        chart
            .draw_series(of(Some(true)).into_iter().map(|at| Circle::new(at, 4, kept)))
            .map_err(failed)?
            .label("budget kept")
            .legend(move |(x, y)| Circle::new((x + 10, y), 4, kept));
        let broken = VERMILION.stroke_width(2);
        chart
            .draw_series(of(Some(false)).into_iter().map(|at| Cross::new(at, 5, broken)))
            .map_err(failed)?
            .label("budget broken")
            .legend(move |(x, y)| Cross::new((x + 10, y), 5, broken));
        let open = BLACK.stroke_width(1);
        chart
            .draw_series(of(None).into_iter().map(|at| TriangleMarker::new(at, 5, open)))
            .map_err(failed)?
            .label("not judged")
            .legend(move |(x, y)| TriangleMarker::new((x + 10, y), 5, open));
        legend(&mut chart, SeriesLabelPosition::UpperLeft)
    })
}

/// What an axis is called, and how its numbers are written.
type Axis<'a> = (&'a str, &'a dyn Fn(&f64) -> String);

fn axes<'a, D, X, Y>(
    chart: &mut ChartContext<'a, D, Cartesian2d<X, Y>>,
    x: Axis<'_>,
    y: Axis<'_>,
) -> Result<()>
where
    D: DrawingBackend + 'a,
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(x.0)
        .y_desc(y.0)
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&x.1)
        .y_label_formatter(&y.1)
        .label_style((FONT, LABEL))
        .draw()
        .map_err(failed)
}

fn legend<'a, D, X, Y>(
    chart: &mut ChartContext<'a, D, Cartesian2d<X, Y>>,
    place: SeriesLabelPosition,
) -> Result<()>
where
    D: DrawingBackend + 'a,
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    chart
        .configure_series_labels()
        .position(place)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.2))
        .label_font((FONT, LABEL))
        .draw()
        .map_err(failed)
}

/// Whole decades around positive values, so that an axis has numbers.
fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let sound = values.filter(|value| value.is_finite() && *value > 0.0);
    let (least, most) = sound.fold((f64::MAX, 0.0f64), |(a, b), x| (a.min(x), b.max(x)));
    if most <= 0.0 {
        return (0.01, 1.0);
    }
    let low = least.log10().floor();
    (10f64.powf(low), 10f64.powf(most.log10().ceil().max(low + 1.0)))
}

/// `100 M`, `2.5 G`
fn bits(rate: f64) -> String {
    let (value, unit) = if rate < 0.9995e9 { (rate / 1e6, "M") } else { (rate / 1e9, "G") };
    let digits = format!("{value:.1}");
    format!("{} {unit}", digits.trim_end_matches(".0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bandwidths_are_short() {
        assert_eq!([1e8, 2.5e9, 1e10, 1e9].map(bits), ["100 M", "2.5 G", "10 G", "1 G"]);
    }

    #[test]
    fn axes_have_numbers() {
        assert_eq!(bounds([0.2, 0.6].into_iter()), (0.1, 1.0));
        assert_eq!(bounds([1.0].into_iter()), (1.0, 10.0));
        assert_eq!(bounds([0.0, f64::NAN].into_iter()), (0.01, 1.0));
    }

    #[test]
    fn nothing_to_draw_is_no_trouble() {
        assert!(dirtied(&[]).unwrap().starts_with("<svg"));
        assert!(outcomes(&[]).unwrap().starts_with("<svg"));
    }
}
