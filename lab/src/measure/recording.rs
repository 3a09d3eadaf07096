//! What `xenmig record` costs: CPU time and memory on a simulated host of 1000 domains over a
//! simulated month, the size of a year's log (both on this machine), and the throughput that a guest
//! loses at the default settings (lab, virtual time).

use std::fmt::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use xenmig::history::{HistoryStore, Logged, Observation};
use xenmig::host::Uuid;
use xenmig::record::Settings;
use xenmig::units::Pages;

use super::XENMIG;
use super::cost::Writer;
use crate::error::Context;
use crate::{Error, Result, XenVersion};

/// Domains of the simulated host.
const DOMAINS: u32 = 1000;
/// Domains whose year is kept.
const YEAR_DOMAINS: u32 = 200;
const DAY: Duration = Duration::from_secs(86_400);
/// How often the process is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Measures all; `quick` over shorter times. `say` gets progress lines.
///
/// # Errors
/// When a host, guest, program or file fails.
pub fn run(
    version: XenVersion,
    xenmig: &Path,
    quick: bool,
    say: &mut dyn FnMut(&str),
) -> Result<Value> {
    let month = month(xenmig, if quick { 6 } else { 30 } * DAY)?;
    say(&format!(
        "{DOMAINS} simulated domains: {:.3} % of a core, {:.1} MiB, growing {:.2} MiB a month",
        month.cpu_share * 100.0,
        month.rss_mib,
        month.growth_mib
    ));
    let domains = if quick { YEAR_DOMAINS / 20 } else { YEAR_DOMAINS };
    let year_mib = year(domains)? * f64::from(YEAR_DOMAINS) / f64::from(domains);
    say(&format!("a year of {YEAR_DOMAINS} domains ({domains} were written): {year_mib:.0} MiB"));
    let interval = Settings::default().interval;
    let loss = guest_loss(version, xenmig, if quick { interval / 5 } else { interval })?;
    say(&format!("a guest loses {:.2} % at the default settings", loss * 100.0));
    Ok(json!({
        "bar": "record",
        "cpu_share": month.cpu_share,
        "rss_mib": month.rss_mib,
        "growth_mib_per_month": month.growth_mib,
        "guest_loss": loss,
        "year_mib_200_domains": year_mib,
        "xen": version.to_string(),
    }))
}

struct Month {
    /// CPU time as a share of simulated time.
    cpu_share: f64,
    /// Most memory.
    rss_mib: f64,
    growth_mib: f64,
}

/// A host of many domains that do different things.
fn scene() -> String {
    let mut text =
        "link = \"10Gbit/s\"\nfinish = \"100ms\"\nhost.cpus = 128\nhost.memory = \"8TiB\"\n"
            .to_owned();
    for nth in 0..DOMAINS {
        let kind = match nth % 4 {
            0 => "kind = \"steady\"\nrate = 50\npages = 2000".to_owned(),
            1 => "kind = \"diurnal\"\nlow = 5\nhigh = 400\npages = 20000".to_owned(),
            2 => format!(
                "kind = \"burst\"\nperiod = \"{}s\"\nbusy = \"3s\"\nrate = 800\npages = 9000",
                20 + nth % 50
            ),
            _ => "kind = \"sweep\"\nrate = 100\npages = 30000".to_owned(),
        };
        let _ = write!(
            text,
            "[[domain]]\nname = \"d{nth}\"\nmemory = \"1GiB\"\ncpu = 0.05\n[[domain.workload]]\n{kind}\n"
        );
    }
    text
}

/// A simulated time of `length`, as fast as this machine can.
fn month(xenmig: &Path, length: Duration) -> Result<Month> {
    let place = TempDir::new().context(|| "making a folder".into())?;
    let file = place.path().join("scene.toml");
    std::fs::write(&file, scene()).context(|| "writing a scene".into())?;
    let mut child = Command::new(xenmig)
        .arg("--host")
        .arg(format!("sim:{}", file.display()))
        .args(["--config", "/dev/null", "record", "--listen", "none", "--store"])
        .arg(place.path().join("history.sqlite"))
        .args(["--for", &format!("{}s", length.as_secs())])
        .stdin(Stdio::null())
        .spawn()
        .context(|| format!("running {}", xenmig.display()))?;
    let mut seen = Vec::new();
    let status = loop {
        match child.try_wait().context(|| "waiting for xenmig".into())? {
            Some(status) => break status,
            None => seen.extend(look(&child)),
        }
        std::thread::sleep(LOOK);
    };
    if !status.success() || seen.len() < 20 {
        return Err(Error::Unexpected(format!(
            "xenmig record: {status}, seen {} times",
            seen.len()
        )));
    }
    let cpu_s = seen.last().map_or(f64::NAN, |(cpu_s, _)| *cpu_s);
    let most = seen.iter().map(|(_, mib)| *mib).fold(0.0, f64::max);
    // Means, as the size goes up and down; the first half fills caches.
    let mean = |part: &[(f64, f64)]| part.iter().map(|(_, m)| m).sum::<f64>() / part.len() as f64;
    let tenth = seen.len() / 10;
    let (early, late) = (mean(&seen[5 * tenth..6 * tenth]), mean(&seen[seen.len() - tenth..]));
    let months = length.div_duration_f64(30 * DAY);
    Ok(Month {
        cpu_share: cpu_s / length.as_secs_f64(),
        rss_mib: most,
        growth_mib: (late - early) / 0.4 / months,
    })
}

