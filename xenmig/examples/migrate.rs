//! Embeds a budgeted migration: gate, save, events, report.
//!
//! `migrate DOMAIN HOST [DOWNTIME]`, as root in the control domain, with ssh to HOST. Where there is
//! no Xen it rehearses one on the simulated host: `migrate web anywhere`.

use std::error::Error;
use std::sync::atomic::AtomicBool;

use xenmig::Kind;
use xenmig::check::{Options, Policy};
use xenmig::config::Settings;
use xenmig::host::Host;
use xenmig::migrate::hook::Event as Save;
use xenmig::migrate::installed::own_wrapper;
use xenmig::migrate::{Event, Fate, Hook, Migration, Receiver, Transport};
use xenmig::sim::SimHost;
use xenmig::units::{BytesPerSecond, parse_duration};
use xenmig::xen::{self, XenHost};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (name, target, downtime) = match &arguments[..] {
        [name, target] => (name, target, "300ms"),
        [name, target, downtime] => (name, target, downtime.as_str()),
        _ => return Err("usage: migrate DOMAIN HOST [DOWNTIME]".into()),
    };
    let mut settings = Settings::default();
    settings.budget.downtime = Some(parse_duration(downtime)?);

    match XenHost::open(xen::Options::default()) {
        Ok(host) => {
            // Before the process has other threads: libxl takes its save helper from the environment.
            let wrapper = own_wrapper().ok_or("xenmig-save-helper is not beside this program")?;
            let hook = Hook::install(&xen::Options::default().run_directory, &wrapper)?;
            migrate(&host, Some(&hook), name, target, &settings)
        }
        Err(error) if error.kind() == Kind::NoXen => {
            println!("{error}: a rehearsal");
            settings.bandwidth = BytesPerSecond::new(125e6);
            migrate(&SimHost::builtin(), None, name, target, &settings)
        }
        Err(error) => Err(error.into()),
    }
}

/// Without a hook, in the model only.
fn migrate(
    host: &dyn Host,
    hook: Option<&Hook>,
    name: &str,
    target: &str,
    settings: &Settings,
) -> Result<(), Box<dyn Error>> {
    let domain = host.find(name)?;
    let transport = Transport::Shell {
        command: "ssh".to_owned(),
        host: target.to_owned(),
        receiver: Receiver::default(),
    };
    let options = Options {
        settings,
        calibration: None,
        bandwidth: None,
        sample_anyway: false,
        target: None,
        policy: Policy::Steered,
    };
    // Set from another thread, or by a signal, it gives the migration up.
    let stop = AtomicBool::new(false);
    let migration = Migration::new(host, &domain, target, transport, options);
    let report = match hook {
        Some(hook) => migration.steered(hook).run(&stop, &mut show)?,
        None => migration.rehearse(&stop, &mut show)?,
    };

    match &report.fate {
        Fate::Moved => println!("{name} runs at {target}"),
        Fate::Refused => {
            for reason in &report.gate.judgement.reasons {
                println!("{}: {}", reason.code, reason.message);
            }
        }
        Fate::Stayed(why) => println!("{name} stays here: {why}"),
        Fate::Stuck(why, stuck) => println!("{name} is suspended here: {why}; {stuck}"),
        Fate::Gone(_, how) => println!("{name} has ended: {how}"),
        Fate::Undefined(why) => println!("look at both ends for {name}: {why}"),
    }
    println!("{}", serde_json::to_string_pretty(&report.document())?);
    Ok(())
}

/// Whoever wants an iterator sends clones of the events into a channel here.
fn show(event: &Event) {
    match event {
        Event::Judged { verdict, .. } => println!("the gate says {verdict:?}"),
        Event::Stage { stage, since_start_s } => println!("{since_start_s:7.3} s  {stage:?}"),
        Event::Save(Save::Sent { round, pages, s, pending, .. }) => {
            println!("           round {round}: {pages} pages in {s:.3} s, {pending} dirty");
        }
        _ => {}
    }
}
