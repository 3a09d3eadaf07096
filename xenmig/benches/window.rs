//! The windows that are recommended, against the best there were, on synthetic loads: four weeks of
//! past, a held-out week to migrate in. Writes the table in docs/window.md; the last line is JSON.

use std::time::Duration;

use jiff::tz::TimeZone;
use xenmig::history::profile::Seen;
use xenmig::history::{Advice, Profile, Wanted, advise};

const MONDAY: i64 = 1_767_571_200;
const DAY: i64 = 86_400;
const PAST_DAYS: i64 = 28;
/// From one sample to the next.
const EVERY: i64 = 300;
/// Longest downtime allowed, in seconds.
const BUDGET_S: f64 = 1.0;

/// What a load costs, without noise, in seconds of downtime: the truth. By day since the Monday it
/// began, and hour of that day; `seed` tells loads of a kind apart.
struct Kind {
    name: &'static str,
    /// Whether there is anything to learn.
    pattern: bool,
    level: fn(day: f64, hour: f64, seed: u64) -> f64,
}

/// Uniform in 0..1, by two numbers (SplitMix64's finaliser).
fn uniform(a: u64, b: u64) -> f64 {
    let mut z =
        a.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(b.wrapping_mul(0xbf58_476d_1ce4_e5b9));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// About normal: twelve uniform numbers (Irwin–Hall).
fn normal(a: u64, b: u64) -> f64 {
    (0..12).map(|nth| uniform(a.wrapping_add(nth << 40), b)).sum::<f64>() - 6.0
}

/// Low at `low` o'clock, high half a day later.
fn swing(hour: f64, low: f64) -> f64 {
    let phase = std::f64::consts::TAU * (hour - low) / 24.0;
    0.12 + 0.5 * (1.0 - phase.cos())
}

fn night(seed: u64) -> f64 {
    24.0 * uniform(seed, 1)
}

const KINDS: [Kind; 8] = [
    Kind { name: "diurnal", pattern: true, level: |_, hour, seed| swing(hour, night(seed)) },
    Kind {
        name: "working hours",
        pattern: true,
        level: |day, hour, seed| {
            let begin = 6.0 + 4.0 * uniform(seed, 2);
            let works = (day as i64 % 7) < 5 && (begin..begin + 9.0).contains(&hour);
            if works { 1.4 } else { 0.2 }
        },
    },
    Kind {
        name: "weekly",
        pattern: true,
        level: |day, hour, seed| {
            let quiet = (7.0 * uniform(seed, 3)) as i64;
            if day as i64 % 7 == quiet { 0.15 } else { swing(hour, night(seed)) + 0.5 }
        },
    },
    Kind {
        name: "nightly backup",
        pattern: true,
        level: |_, hour, seed| {
            let begin = night(seed);
            let within = (hour - begin).rem_euclid(24.0) < 2.0;
            if within { 4.0 } else { swing(hour, begin) }
        },
    },
    Kind {
        name: "shifting: up to 1½ hours a week",
        pattern: true,
        level: |day, hour, seed| {
            let hours = 0.5 + uniform(seed, 6);
            let way = if uniform(seed, 7) < 0.5 { -1.0 } else { 1.0 };
            swing(hour, night(seed) + way * hours * day / 7.0)
        },
    },
    Kind {
        name: "shifted: other nights since ten days",
        pattern: true,
        level: |day, hour, seed| {
            let moved = if day >= (PAST_DAYS - 10) as f64 { 9.0 } else { 0.0 };
            swing(hour, night(seed) + moved)
        },
    },
    Kind { name: "patternless: constant", pattern: false, level: |_, _, _| 0.5 },
    Kind {
        name: "patternless: by chance for hours",
        pattern: false,
        level: |day, hour, seed| {
            let block = (day * 24.0 + hour) as u64 / 3;
            0.5 * (0.8 * normal(seed, 1000 + block)).exp()
        },
    },
];

impl Kind {
    fn level_at(&self, unix_s: i64, seed: u64) -> f64 {
        let since = unix_s - MONDAY;
        let (day, second) = (since.div_euclid(DAY), since.rem_euclid(DAY));
        (self.level)(day as f64, second as f64 / 3600.0, seed)
    }

    /// What was seen in the past: the truth, and noise of some 30 %.
    fn past(&self, seed: u64) -> Vec<Seen> {
        let at = |nth: i64| {
            let at_unix_s = MONDAY + nth * EVERY;
            let noise = (0.3 * normal(seed ^ 0x5eed, nth as u64)).exp();
            let downtime_s = self.level_at(at_unix_s, seed) * noise;
            Seen { at_unix_s, downtime_s, total_s: 20.0 + downtime_s, weight: 1.0 }
        };
        (0..PAST_DAYS * DAY / EVERY).map(at).collect()
    }

    /// Mean level of a stretch.
    fn mean(&self, from: i64, to: i64, seed: u64) -> f64 {
        let steps: Vec<_> = (from..to).step_by(EVERY as usize).collect();
        steps.iter().map(|at| self.level_at(*at, seed)).sum::<f64>() / steps.len() as f64
    }
}

/// What came of one load.
struct Judged {
    /// How much more the first recommended window costs than the best of that length, as a share.
    regret: Option<f64>,
    /// It was recommended though nine of ten cases do not keep the budget there.
    broken: bool,
    advice: &'static str,
}

fn judge(kind: &Kind, seed: u64) -> Judged {
    let past = kind.past(seed);
    // At some hour of the first held-out day.
    let now = MONDAY + PAST_DAYS * DAY + (uniform(seed, 4) * DAY as f64) as i64;
    let wanted = Wanted {
        finish_spread: Duration::ZERO,
        now_unix_s: now,
        horizon: Duration::from_secs(7 * DAY as u64),
        downtime: Some(Duration::from_secs_f64(BUDGET_S)),
        total: None,
        count: 3,
    };
    let Some(profile) = Profile::learn(&past, TimeZone::UTC) else {
        return Judged { regret: None, broken: false, advice: "too short" };
    };
    match advise(&profile, &wanted) {
        Advice::Windows { windows } => {
            let window = windows[0];
            let length = window.to_unix_s - window.from_unix_s;
            let chosen = kind.mean(window.from_unix_s, window.to_unix_s, seed);
            let starts = (now..now + 7 * DAY - length).step_by(600);
            let best =
                starts.map(|from| kind.mean(from, from + length, seed)).fold(f64::MAX, f64::min);
            // exp(1.28 · 0.3): nine of ten are below.
            let p90 = chosen * 1.47;
            Judged { regret: Some(chosen / best - 1.0), broken: p90 > BUDGET_S, advice: "windows" }
        }
        Advice::AnyTime { .. } => Judged { regret: None, broken: false, advice: "any time" },
        Advice::NoTime { .. } => Judged { regret: None, broken: false, advice: "no time" },
        Advice::TooShort { .. } => Judged { regret: None, broken: false, advice: "too short" },
    }
}

fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * q).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

