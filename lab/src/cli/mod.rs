//! Arguments and what each command does.

mod daemon;
mod paper;

use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use xenlab::guest::{Network, Service};
use xenlab::measure::{Programs, accuracy, cost, network, policy, recording};
use xenlab::{Error, GuestSpec, Host, Images, Result, Status, Sysroot, Workload, XenVersion};

/// Real Xen hosts under QEMU, in virtual time.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build what hosts boot from, where it is not in the cache.
    Images {
        /// Xen version: 4.17 (Debian 12) or 4.20 (Debian 13).
        #[arg(long, default_value = "4.17")]
        xen: XenVersion,
        /// Take the archive's newest packages.
        #[arg(long)]
        refresh: bool,
    },
    /// Boot hosts h1, h2, … that stay until `down`.
    Up {
        /// How many.
        #[arg(long, default_value_t = 1)]
        hosts: u32,
        /// One host of this name instead.
        #[arg(long, conflicts_with = "hosts")]
        name: Option<String>,
        /// Xen version.
        #[arg(long, default_value = "4.17")]
        xen: XenVersion,
        /// Time inside passes as outside, also between commands.
        #[arg(long)]
        real_time: bool,
    },
    /// Run a command in a host's Dom0; its exit code is this one's.
    Run {
        host: String,
        #[arg(last = true, required = true)]
        argv: Vec<String>,
    },
    /// Copy a file into Dom0.
    Push { host: String, local: PathBuf, remote: String },
    /// Copy a file out of Dom0.
    Pull { host: String, remote: String, local: PathBuf },
    /// Create a guest and wait until it is steady.
    Guest {
        host: String,
        /// Its name.
        #[arg(long, default_value = "g1")]
        name: String,
        /// idle, hot:PAGES,RATE, sweep:PAGES,RATE, burst:PAGES,RATE,BUSY_MS,IDLE_MS,
        /// cpu:SHARE[,PAGES,RATE] or phase:SHARE,PERIOD_MS,WRITES,PAGES[,sweep];
        /// RATE in pages/s, or max.
        #[arg(long, default_value = "idle")]
        workload: Workload,
        /// MiB.
        #[arg(long, default_value_t = 160)]
        memory: u32,
        #[arg(long, default_value_t = 1)]
        vcpus: u32,
        /// Of its random numbers.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Gives it a network card with this address, in Dom0's 10.77.0.0/24.
        #[arg(long)]
        address: Option<Ipv4Addr>,
        /// UDP datagrams it sends: ADDRESS:PORT,RATE,BYTES.
        #[arg(long, requires = "address")]
        service: Option<Service>,
    },
    /// Make a guest read back its memory and compare it with what it wrote.
    Verify { host: String, guest: String },
    /// Migrate a guest to the host it is on, with stock `xl migrate`.
    Migrate {
        host: String,
        guest: String,
        /// Bandwidth in bytes per second of virtual time.
        #[arg(long)]
        rate: Option<u64>,
    },
    /// Let virtual time pass.
    Sleep { host: String, seconds: f64 },
    /// Show a guest's console from its beginning.
    Console { host: String, guest: String },
    /// Show the end of a host's serial log.
    Log { host: String },
    /// Which hosts are up.
    List,
    /// Stop hosts; all, if none is named.
    Down { hosts: Vec<String> },
    /// Print `export` lines to build programs for a Xen version's Dom0.
    Sysroot {
        /// Xen version.
        #[arg(long)]
        xen: XenVersion,
    },
    /// Predict migrations, migrate, and compare.
    Accuracy {
        /// Xen version.
        #[arg(long, default_value = "4.17")]
        xen: XenVersion,
        /// One migration of each guest.
        #[arg(long)]
        quick: bool,
        /// `xenmig`, built for that version.
        #[arg(long, default_value = "target/release/xenmig")]
        xenmig: PathBuf,
        /// The example `watch`, built for that version.
        #[arg(long, default_value = "target/release/examples/watch")]
        watch: PathBuf,
        /// Folder for accuracy.md and accuracy.json.
        #[arg(long)]
        out: PathBuf,
    },
    /// Stock and steered migrations of the same guests in turn.
    Policy {
        /// Xen version.
        #[arg(long, default_value = "4.17")]
        xen: XenVersion,
        /// One migration with each budget.
        #[arg(long)]
        quick: bool,
        /// Only the guests in whose name this word is.
        #[arg(long, default_value = "")]
        only: String,
        /// Folder of `xenmig`, `xenmig-save-helper` and `libxenmig_precopy.so`, built for that
        /// version, with the example `watch` in `examples`.
        #[arg(long, default_value = "target/release")]
        programs: PathBuf,
        /// Where policy.md and policy.json go.
        #[arg(long, default_value = "docs")]
        out: PathBuf,
    },
    #[command(flatten)]
    Paper(paper::Command),
    /// Migrations between two hosts, seen from outside.
    Network {
        /// Xen version.
        #[arg(long, default_value = "4.17")]
        xen: XenVersion,
        /// One migration in each direction.
        #[arg(long)]
        quick: bool,
        /// Folder of `xenmig`, `xenmig-save-helper` and `libxenmig_precopy.so`, built for that
        /// version, with the example `watch` in `examples`.
        #[arg(long, default_value = "target/release")]
        programs: PathBuf,
        /// Where network.md and network.json go.
        #[arg(long, default_value = "docs")]
        out: PathBuf,
    },
    /// What sampling costs a guest, and the program this machine.
    Bench {
        /// Xen version.
        #[arg(long, default_value = "4.17")]
        xen: XenVersion,
        /// Fewer repetitions.
        #[arg(long)]
        quick: bool,
        /// `xenmig`, built for that version.
        #[arg(long, default_value = "target/release/xenmig")]
        xenmig: PathBuf,
    },
    /// What `xenmig record` costs guests and this machine.
    BenchRecord {
        /// Xen version.
        #[arg(long, default_value = "4.17")]
        xen: XenVersion,
        /// Shorter times.
        #[arg(long)]
        quick: bool,
        /// `xenmig`, built for that version.
        #[arg(long, default_value = "target/release/xenmig")]
        xenmig: PathBuf,
    },
    /// Hold one host in the foreground; `up` starts this.
    #[command(hide = true)]
    Serve {
        host: String,
        #[arg(long)]
        xen: XenVersion,
        #[arg(long)]
        real_time: bool,
    },
}