/// CPU seconds used so far and MiB held now; `None` when it has just ended.
fn look(child: &Child) -> Option<(f64, f64)> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", child.id())).ok();
    let status = read("status")?;
    let kib: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()?;
    // After the name in parentheses: state is field 3, utime and stime are 14 and 15 (proc(5)).
    let stat = read("stat")?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    let hertz = rustix::param::clock_ticks_per_second() as f64;
    Some(((ticks()? + ticks()?) / hertz, kib / 1024.0))
}

/// MiB of the log of `domains` after a year at the default settings.
fn year(domains: u32) -> Result<f64> {
    let place = TempDir::new().context(|| "making a folder".into())?;
    let failed = |error: xenmig::Error| Error::Unexpected(error.to_string());
    let settings = Settings::default();
    let mut store = HistoryStore::open(&place.path().join("history.sqlite")).map_err(failed)?;
    let all: Vec<_> = (0..domains).map(domain).collect();
    let plan = settings.plan();
    let moments = plan.moments(plan.window);
    let rounds = (365 * DAY).div_duration_f64(settings.interval) as u64;
    let a_day = (DAY.div_duration_f64(settings.interval) as u64).max(1);
    for nth in 0..rounds {
        let at = 1_767_571_200 + nth as i64 * settings.interval.as_secs() as i64;
        let seen = all.iter().enumerate().map(|(id, _)| observation(at, nth, id as u64, &moments));
        let seen: Vec<_> = seen.collect();
        store.add_all(all.iter().zip(&seen)).map_err(failed)?;
        if nth % a_day == a_day - 1 {
            store.thin(&settings.keep(), &[]).map_err(failed)?;
        }
    }
    Ok(store.size_bytes().map_err(failed)? as f64 / f64::from(1 << 20))
}

fn domain(id: u32) -> Logged {
    let mut uuid = [7; 16];
    uuid[..4].copy_from_slice(&id.to_be_bytes());
    let pages = Pages(1 << 20);
    Logged { uuid: Uuid(uuid), name: format!("d{id}"), vcpus: 4, memory: pages, p2m_size: pages }
}

/// A curve whose numbers are as large as those of a busy guest, and different each time.
fn observation(at: i64, nth: u64, id: u64, moments: &[Duration]) -> Observation {
    let random =
        (nth.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ id.wrapping_mul(0xd1b5_4a32_d192_ed03)) >> 40;
    let rate = 100.0 + random as f64 / 400.0;
    let pages = |t: &Duration| Pages((rate * t.as_secs_f64().sqrt()) as u64);
    Observation {
        at_unix_s: at,
        weight: 1,
        points: moments.iter().map(|t| (*t, pages(t))).collect(),
        guest_cpus: 0.25 + (random % 1000) as f64 / 1e3,
        host_cpus: Some((3.0 + (random % 5000) as f64 / 1e3, 32)),
    }
}

/// The share of its page writes per second that a guest loses by one sample in each of the default
/// intervals: measured over one `interval`, which may be shorter, against its rate in as long a
/// stretch of time before.
fn guest_loss(version: XenVersion, xenmig: &Path, interval: Duration) -> Result<f64> {
    let writer = Writer::start(version, xenmig)?;
    let length = format!("{}s", interval.as_secs());
    let service = [XENMIG, "record", "-v", "--store", "/tmp/h.sqlite"];
    let record = [&service[..], &["--interval", &length, "--for", &length]].concat();
    let mut samples = 0;
    let loss = writer.loss(interval, || {
        let ran = writer.host.run(record)?;
        samples = ran.stderr().lines().filter(|line| line.contains("pages/s")).count();
        // A service that never had the guest's log on would cost it nothing.
        if samples == 0 {
            return Err(Error::Unexpected(format!("no sample: {}", ran.stderr())));
        }
        Ok(())
    })?;
    let one_each = interval.div_duration_f64(Settings::default().interval) / samples as f64;
    Ok(loss * one_each)
}
