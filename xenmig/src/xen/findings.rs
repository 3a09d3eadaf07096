//! What `xenmig doctor` looks at on a real host.

use super::host::Options;
use super::lease;
use super::save_guard::{SaveGuard, save_helpers};
use crate::host::{Finding, Health, Host, HostInfo};
use crate::migrate::installed::Parts;

/// Name of a scheduler by Xen's number (`XEN_SCHEDULER_*`).
pub(super) fn scheduler_name(number: u32) -> String {
    let known = match number {
        4 => "sedf",
        5 => "credit",
        6 => "credit2",
        7 => "arinc653",
        8 => "rtds",
        9 => "null",
        other => return format!("number {other}"),
    };
    known.to_owned()
}

/// Everything, in the order in which to read it.
pub(super) fn all(host: &dyn Host, options: &Options) -> Vec<Finding> {
    let mut all = match host.info() {
        Ok(info) => about_host(&info),
        Err(error) => vec![bad("xen", error.to_string(), error.advice())],
    };
    all.push(guard(options));
    all.push(hook(options));
    all.push(notes(options));
    all
}

fn about_host(info: &HostInfo) -> Vec<Finding> {
    let mut found = vec![good("xen", format!("Xen {}", info.xen_version))];
    found.push(if info.hap {
        good("log-dirty", "PVH and HVM guests can be sampled and migrated live".into())
    } else {
        bad(
            "log-dirty",
            "the CPU offers no hardware-assisted paging".into(),
            Some("switch on AMD-V with NPT, or VT-x with EPT, in the firmware"),
        )
    });
    if info.shadow == Some(false) {
        found.push(Finding {
            what: "pv-log-dirty",
            state: Health::Limited,
            found: "the hypervisor has no shadow paging: PV guests cannot migrate live".into(),
            advice: Some("run guests as PVH, or use a hypervisor with CONFIG_SHADOW_PAGING".into()),
        });
    }
    found.push(match info.scheduler.as_str() {
        "credit2" | "credit" => good("scheduler", info.scheduler.clone()),
        other => Finding {
            what: "scheduler",
            state: Health::Limited,
            found: other.to_owned(),
            advice: Some("guests can be throttled under credit2 and credit only".into()),
        },
    });
    found
}

fn guard(options: &Options) -> Finding {
    let helpers = save_helpers(&options.save_helpers);
    match SaveGuard::start(&helpers) {
        Ok(_guard) => {
            let names: Vec<_> = helpers.iter().map(|path| path.display().to_string()).collect();
            good("save-guard", format!("saves by {} are held back in time", names.join(", ")))
        }
        Err(error) => bad("save-guard", error.to_string(), error.advice()),
    }
}

fn hook(options: &Options) -> Finding {
    let parts = Parts::find(options.save_helpers.first().cloned(), options.hook.clone());
    match (parts.trouble(), parts.stock) {
        (None, Some(stock)) => good("hook", format!("saves by {} can be steered", stock.display())),
        (trouble, _) => Finding {
            what: "hook",
            state: Health::Limited,
            found: trouble.unwrap_or_default(),
            advice: Some(
                "migrations cannot be steered: install xenmig-save-helper and \
                 libxenmig_precopy.so, built for this Xen, beside xenmig"
                    .into(),
            ),
        },
    }
}

fn notes(options: &Options) -> Finding {
    match lease::known(&options.run_directory) {
        Ok(_) => good("run-directory", options.run_directory.display().to_string()),
        Err(error) => bad("run-directory", error.to_string(), error.advice()),
    }
}

const fn good(what: &'static str, found: String) -> Finding {
    Finding { what, state: Health::Good, found, advice: None }
}

fn bad(what: &'static str, found: String, advice: Option<&str>) -> Finding {
    Finding { what, state: Health::Bad, found, advice: advice.map(str::to_owned) }
}
