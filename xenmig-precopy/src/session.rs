//! The beginning of a steered save: who says how to steer it, and what is known of the guest.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use xenmig::config::{Config, DEFAULT_FILE};
use xenmig::host::{Domain, GuestType};
use xenmig::migrate::hook::{Event, Hello, SCHEMA, SOCKET_VARIABLE, Settings};
use xenmig::migrate::settings::{CONFIG_VARIABLE, Overrides, TELEMETRY_VARIABLE, learn};
use xenmig::model::Guest;
use xenmig::policy::precopy::{Controller, OnMiss};
use xenmig::xen::{NotedCap, Saving};
use xenmig::{Error, Kind, Result};

use crate::caller::Caller;
use crate::driver::{Driver, Machine};
use crate::holding;
use crate::machine::{Live, libxl};
use crate::signals::Held;
use crate::telemetry::Telemetry;

/// A driver on the real machine.
pub type Session = Driver<Live, Controller>;

/// Makes ready to steer the save of domain `domid`, which writes to `stream`; `open` looks at the
/// domain.
///
/// # Errors
/// Any reason not to steer it; the telemetry, as far as there is one, has been told.
pub fn begin(
    domid: u16,
    stream: BorrowedFd<'static>,
    open: impl FnOnce() -> Result<Saving>,
) -> Result<Session> {
    let begun = Instant::now();
    let signals = Held::back()?;
    let mut telemetry = Telemetry::default();
    match prepare(domid, &mut telemetry, open) {
        Ok((saving, controller, guest)) => {
            let libxl = libxl();
            let mut live = Live { saving, telemetry, signals, stream, libxl, begun, stale: None };
            let clock = clock_gettime(ClockId::Monotonic);
            let monotonic_s = clock.tv_sec as f64 + clock.tv_nsec as f64 * 1e-9;
            live.tell(&Event::Begin {
                monotonic_s: monotonic_s - begun.elapsed().as_secs_f64(),
                populated_pages: guest.populated.0,
                p2m_pages: guest.p2m_size.0,
            });
            Ok(Driver::new(live, controller, guest))
        }
        Err(error) => {
            let t = begun.elapsed().as_secs_f64();
            telemetry.tell(&Event::Stock { t, why: error.to_string() });
            // Before the signals come through again: stderr may be a pipe that broke.
            log::warn!("{error}; this save follows Xen's own policy");
            Err(error)
        }
    }
}

/// Sets back the cap that a killed save had lowered, whose note was `noted` when this one began.
pub fn put_cap_back(saving: &Saving, noted: NotedCap) {
    match saving.put_cap_back(noted) {
        Ok(Some(cap)) => log::error!("{}", not_told(saving.domain(), cap)),
        Ok(None) => {}
        Err(error) => log::error!("{error}; `xenmig recover` tries again"),
    }
}

/// What the user is to do at the target of `domain`, which by right has this cap.
fn not_told(Domain { name, id, .. }: &Domain, cap: u16) -> String {
    let here = match cap {
        0 => "it is without a cap again".to_owned(),
        cap => format!("its cap is {cap} % again"),
    };
    format!(
        "a killed save had left {name} (domain {id}) throttled. Here {here}, but its target was told \
         the lower one: once it runs there, `xl sched-credit2 -d {name} -c {cap}` there \
         (sched-credit under that scheduler)"
    )
}

fn prepare(
    domid: u16,
    telemetry: &mut Telemetry,
    open: impl FnOnce() -> Result<Saving>,
) -> Result<(Saving, Controller, Guest)> {
    let given = match variable(SOCKET_VARIABLE) {
        Some(path) => Some(ask(Path::new(&path), domid, telemetry)?),
        None => {
            if let Some(path) = variable(TELEMETRY_VARIABLE) {
                telemetry.also_to(Path::new(&path));
            }
            None
        }
    };
    let saving = open()?;
    let domain = saving.domain();
    let mut settings = match given {
        Some(settings) => settings,
        None => configured(variable, Path::new(DEFAULT_FILE), &domain.name)?,
    };
    let mut cpu_percent = domain.vcpus.saturating_mul(100);
    match saving.current_cap() {
        Ok(0) => {}
        Ok(cap) => cpu_percent = cpu_percent.min(cap.into()),
        Err(error) if settings.steering.on_miss == OnMiss::Throttle => {
            log::warn!("this guest cannot be throttled: {error}");
            settings.steering.on_miss = OnMiss::Abort;
        }
        Err(_) => {}
    }
    let guest = Guest::from(domain);
    // PV guests have pages that are no plain memory, and were never tried.
    let holds_back = domain.guest_type != GuestType::Pv && holding::is_possible();
    let controller = settings.controller(guest, cpu_percent, holds_back)?;
    Ok((saving, controller, guest))
}

