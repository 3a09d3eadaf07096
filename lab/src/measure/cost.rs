//! What xenmig costs: the throughput a guest loses while it is sampled (lab, virtual time), the
//! scan of a large bitmap against memcpy, the time of `xenmig check` beyond its windows, and the
//! size of the program (all three on this machine).

use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use xenmig::dirty::{Bitmap, Plan};
use xenmig::units::Pages;

use super::XENMIG;
use super::stats::quantile;
use crate::error::Context;
use crate::{Error, GuestSpec, Host, HostBuilder, Result, Running, XenVersion};

/// What no command takes, though the guest, and so the emulator, is busy all the time.
const PATIENCE: Duration = Duration::from_secs(3600);

/// How often a check is taken to be repeated.
const EVERY: Duration = Duration::from_secs(300);
/// A guest that writes as fast as its CPU allows.
const WORKLOAD: &str = "hot:4000,max";
/// Pages of a 1 TiB guest.
const TEBIBYTE: Pages = Pages(1 << 28);

/// Measures all four; `quick` with fewer repetitions. `say` gets progress lines.
///
/// # Errors
/// When a host, guest or program fails.
pub fn run(
    version: XenVersion,
    xenmig: &Path,
    quick: bool,
    say: &mut dyn FnMut(&str),
) -> Result<Value> {
    let bitmap = bitmap_against_memcpy(if quick { 30 } else { 100 });
    say(&format!("bitmap scan: {:.0} % of memcpy's bandwidth", bitmap * 100.0));
    let overhead = check_overhead(xenmig, if quick { 5 } else { 20 })?;
    say(&format!("check beyond its windows: {:.1} ms", overhead * 1e3));
    let size =
        std::fs::metadata(xenmig).context(|| format!("looking at {}", xenmig.display()))?.len();
    let sampling = sampling(version, xenmig, if quick { 2 } else { 6 })?;
    say(&format!(
        "sampling: guest loses {:.2} % during a check of {:.1} virtual s",
        sampling.loss * 100.0,
        sampling.check_s
    ));
    Ok(json!({
        "bar": "bench",
        "sampling_loss_average": sampling.loss * sampling.check_s / EVERY.as_secs_f64(),
        "sampling_loss_window": sampling.loss,
        "bitmap_vs_memcpy": bitmap,
        "check_overhead_ms": overhead * 1e3,
        "binary_mib": size as f64 / f64::from(1 << 20),
        "sampling_check_virtual_s": sampling.check_s,
        "xen": version.to_string(),
    }))
}

/// The bandwidth of counting and walking a bitmap of 32 MiB as a share of memcpy's over the same
/// 32 MiB: the fastest of `runs` each, taken in turn. One page in 256 is dirty, in runs of 16, as
/// after a burst of 4 GiB.
fn bitmap_against_memcpy(runs: u32) -> f64 {
    let mut bitmap = Bitmap::new(TEBIBYTE);
    for first in (0..TEBIBYTE.0).step_by(4096) {
        bitmap.set_run(first..first + 16);
    }
    let mut copy = vec![0u64; bitmap.words().len()];
    let (mut scan, mut memcpy) = (Duration::MAX, Duration::MAX);
    for _ in 0..runs {
        let begun = Instant::now();
        let mut longest = 0;
        let count = bitmap.for_each_run(|run| longest = longest.max(run.end - run.start));
        black_box((count, longest));
        scan = scan.min(begun.elapsed());
        let begun = Instant::now();
        copy.copy_from_slice(black_box(bitmap.words()));
        black_box(&copy);
        memcpy = memcpy.min(begun.elapsed());
    }
    memcpy.as_secs_f64() / scan.as_secs_f64()
}

