//! What all migrations together say of the policy.

use serde_json::{Value, json};

use super::super::stats::quantile;
use super::{BURSTS, CELLS, Ended, Run, bytes};

/// Live sends after which Xen's own policy stops whatever is left.
const STOCK_SENDS: usize = 5;

/// The figures that have targets.
pub(super) struct Summary {
    pub(super) completed: usize,
    pub(super) kept: usize,
    pub(super) refused: usize,
    pub(super) aborted: usize,
    pub(super) aborted_alive: usize,
    pub(super) burst_downtime_vs_stock: Option<f64>,
    pub(super) bytes_vs_stock: Option<f64>,
    /// Where stock needs all its sends: its first round, which no policy can spare, of all it sends.
    pub(super) first_round_share: Option<f64>,
    /// There: what is sent beyond the first round, of stock's.
    pub(super) resent_vs_stock: Option<f64>,
    pub(super) worst_downtime_vs_stock: Option<f64>,
    pub(super) worst_total_vs_stock: Option<f64>,
    pub(super) predicted_p90: Option<f64>,
    pub(super) predicted_p90_s: Option<f64>,
    /// Guests that could not be measured.
    pub(super) failed: Vec<&'static str>,
}

/// One guest with one budget, against stock on the same guest; medians.
pub(super) struct Beside {
    pub(super) cell: &'static str,
    pub(super) workload: &'static str,
    pub(super) memory_mib: u32,
    pub(super) budget_s: f64,
    pub(super) runs: usize,
    pub(super) completed: usize,
    pub(super) kept: usize,
    /// (ours, stock)
    pub(super) downtime_s: Option<(f64, f64)>,
    pub(super) total_s: Option<(f64, f64)>,
    pub(super) bytes: Option<(f64, f64)>,
    /// Of those, the first round's.
    pub(super) first_round: Option<(f64, f64)>,
    /// Live sends of stock.
    pub(super) stock_sends: f64,
    pub(super) sends: Option<f64>,
}

impl Beside {
    pub(super) fn all(runs: &[Run]) -> Vec<Self> {
        let pairs = CELLS.iter().flat_map(|cell| cell.budgets.iter().map(move |b| (cell, *b)));
        pairs.filter_map(|(cell, ms)| Self::of(runs, cell.name, ms as f64 / 1e3)).collect()
    }

    fn of(runs: &[Run], cell: &'static str, budget_s: f64) -> Option<Self> {
        let here = || runs.iter().filter(move |run| run.cell == cell);
        let stock: Vec<_> = here().filter(|run| run.by_stock()).filter_map(Run::outcome).collect();
        let ours: Vec<_> = here().filter(|run| run.budget_s == Some(budget_s)).collect();
        let first = *ours.first()?;
        let moved: Vec<_> = ours.iter().filter_map(|run| run.outcome()).collect();
        let median = |values: Vec<f64>| quantile(&values, 0.5);
        let both = |value: fn(&xenmig::history::OutcomeRecord) -> f64| {
            let ours = median(moved.iter().map(|outcome| value(outcome)).collect())?;
            Some((ours, median(stock.iter().map(|outcome| value(outcome)).collect())?))
        };
        let sends = both(|outcome| outcome.rounds.len() as f64);
        Some(Self {
            cell,
            workload: first.workload,
            memory_mib: first.memory_mib,
            budget_s,
            runs: ours.len(),
            completed: moved.len(),
            kept: ours.iter().filter(|run| run.kept() == Some(true)).count(),
            downtime_s: both(|outcome| outcome.downtime_s),
            total_s: both(|outcome| outcome.total_s),
            bytes: both(bytes),
            first_round: both(|outcome| outcome.rounds.first().map_or(0.0, |r| r.bytes as f64)),
            stock_sends: median(stock.iter().map(|o| o.rounds.len() as f64).collect())?,
            sends: sends.map(|(ours, _)| ours),
        })
    }
}

impl Summary {
    pub(super) fn of(runs: &[Run]) -> Self {
        let ours = || runs.iter().filter(|run| !run.by_stock());
        let count = |is: fn(&Run) -> bool| ours().filter(|run| is(run)).count();
        let beside = Beside::all(runs);
        let ratio = |pair: Option<(f64, f64)>| pair.map(|(ours, stock)| ours / stock);
        // Bursts have no typical downtime under stock: they are judged by their p90.
        let steady = || beside.iter().filter(|beside| beside.cell != BURSTS);
        let worst = |of: fn(&Beside) -> Option<(f64, f64)>| {
            steady().filter_map(|beside| ratio(of(beside))).reduce(f64::max)
        };
        let full = || beside.iter().filter(|beside| beside.stock_sends >= STOCK_SENDS as f64);
        let sum = |of: fn(&Beside) -> Option<(f64, f64)>| {
            full().filter_map(of).reduce(|sum, pair| (sum.0 + pair.0, sum.1 + pair.1))
        };
        let (all, first) = (sum(|beside| beside.bytes), sum(|beside| beside.first_round));
        let beyond = all.zip(first).map(|(all, first)| (all.0 - first.0, all.1 - first.1));
        let errors: Vec<_> = ours().filter_map(Run::prediction).collect();
        let quantile_of = |values: Vec<f64>| quantile(&values, 0.9);
        Self {
            completed: count(|run| run.outcome().is_some()),
            kept: count(|run| run.kept() == Some(true)),
            refused: count(|run| matches!(run.ended, Ended::Refused)),
            aborted: count(|run| matches!(run.ended, Ended::Aborted { .. })),
            aborted_alive: count(|run| matches!(run.ended, Ended::Aborted { alive: true })),
            burst_downtime_vs_stock: bursts(runs),
            bytes_vs_stock: ratio(all),
            first_round_share: all.zip(first).map(|(all, first)| first.1 / all.1),
            resent_vs_stock: ratio(beyond),
            worst_downtime_vs_stock: worst(|beside| beside.downtime_s),
            worst_total_vs_stock: worst(|beside| beside.total_s),
            predicted_p90: quantile_of(
                errors.iter().map(|(predicted, real)| (predicted / real - 1.0).abs()).collect(),
            ),
            predicted_p90_s: quantile_of(
                errors.iter().map(|(predicted, real)| (predicted - real).abs()).collect(),
            ),
            failed: Vec::new(),
        }
    }

