//! `xenmig migrate`: moves a domain to another host within its budget.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use xenmig::check::{Options, Policy, Target};
use xenmig::config::Settings;
use xenmig::history::OutcomeStore;
use xenmig::host::Domain;
use xenmig::migrate::installed::{WRAPPER, own_wrapper};
use xenmig::migrate::{Event, Hook, Migration, Receiver, Transport};
use xenmig::policy::Budget;
use xenmig::policy::precopy::OnMiss;
use xenmig::{Error, Kind, Result};

use super::asking::{self, Question};
use super::{quantity, sampling};
use crate::cli::{self, Global, Migrate};
use crate::exit;
use crate::output::{self, Live, Style};
use crate::session::Session;

/// Longest wait for what the target tells of itself.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn run(args: &Migrate, global: &Global) -> Result<ExitCode> {
    // The command line is read before a host is looked at.
    let bandwidth = args.bandwidth.as_deref();
    let bandwidth = bandwidth.map(|b| quantity::bandwidth("--bandwidth", b)).transpose()?;
    let transport = transport(args);
    let line = transport.line()?;
    with_options(Settings::default(), args)?;

    let session = Session::open(global)?;
    let domain = session.host().find(&args.domain)?;
    let settings = with_options(session.settings(&domain.name, Some(&args.target)), args)?;
    let hook = install(args, &session, &settings)?;
    let target = judged(args, &session, &domain)?;
    let calibration = session.calibration(Some(&args.target));
    let options = Options {
        settings: &settings,
        calibration: calibration.as_ref(),
        bandwidth,
        sample_anyway: args.dry_run,
        target: target.as_ref(),
        policy: match hook {
            Installed::No => Policy::Stock,
            _ => Policy::Steered,
        },
    };
    let store = OutcomeStore::new(session.config.state_dir());
    let mut migration = Migration::new(session.host(), &domain, &args.target, transport, options)
        .forced(args.force)
        .debug(args.way.debug)
        .remembered(&store);
    if let Installed::Listening(hook) = &hook {
        migration = migration.steered(hook);
    }
    session.prepare_to_sample()?;
    let mut live = Live::new(&domain, &settings.budget, global);
    if args.dry_run {
        // One document says it all.
        let mut show = |event: &Event| {
            if !global.json {
                live.show(event);
            }
        };
        let gate = migration.judge(&session.stop, &mut show)?;
        live.clear();
        let plan = output::Plan {
            gate: &gate,
            may_start: migration.may_start(&gate.judgement),
            transport: &line,
            settings: &settings,
            steered: !matches!(hook, Installed::No),
            wrapper: hook.wrapper(),
        };
        output::print(&if global.json { plan.json()? } else { plan.text(Style::stdout()) })?;
        return Ok(if plan.may_start { ExitCode::SUCCESS } else { exit::refused() });
    }
    let mut show = |event: &Event| live.show(event);
    let report = if session.is_real() {
        migration.run(&session.stop, &mut show)?
    } else {
        migration.rehearse(&session.stop, &mut show)?
    };
    live.clear();
    output::print(&if global.json {
        output::json::line(&report.document())?
    } else {
        output::text::migrate(&report, Style::stdout())
    })?;
    Ok(exit::of_fate(&report.fate))
}

/// What the target tells of itself, if it is to be judged.
fn judged(args: &Migrate, session: &Session, domain: &Domain) -> Result<Option<Target>> {
    let (command, host) = (args.way.ssh_command.as_str(), args.target.as_str());
    let question = Question::Host { command, host, patience: PATIENCE };
    args.judge_target.then(|| question.ask(&asking::disks(session, domain))).transpose()
}

fn transport(args: &Migrate) -> Transport {
    let way = &args.way;
    match &way.transport {
        Some(command) => Transport::Direct(command.clone()),
        None => Transport::Shell {
            command: way.ssh_command.clone(),
            host: args.target.clone(),
            receiver: Receiver { forget: way.no_monitor, debug: way.debug, pause: way.pause },
        },
    }
}

/// `settings`, with what the command line says in its place.
fn with_options(settings: Settings, args: &Migrate) -> Result<Settings> {
    let mut settings = sampling::with_budget(settings, &args.budget, &args.sampling)?;
    match args.on_miss {
        None => {}
        Some(cli::OnMiss::Abort) => settings.steering.on_miss = OnMiss::Abort,
        Some(cli::OnMiss::Throttle) => settings.steering.on_miss = OnMiss::Throttle,
        Some(cli::OnMiss::Stop) => settings.steering.on_miss = OnMiss::Stop,
    }
    Ok(settings)
}

/// Whether saves of this process are steered.
enum Installed {
    /// They are.
    Listening(Hook),
    /// They would be, through this wrapper.
    Found(PathBuf),
    /// They are in the model.
    Simulated,
    /// Xen's stock policy decides.
    No,
}

impl Installed {
    fn wrapper(&self) -> Option<&PathBuf> {
        match self {
            Self::Found(wrapper) => Some(wrapper),
            Self::Listening(_) | Self::Simulated | Self::No => None,
        }
    }
}

/// Sets the hook up, before anything starts a thread.
fn install(args: &Migrate, session: &Session, settings: &Settings) -> Result<Installed> {
    if args.unsteered {
        return Ok(Installed::No);
    }
    if !session.is_real() {
        return Ok(Installed::Simulated);
    }
    let wrapper = session.config.hook().map(ToOwned::to_owned).or_else(own_wrapper);
    match wrapper {
        Some(wrapper) if args.dry_run => Ok(Installed::Found(wrapper)),
        Some(wrapper) => {
            Hook::install(&session.run_directory(), &wrapper).map(Installed::Listening)
        }
        // Nothing to keep.
        None if settings.budget == Budget::UNLIMITED => Ok(Installed::No),
        None => {
            let what = format!("the budget cannot be kept: there is no {WRAPPER}");
            Err(Error::new(Kind::Usage, what).hint(
                "install xenmig-precopy, whose wrapper belongs beside xenmig or in \
                 ../libexec/xenmig, or name it as `xen.hook` in the configuration; or give \
                 --unsteered, and Xen's stock policy decides",
            ))
        }
    }
}
