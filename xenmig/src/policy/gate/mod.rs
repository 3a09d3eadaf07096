//! The gate: may this domain be migrated now? Rules look at facts and give reasons; the reasons
//! give the verdict. What a rule is about is in [`RULES`]; the rules themselves are grouped by the
//! facts they look at.

mod conclusion;
mod devices;
mod facts;
mod forecast;
mod load;
mod logging;
mod reason;
mod state;
mod target;
mod thresholds;

pub use conclusion::Conclusion;
pub use facts::{Facts, Sampling, Target};
pub use reason::{Judgement, Reason, Severity, Verdict};
pub use target::Arrival;
pub use thresholds::Thresholds;

use crate::error::Error;
use crate::host::DomId;
use reason::Fired;

/// One rule of the gate.
pub struct Rule {
    /// The code of the reason it gives. Stable: scripts match on it.
    pub code: &'static str,
    /// When it fires.
    pub when: &'static str,
    /// Where it comes from: the paper's figures, Xen, or this project.
    pub source: &'static str,
    /// The paper's conclusion that it applies, which its message then names.
    pub conclusion: Option<Conclusion>,
    rule: fn(&Facts<'_>) -> Option<Fired>,
}

/// Shorthand for the table.
const fn rule(
    code: &'static str,
    when: &'static str,
    source: &'static str,
    rule: fn(&Facts<'_>) -> Option<Fired>,
) -> Rule {
    Rule { code, when, source, conclusion: None, rule }
}

impl Rule {
    /// It applies this conclusion.
    const fn applies(mut self, conclusion: Conclusion) -> Self {
        self.conclusion = Some(conclusion);
        self
    }
}

/// Source of the rules about what Xen's own save refuses or cannot carry over.
const SAVE: &str = "Xen: what libxl and the save refuse or leave behind";
/// Source of the rules about the state of the domain.
const STATE: &str = "Xen: a save needs a guest that answers the suspend request";
/// Source of the rules about what the target has to have.
const TARGET: &str = "Xen: what libxl and the restore need at the target";
/// Source of the rules about sampling.
const GUARD: &str = "XEN-FACTS.md, log-dirty: one owner, and no sampling without a save guard";

/// All rules, in the order in which their reasons are given. A new rule is one more line.
pub const RULES: &[Rule] = &[
    rule("dom0", "the domain is Dom0", STATE, state::dom0),
    rule("domain-dying", "it is being torn down", STATE, state::dying),
    rule("domain-crashed", "it crashed and was kept", STATE, state::crashed),
    rule("domain-shutdown", "it shut down and was kept", STATE, state::shutdown),
    rule("domain-suspended", "it is suspended", STATE, state::suspended),
    rule("domain-paused", "it is paused", STATE, state::paused),
    rule("being-saved", "a save of it runs", GUARD, state::being_saved),
    rule("arriving", "it is being restored here", STATE, state::arriving),
    rule("setup-unknown", "the tool stack did not say how it was built", SAVE, devices::unknown),
    rule("migration-disabled", "its configuration forbids it", SAVE, devices::disabled),
    rule("pci-passthrough", "it has a PCI device, a virtual function included", SAVE, devices::pci),
    rule("usb-device", "it has a USB controller or device", SAVE, devices::usb),
    rule("vtpm", "it has a virtual TPM", SAVE, devices::vtpm),
    rule("pinned-device", "something else ties it to this machine", SAVE, devices::pinned),
    rule("nested-hvm", "it may run hypervisors itself", SAVE, devices::nested),
    rule("vnuma", "it has vNUMA nodes", SAVE, devices::vnuma),
    rule("local-disk", "a writable disk is not on shared storage", SAVE, devices::disk),
    rule("populate-on-demand", "pages are still to be populated", SAVE, devices::pod),
    rule("ballooning", "it has more memory than its target", SAVE, devices::ballooning),
    rule("no-suspend-support", "its kernel says that it cannot suspend", SAVE, devices::no_suspend),
    rule("suspend-support-unknown", "its kernel says nothing of it", SAVE, devices::maybe_suspend),
    rule(
        "target-xen-older",
        "the target runs an older Xen than this host",
        "Xen: migration is supported to the same or a newer version",
        target::xen_older,
    ),
    rule("target-paging", "the target's hypervisor cannot run such guests", TARGET, target::paging),
    rule("target-memory", "it does not fit into the target's free memory", TARGET, target::memory),
    rule("target-name-taken", "the target has a domain of that name", TARGET, target::name_taken),
    rule("target-bridge", "the target lacks a network bridge of it", TARGET, target::bridge),
    rule("target-disk", "the target lacks a path that a disk of it is on", TARGET, target::disk),
    rule(
        "target-cpu-features",
        "it was given CPU features that the target lacks; where what it was given cannot be read, \
         what this host gives by default",
        "Xen: a restore takes away what the target lacks, and the guest goes on using it",
        target::cpu_features,
    ),
    rule(
        "log-dirty-unsupported",
        "its pages cannot be logged here, so every live migration of it fails",
        "XEN-FACTS.md, log-dirty: PV needs a hypervisor with shadow paging",
        logging::unsupported,
    ),
    rule("log-dirty-busy", "somebody else owns its dirty log", GUARD, logging::busy),
    rule("sampling-not-permitted", "saves cannot be guarded", GUARD, logging::not_permitted),
    rule("sampling-failed", "sampling failed otherwise", GUARD, logging::failed),
    rule("save-began", "a save began while it was sampled", GUARD, logging::save_began),
    rule("domain-gone", "it went away while it was sampled", STATE, logging::gone),
    rule("sample-interrupted", "the user stopped the sampling", GUARD, logging::interrupted),
    rule(
        "host-saturated",
        "beside the guest, the host has less than `thresholds.free_cpus_without_guest` to spare",
        "the paper's figures 4 and 5, measured anew: a saturated host stretches save and downtime",
        load::host_saturated,
    )
    .applies(Conclusion::E),
    rule(
        "guest-load-on-short-host",
        "the guest's own use leaves less than `thresholds.free_cpus`, and that of others does not",
        "the paper's figure 3, measured anew: the guest's load matters once the host runs short",
        load::guest_on_short_host,
    )
    .applies(Conclusion::A),
    rule(
        "target-saturated",
        "without the guest, the target has less than `thresholds.free_cpus_without_guest` to spare",
        "the paper's figures 4 and 5: a saturated host stretches total time and downtime",
        target::saturated,
    )
    .applies(Conclusion::E),
    rule(
        "target-overloaded",
        "with the guest, but not without it, the target has less than `thresholds.free_cpus` to \
         spare",
        "the paper's figure 4: the guest beside another one at full load",
        target::overloaded,
    )
    .applies(Conclusion::E),
    rule(
        "bandwidth-unknown",
        "no bandwidth was given, configured or learnt",
        "XEN-FACTS.md, the save loop: a round's size depends on how long the one before took",
        forecast::bandwidth_unknown,
    ),
    rule(
        "no-prediction",
        "the sample does not suffice for a prediction",
        "XEN-FACTS.md, the save loop",
        forecast::no_prediction,
    ),
    rule(
        "prediction-uncertain",
        "fewer complete windows than `min_windows`, or a round longer than `max_extrapolation` \
         windows; it only informs where the budget is kept with `ease`",
        "this project: W(t) is measured up to the window's end only",
        forecast::uncertain,
    ),
    rule(
        "fixed-costs-unknown",
        "what the hosts add to downtime is neither configured nor learnt",
        "XEN-FACTS.md: 1 to 90 ms for the suspend handshake, 0.3 s for a VIF, more for disks",
        forecast::fixed_costs_unknown,
    ),
    rule(
        "memory-too-large",
        "sending its memory once takes more time or bytes than the budget has",
        "the paper's figure 6: total time is linear in memory size",
        forecast::too_large,
    )
    .applies(Conclusion::C),
    rule(
        "downtime-grows-with-memory",
        "looking through the dirty bitmap of its size takes the share `size_in_downtime` of the \
         downtime or more",
        "XEN-FACTS.md: each round scans the whole bitmap; the paper's guests were too small for that",
        forecast::grows_with_memory,
    )
    .applies(Conclusion::B),
    rule(
        "total-time-over-budget",
        "even the 10 % quantile of total time is above the budget",
        "the paper's figure 7",
        forecast::total_over,
    )
    .applies(Conclusion::G),
    rule(
        "total-time-at-risk",
        "the budget is between the 10 % and the 90 % quantile of total time",
        "the paper's figure 7: what is modified differs from moment to moment",
        forecast::total_at_risk,
    )
    .applies(Conclusion::F),
    rule(
        "downtime-over-budget",
        "even the 10 % quantile of downtime is above the budget",
        "the paper's figure 7: downtime grows with the pages modified",
        forecast::downtime_over,
    )
    .applies(Conclusion::G),
    rule(
        "downtime-at-risk",
        "the budget is between the 10 % and the 90 % quantile of downtime",
        "the paper's figure 7: what is modified differs from moment to moment",
        forecast::downtime_at_risk,
    )
    .applies(Conclusion::F),
    rule(
        "bytes-over-budget",
        "even the 10 % quantile of the bytes on the link is above the budget",
        "the paper's figure 7",
        forecast::bytes_over,
    )
    .applies(Conclusion::G),
    rule(
        "bytes-at-risk",
        "the budget is between the 10 % and the 90 % quantile of the bytes on the link",
        "the paper's figure 7: what is modified differs from moment to moment",
        forecast::bytes_at_risk,
    )
    .applies(Conclusion::F),
    rule(
        "does-not-converge",
        "the last set is more than a batch and not smaller than the round before it, within \
         `convergence`",
        "this project; the verdict is left to the budget",
        forecast::does_not_converge,
    )
    .applies(Conclusion::G),
    rule(
        "resends-much",
        "the share `resent` of its memory or more goes over the link again",
        "the paper's figure 7: many page modifications raise total time and downtime",
        forecast::resends_much,
    )
    .applies(Conclusion::D),
];

/// Code of the reason for a domain that does not exist. No rule can look at such a domain, see
/// [`no_such_domain`].
pub const NO_SUCH_DOMAIN: &str = "no-such-domain";

/// Runs all rules over `facts`.
///
/// Any reason that blocks makes the verdict [`Verdict::NoGo`]; otherwise any that says wait makes
/// it [`Verdict::Wait`]; otherwise it is [`Verdict::Go`].
#[must_use]
pub fn judge(facts: &Facts<'_>) -> Judgement {
    // The first rule is about Dom0, of which nothing else matters.
    let rules = if facts.domain.id == DomId::DOM0 { &RULES[..1] } else { RULES };
    let reasons = rules.iter().filter_map(|rule| {
        let fired = (rule.rule)(facts)?;
        Some(fired.into_reason(rule.code, rule.conclusion))
    });
    Judgement::from_reasons(reasons.collect())
}

/// The judgement on a domain that does not exist: `error` is what the look for `name` gave, of
/// kind [`crate::Kind::NoSuchDomain`].
#[must_use]
pub fn no_such_domain(name: &str, error: &Error) -> Judgement {
    let fired = Fired::block(error.to_string())
        .evidence(serde_json::json!({ "name": name }))
        .advice(error.advice().unwrap_or("`xl list` shows the domains of this host"));
    Judgement::from_reasons(vec![fired.into_reason(NO_SUCH_DOMAIN, None)])
}