    pub(super) fn line(&self) -> Value {
        json!({
            "bar": "policy", "completed": self.completed, "kept": self.kept,
            "refused": self.refused, "aborted": self.aborted, "aborted_alive": self.aborted_alive,
            "burst_downtime_vs_stock": self.burst_downtime_vs_stock,
            "bytes_vs_stock": self.bytes_vs_stock,
            "first_round_share": self.first_round_share, "resent_vs_stock": self.resent_vs_stock,
            "worst_downtime_vs_stock": self.worst_downtime_vs_stock,
            "worst_total_vs_stock": self.worst_total_vs_stock,
            "predicted_p90": self.predicted_p90, "predicted_p90_s": self.predicted_p90_s,
            "failed": self.failed,
        })
    }
}

/// The p90 of the copy part of the bursty guest's downtime, as a share of stock's. The copy part is
/// what lies above the downtime of an idle guest.
fn bursts(runs: &[Run]) -> Option<f64> {
    let downtimes = |cell: &'static str, stock: bool| -> Vec<f64> {
        let those = runs.iter().filter(|run| run.cell == cell && run.by_stock() == stock);
        those.filter_map(Run::outcome).map(|outcome| outcome.downtime_s).collect()
    };
    let fixed = quantile(&downtimes("idle", true), 0.5)?;
    let p90 = |stock| quantile(&downtimes(BURSTS, stock), 0.9).map(|s| (s - fixed).max(0.0));
    Some(p90(false)? / p90(true)?)
}

#[cfg(test)]
mod tests {
    use xenmig::history::{OutcomeRecord, SentRound};

    use super::*;

    fn moved(downtime_s: f64, pages: u64, sends: usize) -> Ended {
        let sent = SentRound { pages, holes: 0, bytes: pages * 4096, s: 1.0 };
        let observed = OutcomeRecord {
            schema: Default::default(),
            at_unix_s: 0,
            domain: String::new(),
            uuid: String::new(),
            target: String::new(),
            populated_pages: pages,
            p2m_pages: pages,
            sender_share: None,
            predicted: None,
            kept: None,
            start_s: 0.0,
            rounds: vec![sent; sends],
            suspend_request_s: 0.0,
            suspend_pages: None,
            last: None,
            finish_s: 0.0,
            total_s: 10.0,
            downtime_s,
        };
        Ended::Moved { observed: Box::new(observed), predicted_downtime_s: Some(0.9 * downtime_s) }
    }

    fn run(cell: &'static str, budget_s: Option<f64>, ended: Ended) -> Run {
        Run { cell, workload: "idle", memory_mib: 160, budget_s, ended }
    }

    #[test]
    fn budgets_are_kept_or_not_and_stock_has_none() {
        let budget = Some(0.5);
        let runs = [
            run("idle", None, moved(0.3, 100, 2)),
            run("idle", budget, moved(0.33, 100, 2)),
            run("idle", budget, moved(0.6, 100, 2)),
            run("idle", budget, Ended::Refused),
            run("idle", budget, Ended::Aborted { alive: true }),
            run("idle", budget, Ended::Aborted { alive: false }),
        ];
        let summary = Summary::of(&runs);
        assert_eq!((summary.completed, summary.kept, summary.refused), (2, 1, 1));
        assert_eq!((summary.aborted, summary.aborted_alive), (2, 1));
        assert!((summary.predicted_p90.unwrap() - 0.1).abs() < 1e-9);
        assert!((summary.worst_downtime_vs_stock.unwrap() - 0.465 / 0.3).abs() < 1e-9);
        assert_eq!(summary.bytes_vs_stock, None);
    }

    #[test]
    fn bytes_count_where_stock_needs_all_its_sends_and_bursts_above_an_idle_guest() {
        let runs = [
            run("idle", None, moved(0.3, 100, 2)),
            run("small hot set", None, moved(0.4, 100, 5)),
            run("small hot set", Some(0.4), moved(0.4, 100, 3)),
            run(BURSTS, None, moved(0.7, 100, 5)),
            run(BURSTS, Some(0.45), moved(0.4, 100, 5)),
        ];
        let summary = Summary::of(&runs);
        assert!((summary.bytes_vs_stock.unwrap() - 0.8).abs() < 1e-9);
        assert!((summary.burst_downtime_vs_stock.unwrap() - 0.25).abs() < 1e-9);
    }
}
