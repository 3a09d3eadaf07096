//! The paper's instruments and measurements.

use std::net::Ipv4Addr;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use serde_json::json;
use xenlab::experiment::{Experiment, Figures};
use xenlab::measure::Programs;
use xenlab::meter::{Listener, Phases, throughput};
use xenlab::{Result, XenVersion};

use super::daemon;

/// What the meter takes for undisturbed before a migration, and waits after it.
const CALM: Duration = Duration::from_secs(2);

#[derive(Subcommand)]
pub(super) enum Command {
    /// Receive a guest's UDP service in Dom0, recognise the phases of a migration in its
    /// throughput, and print both as JSON.
    Meter {
        host: String,
        /// The guest's address.
        #[arg(long, default_value = "10.77.0.2")]
        from: Ipv4Addr,
        /// Where its service sends to.
        #[arg(long, default_value_t = 9000)]
        port: u16,
        /// Migrate this guest meanwhile, with stock `xl migrate`, and end 2 s after.
        #[arg(long)]
        migrate: Option<String>,
        /// Bandwidth of that migration in bytes per second of virtual time.
        #[arg(long, requires = "migrate")]
        rate: Option<u64>,
        /// Without a migration, how long; the first 2 s are taken for undisturbed.
        #[arg(long, default_value_t = 30.0)]
        seconds: f64,
        /// Seconds of an interval of the throughput.
        #[arg(long, default_value_t = 0.1)]
        interval: f64,
    },
    /// The paper's measurements, repeated: all, or fig2 to fig7.
    Experiment {
        figures: Figures,
        /// Xen version.
        #[arg(long, default_value = "4.17")]
        xen: XenVersion,
        /// One repetition, at the ends of each axis.
        #[arg(long)]
        quick: bool,
        /// Hosts at once; without, one for each CPU.
        #[arg(long)]
        hosts: Option<NonZero<usize>>,
        /// Folder of `xenmig`, `xenmig-save-helper` and `libxenmig_precopy.so`, built for that
        /// version, with the example `watch` in `examples`.
        #[arg(long, default_value = "target/release")]
        programs: PathBuf,
        /// Where README.md, the pictures and data go; figures that are not measured now are drawn
        /// from the data there. Default: docs/paper, with --quick target/paper.
        #[arg(long)]
        out: Option<PathBuf>,
        /// Measure nothing: write page and pictures again, from all data that is there.
        #[arg(long)]
        draw: bool,
    },
}

impl Command {
    pub(super) fn run(self) -> Result<()> {
        match self {
            Self::Meter { host, from, port, migrate, rate, seconds, interval } => {
                let host = daemon::attach(&host)?;
                let listener = Listener::start(&host, port)?;
                match migrate {
                    None => host.sleep(Duration::from_secs_f64(seconds.max(0.0)))?,
                    Some(guest) => {
                        host.sleep(CALM)?;
                        host.migrate(&guest, rate)?;
                        host.sleep(CALM)?;
                    }
                }
                let arrivals = listener.finish(from)?;
                let phases = Phases::recognise(&arrivals, CALM.as_secs_f64());
                let curve = throughput(&arrivals, interval.max(0.001));
                let total = phases.as_ref().and_then(Phases::total);
                let all =
                    json!({ "phases": phases, "total": total, "throughput_bytes_per_s": curve });
                println!("{all:#}");
            }
            Self::Experiment { figures, xen, quick, hosts, programs, out, draw } => {
                let programs = Programs::in_folder(programs);
                let default = if quick { "target/paper" } else { "docs/paper" };
                let out = out.unwrap_or_else(|| default.into());
                let experiment = Experiment { version: xen, programs, quick, hosts, out };
                if draw {
                    return experiment.draw();
                }
                println!("{}", experiment.run(&figures.0, &mut |text| eprintln!("{text}"))?);
            }
        }
        Ok(())
    }
}