/// Settings from the caller that listens at `path`.
fn ask(path: &Path, domid: u16, telemetry: &mut Telemetry) -> Result<Settings> {
    let caller = telemetry.caller.insert(Caller::connect(path)?);
    let hello = Hello { schema: SCHEMA.to_owned(), domid, pid: std::process::id() };
    let settings = caller.settings(&hello)?;
    if let Some(path) = &settings.telemetry {
        telemetry.also_to(path);
    }
    Ok(settings)
}

/// Settings for the domain called `name` from the environment and the configuration file that it
/// names, or else `default`.
fn configured(
    variable: impl Fn(&str) -> Option<String>,
    default: &Path,
    name: &str,
) -> Result<Settings> {
    let overrides = Overrides::read(&variable)?;
    let named = variable(CONFIG_VARIABLE).map(PathBuf::from);
    let file = named.or_else(|| default.exists().then(|| default.to_owned()));
    let config = match &file {
        Some(file) => Config::load(Some(file))?,
        None if overrides.steer() => Config::default(),
        None => {
            let what = format!("there are no settings: no {} and no limits", default.display());
            return Err(Error::new(Kind::Usage, what));
        }
    };
    Ok(Settings::resolve(&config, name, learn(&config, None).as_ref(), overrides))
}

fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name)?;
    // What is no text is no value that any of them can have, and its reader says so.
    Some(value.to_string_lossy().into_owned()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use xenmig::host::{DomId, RunState, Uuid};
    use xenmig::units::Pages;

    use super::*;

    fn resolve(set: &[(&str, &str)], default: &Path) -> Result<Settings> {
        let variable = |name: &str| {
            set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned())
        };
        configured(variable, default, "db-1")
    }

    #[test]
    fn without_a_file_and_without_limits_there_are_no_settings() {
        let nowhere = Path::new("/nonexistent/xenmig.toml");
        assert!(resolve(&[], nowhere).unwrap_err().to_string().contains("no settings"));
        assert!(resolve(&[("XENMIG_TELEMETRY", "/tmp/events")], nowhere).is_err());
        let given = resolve(&[("XENMIG_DOWNTIME", "300ms")], nowhere).unwrap();
        assert_eq!(given.downtime_s, Some(0.3));
        assert!(resolve(&[("XENMIG_CONFIG", "/nonexistent/other.toml")], nowhere).is_err());
    }

    #[test]
    fn the_user_is_told_which_cap_the_guest_should_have_at_the_target() {
        let domain = Domain {
            id: DomId(7),
            name: "db-1".to_owned(),
            uuid: Uuid([0; 16]),
            guest_type: GuestType::Pvh,
            state: RunState::Running,
            memory: Pages(1),
            max_memory: Pages(1),
            p2m_size: Pages(1),
            vcpus: 1,
            hap: true,
        };
        let said = not_told(&domain, 90);
        assert!(said.contains("db-1 (domain 7)") && said.contains("its cap is 90 %"), "{said}");
        assert!(said.contains("`xl sched-credit2 -d db-1 -c 90`"), "{said}");
        let said = not_told(&domain, 0);
        assert!(said.contains("without a cap") && said.contains("-d db-1 -c 0`"), "{said}");
    }

    #[test]
    fn the_named_file_counts_before_the_usual_one() {
        let dir = tempfile::tempdir().unwrap();
        let state = format!("[paths]\nstate_dir = \"{}\"\n", dir.path().display());
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, format!("{text}\n{state}")).unwrap();
            path
        };
        let usual = file("usual.toml", "[[domain]]\nname = \"db-*\"\nbudget.downtime = \"2s\"");
        let named = file("named.toml", "[budget]\ndowntime = \"3s\"");
        let broken = file("broken.toml", "[budget]\ndowntme = \"3s\"");
        assert_eq!(resolve(&[], &usual).unwrap().downtime_s, Some(2.0));
        let set = [("XENMIG_CONFIG", named.to_str().unwrap())];
        assert_eq!(resolve(&set, &usual).unwrap().downtime_s, Some(3.0));
        assert!(resolve(&[], &broken).unwrap_err().to_string().contains("downtme"));
    }
}
