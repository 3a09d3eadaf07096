//! The paper's statements beside what was measured: the verdict is computed, the reasons for
//! differences are known facts of the lab.

use super::plan::{Curve, Figure};
use super::run::Run;
use super::series::{growth, line, medians, of, rises_from};

/// Medians within this share of the first count as constant.
const CONSTANT: f64 = 0.10;
/// Of a line's variance, what may be left for it to be one.
const LINEAR: f64 = 0.02;

/// One statement.
pub(super) struct Finding {
    pub(super) paper: &'static str,
    pub(super) measured: String,
    /// `None` when too little was measured.
    pub(super) same: Option<bool>,
    /// What explains a difference, or bounds what the sameness means.
    pub(super) why: &'static str,
}

const ONE_CPU: &str = "The lab's weak host has one CPU where the paper's had two, and a save looks \
    at each of a million page frames of the guest's address space, which keeps it busy for \
    seconds: the CPU is scarce from the first per cent of load on, not from 60 % on.";
const SUSPENDED: &str = "A suspended guest uses no CPU. Only when it is back does its load slow down \
    the reconnection of its network card.";
const NO_LOSS: &str = "Source and target are the same host here: Xen gives Dom0 its share of the CPU \
    beside the second guest, and no connection runs into a timeout.";
const DIVIDED: &str = "Caps divide the CPU exactly; a real host has caches and buses in common.";
const NO_STEP: &str = "The paper gives no reason for its step above 10 % (a CPU that saves power \
    would explain it). The emulated CPU has one speed.";
const CARD: &str = "Most of it is the hotplug script that Xen runs for the guest's network card, which \
    starts dozens of programs one after the other, whatever the guest.";
const SAME_BITMAP: &str = "Most of it is the hotplug script of the network card. And the dirty bitmap \
    that is looked through meanwhile covers the address space, which is 4 GiB for each of these.";
const TO_THE_SET: &str = "Below what the link carries the rounds shrink, and hardly anything is left; \
    above, the whole set is, and that is what xenmig advises against. How much that adds depends \
    on the set and the link; the script of the network card takes its time besides.";
const NONE: &str = "";

type Time = fn(&Run) -> Option<f64>;
const TOTAL: Time = Run::total_s;
const OFFLINE: Time = Run::offline_s;

fn seconds(values: &[(f64, f64)]) -> String {
    match (values.first(), values.last()) {
        (Some((x, first)), Some((last_x, last))) => {
            format!("{first:.2} s at {x:.0}, {last:.2} s at {last_x:.0}")
        }
        _ => "not measured".into(),
    }
}

fn is_constant(values: &[(f64, f64)]) -> Option<bool> {
    let (_, first) = *values.first().filter(|_| values.len() > 1)?;
    Some(values.iter().all(|(_, value)| (value / first - 1.0).abs() <= CONSTANT))
}

fn constant(
    runs: &[&Run],
    curve: Curve,
    time: Time,
    paper: &'static str,
    why: &'static str,
) -> Finding {
    let values = medians(runs, curve, time);
    Finding { paper, measured: seconds(&values), same: is_constant(&values), why }
}

/// It stays within [`CONSTANT`] of its first value below `from` and exceeds it later on.
fn rises(
    runs: &[&Run],
    curve: Curve,
    time: Time,
    from: f64,
    paper: &'static str,
    why: &'static str,
) -> Finding {
    let values = medians(runs, curve, time);
    let begins = rises_from(&values, CONSTANT);
    let begin = begins.map_or("it does not rise".into(), |x| format!("it rises from {x:.0} on"));
    let same = (values.len() > 1).then(|| begins.is_some_and(|x| x >= from));
    Finding { paper, measured: format!("{}; {begin}", seconds(&values)), same, why }
}

/// It is at least `factor` times its first value somewhere.
fn grows(
    runs: &[&Run],
    curve: Curve,
    time: Time,
    factor: f64,
    paper: &'static str,
    why: &'static str,
) -> Finding {
    let values = medians(runs, curve, time);
    let most = growth(&values).filter(|_| values.len() > 1);
    let times = most.map_or(String::new(), |most| format!(", up to {most:.1} times the first"));
    let same = most.map(|most| most >= factor);
    Finding { paper, measured: seconds(&values) + &times, same, why }
}