impl Arguments {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Images { xen, refresh } => {
                if refresh {
                    Images::forget(xen)?;
                }
                let images = Images::ensure(xen)?;
                println!("{images:#?}");
            }
            Command::Up { hosts, name, xen, real_time } => {
                Images::ensure(xen)?;
                let numbered = (1..=hosts).map(|number| format!("h{number}"));
                for name in name.map_or_else(|| numbered.collect(), |name| vec![name]) {
                    daemon::up(&name, xen, real_time)?;
                    println!("{name} is up: Xen {xen}");
                }
            }
            Command::Run { host, argv } => return run(&daemon::attach(&host)?, &argv),
            Command::Push { host, local, remote } => daemon::attach(&host)?.push(local, &remote)?,
            Command::Pull { host, remote, local } => daemon::attach(&host)?.pull(&remote, local)?,
            Command::Guest { host, name, workload, memory, vcpus, seed, address, service } => {
                let spec = GuestSpec {
                    memory_mib: memory,
                    vcpus,
                    seed,
                    network: address.map(|address| Network { address, service }),
                    ..GuestSpec::new(&name, workload)
                };
                let guest = daemon::attach(&host)?.guest(&spec)?;
                println!("{} is domain {}, {workload}", guest.name, guest.domid);
            }
            Command::Verify { host, guest } => {
                let verified = daemon::attach(&host)?.verify(&guest)?;
                println!("{guest}: {} pages intact, {} writes", verified.pages, verified.writes);
            }
            Command::Migrate { host, guest, rate } => {
                let migration = daemon::attach(&host)?.migrate(&guest, rate)?;
                print!("{}{}", migration.output.stderr(), migration.output.stdout());
                println!("{guest}: {:.4} virtual seconds", migration.elapsed.as_secs_f64());
            }
            Command::Sleep { host, seconds } => {
                daemon::attach(&host)?.sleep(Duration::from_secs_f64(seconds.max(0.0)))?;
            }
            Command::Console { host, guest } => {
                let mut console =
                    daemon::attach(&host)?.console(&guest, Duration::from_millis(50))?;
                while let Some(line) = console.next_line()? {
                    println!("{line}");
                }
            }
            Command::Log { host } => println!("{}", daemon::attach(&host)?.serial_tail()),
            Command::List => daemon::list().iter().for_each(|name| println!("{name}")),
            Command::Down { hosts } => daemon::down(&hosts)?,
            Command::Sysroot { xen } => {
                for (name, value) in Sysroot::ensure(xen)?.environment() {
                    println!("export {name}='{value}'");
                }
            }
            Command::Accuracy { xen, quick, xenmig, watch, out } => {
                let programs = Programs { xenmig, watch, hook: None };
                let (raw, page, line) =
                    accuracy::run(xen, &programs, quick, &mut |text| eprintln!("{text}"))?;
                write(&out.join("accuracy.json"), &format!("{raw:#}\n"))?;
                write(&out.join("accuracy.md"), &page)?;
                println!("{line}");
            }
            Command::Policy { xen, quick, only, programs, out } => {
                let programs = Programs::in_folder(programs);
                let (raw, page, line) =
                    policy::run(xen, &programs, quick, &only, &mut |text| eprintln!("{text}"))?;
                write(&out.join("policy.json"), &format!("{raw:#}\n"))?;
                write(&out.join("policy.md"), &page)?;
                println!("{line}");
            }
            Command::Paper(command) => command.run()?,
            Command::Network { xen, quick, programs, out } => {
                let programs = Programs::in_folder(programs);
                let (raw, page, line) =
                    network::run(xen, &programs, quick, &mut |text| eprintln!("{text}"))?;
                write(&out.join("network.json"), &format!("{raw:#}\n"))?;
                write(&out.join("network.md"), &page)?;
                println!("{line}");
            }
            Command::Bench { xen, quick, xenmig } => {
                println!("{}", cost::run(xen, &xenmig, quick, &mut |text| eprintln!("{text}"))?);
            }
            Command::BenchRecord { xen, quick, xenmig } => {
                let say = &mut |text: &str| eprintln!("{text}");
                println!("{}", recording::run(xen, &xenmig, quick, say)?);
            }
            Command::Serve { host, xen, real_time } => daemon::serve(&host, xen, real_time)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text)
        .map_err(|source| Error::Io { what: format!("writing {}", path.display()), source })
}

/// Runs a command, passing its output on as it comes.
fn run(host: &Host, argv: &[String]) -> Result<ExitCode> {
    let mut running = host.spawn(argv)?;
    running.set_limit(Duration::from_secs(24 * 3600));
    running.close_stdin();
    let io = |source| Error::Io { what: "writing output".into(), source };
    while let Some(line) = running.next_line()? {
        println!("{line}");
    }
    let output = running.wait()?;
    std::io::stderr().write_all(&output.stderr).map_err(io)?;
    Ok(match output.status {
        Status::Exited(code) => ExitCode::from(code),
        Status::Signaled(signal) => ExitCode::from(128u8.wrapping_add(signal as u8)),
    })
}
