//! The loop behind `predict --policy budget`: copy until the rest can be sent within the budget.

use std::time::Duration;

use super::link::{Guest, Link, Load};
use super::save::{Outcome, Run};
use crate::dirty::Curve;

/// Rounds that are looked at; their list takes 24 MB. More of them within the usual deadline of an
/// hour would last less than 4 ms each.
const MAX_ROUNDS: usize = 1_000_000;

/// Sends what is left; if sending it takes no longer than the budget, that was the stop-and-copy;
/// otherwise the next round is W(the time it took). Once `deadline` has passed with the guest
/// still at the source, the migration does not converge ([`super::End::Endless`]).
///
/// - No budget (`None`) is an unlimited one: the first send, of everything, is then the
///   stop-and-copy, and downtime is the time of the whole copy.
/// - `suspend_request`, `suspend_pages` and `finish` of the link's costs, if any, count: the guest
///   dirties pages during the first, the second are sent with the rest, and the third is a part of
///   the downtime that has to fit the budget.
/// - W does not fall, so the rounds after one that took no less time than the one before it take
///   no less either, and nothing will ever fit: such a round ends the search at once, as the
///   deadline would. The rounds up to there are given.
///
/// Xen's own loop cannot stop before its first send, and so not do what an unlimited budget asks;
/// otherwise a policy that PEEKs after each send ends as this does.
pub fn within_budget(
    guest: &Guest,
    link: &Link,
    curve: &Curve,
    budget: Option<Duration>,
    deadline: Duration,
) -> Outcome {
    let limit = budget.map_or(f64::INFINITY, |budget| budget.as_secs_f64());
    let request = link.costs.suspend_request.as_secs_f64();
    let finish = link.costs.finish.as_secs_f64();
    let mut run = Run::new(guest, link);
    let mut load = guest.everything();
    // What would be sent if the guest were suspended now.
    let mut rest = load;
    while link.round_s(&rest, guest.p2m_size) + finish > limit {
        let before = run.outcome.rounds.last().map(|round| round.s);
        let s = run.send(&load);
        let stuck = before.is_some_and(|before| s >= before);
        let rounds = run.outcome.rounds.len();
        if stuck || run.outcome.total_s > deadline.as_secs_f64() || rounds >= MAX_ROUNDS {
            return run.outcome;
        }
        load = Load::dirtied(run.asked(&curve, s));
        let dirty = run.asked(&curve, s + request);
        rest = Load::dirtied(dirty + link.costs.suspend_pages + guest.deferred.0 as f64);
    }
    run.suspend();
    run.stop_and_copy(&rest);
    run.outcome
}