fn linear(runs: &[&Run], curve: Curve, paper: &'static str, why: &'static str) -> Finding {
    let values = medians(runs, curve, TOTAL);
    let fitted = line(&values);
    let measured = fitted.map_or("not measured".into(), |(slope, at_zero, left)| {
        format!("{at_zero:.2} s + {:.2} s per 100 MiB; R² = {:.4}", slope * 100.0, 1.0 - left)
    });
    Finding { paper, measured, same: fitted.map(|(_, _, left)| left <= LINEAR), why }
}

fn phases(runs: &[&Run]) -> Finding {
    let stock = runs.iter().filter(|run| run.curve != Curve::Budget);
    let moved: Vec<_> = stock.filter_map(|run| run.moved()).collect();
    let push = moved.iter().filter(|m| m.phases.as_ref().is_some_and(|p| p.push_begins.is_some()));
    let offline = moved.iter().filter(|m| m.phases.is_some()).count();
    let push = push.count();
    Finding {
        paper: "The throughput shows the phases: a dip when the push phase begins, nothing while \
                the guest is offline, then the target's level.",
        measured: format!(
            "of {} stock migrations the offline phase was recognised in {offline}, the \
             beginning of the push phase in {push}",
            moved.len()
        ),
        same: (!moved.is_empty()).then_some(push == moved.len() && offline == push),
        why: "The service sends at a fixed rate, not as much as it can: the push phase shows more \
              in the intervals between datagrams than in their number.",
    }
}

/// The fourth figure's offline time at its peak, beside that of the third, which has no second guest.
fn peak(all: &[Run]) -> Finding {
    let offline = |figure| medians(&of(all, figure), Curve::Weak, OFFLINE);
    let most = |values: &[(f64, f64)]| values.iter().map(|(_, s)| *s).max_by(f64::total_cmp);
    let (alone, beside) = (offline(Figure::Fig3), offline(Figure::Fig4));
    let mut measured = seconds(&beside);
    if let (Some(alone), Some(beside)) = (most(&alone), most(&beside)) {
        measured += &format!("; at most {beside:.2} s, and {alone:.2} s without it");
    }
    let same = growth(&beside).filter(|_| beside.len() > 1).map(|most| most >= 3.0);
    let paper = "Weak: offline up to 15 s above 60 %, connection lost above 70 %.";
    Finding { paper, measured, same, why: NO_LOSS }
}

/// What the paper says of a figure, beside `all` that was measured.
pub(super) fn findings(figure: Figure, all: &[Run]) -> Vec<Finding> {
    use Curve::{Strong, Weak};
    let runs = &of(all, figure)[..];
    let constant = |curve, time, paper, why| constant(runs, curve, time, paper, why);
    let rises = |time, from, paper| rises(runs, Weak, time, from, paper, ONE_CPU);
    let grows = |curve, time, by, paper, why| grows(runs, curve, time, by, paper, why);
    let linear = |curve, paper| linear(runs, curve, paper, NONE);
    match figure {
        Figure::Fig2 => vec![phases(runs)],
        Figure::Fig3 => vec![
            constant(Strong, TOTAL, "Strong: total constant, but for a step above 10 %.", NO_STEP),
            rises(TOTAL, 60.0, "Weak: total rises above some 60 %."),
            constant(Strong, OFFLINE, "Strong: offline constant.", CARD),
            grows(Weak, OFFLINE, 1.5, "Weak: offline doubles above 90 %.", SUSPENDED),
        ],
        Figure::Fig4 => vec![
            constant(Strong, TOTAL, "Strong: unchanged by the second guest.", DIVIDED),
            peak(all),
        ],
        Figure::Fig5 => vec![
            constant(Strong, TOTAL, "Strong: total stable.", DIVIDED),
            rises(TOTAL, 60.0, "Weak: total rises above some 60 %."),
            rises(OFFLINE, 90.0, "Weak: offline rises only above some 90 %."),
        ],
        Figure::Fig6 => vec![
            linear(Weak, "Total is linear in the size of memory (weak)."),
            linear(Strong, "Total is linear in the size of memory (strong)."),
            constant(Weak, OFFLINE, "Offline does not depend on it (weak).", SAME_BITMAP),
            constant(Strong, OFFLINE, "Offline does not depend on it (strong).", SAME_BITMAP),
        ],
        Figure::Fig7 => vec![
            grows(Weak, TOTAL, 1.1, "Total grows with the pages modified (weak).", NONE),
            grows(Weak, OFFLINE, 1.8, "Offline doubles (weak).", TO_THE_SET),
            grows(Strong, TOTAL, 1.1, "Total grows with the pages modified (strong).", NONE),
            grows(Strong, OFFLINE, 1.8, "Offline doubles (strong).", TO_THE_SET),
        ],
    }
}
