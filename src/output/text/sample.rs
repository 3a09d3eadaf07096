//! What a sample showed.

use xenmig::dirty::{Curve, Ended, Heat, HotRange, Sample, Window};
use xenmig::units::{Bytes, PAGE_SIZE, show_duration};

use super::{about, field, lines};
use crate::output::graph;
use crate::output::style::Style;
use crate::output::table::{align, count, percent};

/// The curve, the rates, the windows, and which pages are hot.
pub fn sample(sample: &Sample, heat: Option<&Heat>, style: Style) -> String {
    let domain = &sample.domain;
    let curves = Curve::all_measured(&sample.windows, domain.memory);
    let mut out = field("Domain", &about(domain), style);
    if let Some(used) = cpu(&sample.vcpu_utilisation(), sample.host_cpu_utilisation()) {
        out += &field("CPU", &used, style);
    }
    match Curve::mean(&curves) {
        Some(mean) => {
            out += &field("Dirty rate", &rate(mean.dirty_rate()), style);
            out += &format!("\n{}\n", style.strong("Distinct pages dirtied after t"));
            out += &lines(graph::curve(mean.points(), graph::WIDTH, style));
        }
        None => out += "\nNothing was seen: the sample ended before the first look.\n",
    }
    out += &format!("\n{}\n", style.strong("Windows"));
    out += &lines(windows(&sample.windows));
    if let Some(heat) = heat {
        out += &format!("\n{}\n", style.strong("Hot pages"));
        out += &hot(heat);
    }
    out
}

/// `vCPUs 40 %, host 25 %`; `None` when neither is known.
pub fn cpu(vcpus: &[f64], host: Option<f64>) -> Option<String> {
    let shown: Vec<_> = vcpus.iter().map(|used| percent(*used)).collect();
    let alike = shown.iter().all(|used| *used == shown[0]);
    let guest = match shown.as_slice() {
        [] => None,
        [first, ..] if alike || shown.len() > 8 => {
            let mean = vcpus.iter().sum::<f64>() / vcpus.len() as f64;
            let used = if alike { first.clone() } else { format!("{} on average", percent(mean)) };
            Some(format!("vCPUs {used}"))
        }
        shown => Some(format!("vCPUs {}", shown.join(", "))),
    };
    let host = host.map(|used| format!("host {}", percent(used)));
    let known: Vec<_> = [guest, host].into_iter().flatten().collect();
    (!known.is_empty()).then(|| known.join(", "))
}

/// `1,234 pages/s (4.82 MiB/s)`
fn rate(pages_per_s: f64) -> String {
    let bytes = Bytes((pages_per_s * PAGE_SIZE as f64) as u64);
    format!("{} pages/s ({bytes}/s)", count(pages_per_s))
}

fn windows(windows: &[Window]) -> Vec<String> {
    let mut rows =
        vec![["", "length", "pages", "pages/s", "CPU", "ended"].map(str::to_owned).to_vec()];
    for (at, window) in windows.iter().enumerate() {
        let (length, pages) = window.points.last().copied().unwrap_or_default();
        let per_second = pages.0 as f64 / length.as_secs_f64().max(f64::MIN_POSITIVE);
        let used = &window.vcpu_utilisation;
        let mean = used.iter().sum::<f64>() / used.len() as f64;
        rows.push(vec![
            (at + 1).to_string(),
            show_duration(length),
            count(pages.0 as f64),
            count(per_second),
            if used.is_empty() { "?".to_owned() } else { percent(mean) },
            ended(window.ended).to_owned(),
        ]);
    }
    align(&rows, 2, 0)
}

fn ended(ended: Ended) -> &'static str {
    match ended {
        Ended::Complete => "as planned",
        Ended::SaveBegan => "a save began",
        Ended::Interrupted => "interrupted",
        Ended::DomainGone => "domain gone",
    }
}

fn hot(heat: &Heat) -> String {
    let in_all = format!(
        "  {} pages in some window, {} of them in every one of {}\n",
        count(heat.in_some.0 as f64),
        count(heat.in_all.0 as f64),
        heat.windows
    );
    let mut rows = vec![["first pfn", "pages", "size", "dirtied"].map(str::to_owned).to_vec()];
    let row = |range: &HotRange| {
        vec![
            format!("{:#x}", range.first.0),
            count(range.pages.0 as f64),
            range.pages.bytes().to_string(),
            percent(range.density(heat.windows)),
        ]
    };
    rows.extend(heat.ranges.iter().map(row));
    in_all + &lines(align(&rows, 2, 0))
}