fn main() {
    let quick = std::env::args().any(|word| word == "--quick");
    let loads = if quick { 6 } else { 40 };
    let mut table = String::from(
        "| load | loads | windows named | regret, median | regret, p90 | budget not kept there |\n\
         | --- | ---: | ---: | ---: | ---: | ---: |\n",
    );
    let (mut regrets, mut false_confidence, mut patternless) = (Vec::new(), 0, 0);
    for kind in &KINDS {
        let judged: Vec<_> = (0..loads).map(|seed| judge(kind, seed * 7919 + 1)).collect();
        let named = judged.iter().filter(|one| one.advice == "windows").count();
        let broken = judged.iter().filter(|one| one.broken).count();
        let own: Vec<_> = judged.iter().filter_map(|one| one.regret).collect();
        if kind.pattern {
            // Where nothing is named nobody gains: that counts as the regret of any time at all.
            regrets.extend(judged.iter().map(|one| one.regret.unwrap_or(1.0)));
        } else {
            patternless += judged.len();
            false_confidence += named;
        }
        let share = |value: f64| {
            if value.is_nan() { "—".into() } else { format!("{:.1} %", value * 100.0) }
        };
        table += &format!(
            "| {} | {loads} | {named} | {} | {} | {broken} |\n",
            kind.name,
            share(quantile(&own, 0.5)),
            share(quantile(&own, 0.9)),
        );
    }
    let false_confidence = f64::from(false_confidence as u32) / f64::from(patternless as u32);
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let file =
        if quick { format!("{root}/target/window.md") } else { format!("{root}/docs/window.md") };
    let page =
        format!("{}{table}{}", include_str!("window.head.md"), include_str!("window.tail.md"));
    std::fs::write(&file, page).unwrap_or_else(|cause| panic!("{file}: {cause}"));
    eprint!("{table}");
    println!(
        r#"{{"bar":"window","regret_p90":{:.4},"false_confidence":{false_confidence:.4},"loads":{}}}"#,
        quantile(&regrets, 0.9),
        loads as usize * KINDS.len(),
    );
}