/// Median seconds that `xenmig check` takes beyond its windows and pauses, as a whole process on
/// this machine, over a simulated host whose waits take as long as they say.
fn check_overhead(xenmig: &Path, runs: u32) -> Result<f64> {
    let window = Duration::from_millis(200);
    let plan = Plan { window, windows: 2, ..Plan::default() };
    let scene =
        tempfile::Builder::new().suffix(".toml").tempfile().context(|| "making a scene".into())?;
    let text = "real_time = true\nlink = \"10Gbit/s\"\n[[domain]]\nname = \"g\"\nmemory = \"4GiB\"\n\
                [[domain.workload]]\nkind = \"steady\"\npages = 4000\nrate = 2000\n";
    std::fs::write(scene.path(), text).context(|| "writing a scene".into())?;
    let host = format!("sim:{}", scene.path().display());
    let mut times = Vec::new();
    for _ in 0..runs {
        let begun = Instant::now();
        let ended = Command::new(xenmig)
            .args(["--host", &host, "sample", "g", "--windows", "2", "--window", "200ms"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .output()
            .context(|| format!("running {}", xenmig.display()))?;
        let took = begun.elapsed().as_secs_f64();
        if !ended.status.success() {
            return Err(Error::Unexpected(String::from_utf8_lossy(&ended.stderr).into_owned()));
        }
        times.push(took - plan.duration().as_secs_f64());
    }
    Ok(quantile(&times, 0.5).unwrap_or(f64::NAN))
}

/// What a guest lost.
struct Sampling {
    /// Share of its throughput, while it was sampled.
    loss: f64,
    /// Virtual seconds one check took.
    check_s: f64,
}

/// The guest's page writes per second while `checks` default checks run one after the other,
/// against its rate in the same stretch of time before.
fn sampling(version: XenVersion, xenmig: &Path, checks: u32) -> Result<Sampling> {
    let writer = Writer::start(version, xenmig)?;
    let host = &writer.host;
    let check = [XENMIG, "check", "g1", "--downtime", "60s"];
    let bandwidth = ["--bandwidth", "16000000B/s", "--window", "3s", "--json"];
    let one = || -> Result<()> {
        let output = host.run(check.iter().chain(&bandwidth))?;
        let predicted = serde_json::from_slice::<Value>(&output.stdout)
            .is_ok_and(|document| document["predicted"].is_object());
        if predicted { Ok(()) } else { Err(Error::Unexpected(output.stderr())) }
    };
    let begun = host.now()?;
    one()?;
    let check_s = (host.now()? - begun).as_secs_f64();
    let span = Duration::from_secs_f64(check_s * f64::from(checks) + 5.0);

    let loss = writer.loss(span, || (0..checks).try_for_each(|_| one()))?;
    Ok(Sampling { loss, check_s })
}

/// A host with a guest that writes as fast as it can.
pub(super) struct Writer {
    pub(super) host: Host,
    _unstopped: Running,
    guest: String,
}

impl Writer {
    /// Boots the host, with `xenmig` on it.
    pub(super) fn start(version: XenVersion, xenmig: &Path) -> Result<Self> {
        let host = HostBuilder::new(version).limit(PATIENCE).boot()?;
        // See `accuracy::run`.
        let unstopped = host.spawn(["sleep", "infinity"])?;
        host.push(xenmig, XENMIG)?;
        let workload = WORKLOAD.parse().map_err(|e| Error::Unexpected(format!("{e}")))?;
        let guest = host.guest(&GuestSpec::new("g1", workload))?.name;
        Ok(Self { host, _unstopped: unstopped, guest })
    }

    /// The share of its page writes per second that the guest loses while `work` is done, against
    /// its rate in the time `span` before.
    pub(super) fn loss(&self, span: Duration, work: impl FnOnce() -> Result<()>) -> Result<f64> {
        let before = ticks(&self.host, &self.guest)?;
        self.host.sleep(span)?;
        let between = ticks(&self.host, &self.guest)?;
        work()?;
        let after = ticks(&self.host, &self.guest)?;
        let quiet = rate(&between[before.len()..])?;
        let busy = rate(&after[between.len()..])?;
        Ok(1.0 - busy / quiet)
    }
}

/// The guest's reports: (seconds since it began, pages written).
fn ticks(host: &Host, name: &str) -> Result<Vec<(f64, f64)>> {
    let mut console = host.console(name, Duration::from_millis(50))?;
    let mut ticks = Vec::new();
    while let Some(line) = console.next_line()? {
        let field = |key: &str| {
            let word = line.split(' ').find_map(|word| word.strip_prefix(key))?;
            word.parse::<f64>().ok()
        };
        if let (true, Some(up), Some(writes)) =
            (line.starts_with("GUEST: tick"), field("up="), field("writes="))
        {
            ticks.push((up, writes));
        }
    }
    Ok(ticks)
}

/// Pages per second from the first report to the last. The first may have begun before the
/// stretch it belongs to, so it only marks the beginning.
fn rate(ticks: &[(f64, f64)]) -> Result<f64> {
    match ticks {
        [first, .., last] => Ok((last.1 - first.1) / (last.0 - first.0)),
        _ => Err(Error::Unexpected("the guest reported too seldom".into())),
    }
}
