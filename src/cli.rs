//! The arguments as they are written. Quantities stay text here and are read in `cmd`: build.rs
//! compiles this file too, for the man pages and completions, and has only clap and std.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures, predicts and gates live migrations of Xen domains.
///
/// May this domain be migrated now, what will it cost, and when or where would it cost less?
#[derive(Debug, Parser)]
#[command(
    name = "xenmig",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Examples:
  xenmig check db && xl migrate db target   migrate only if it will stay in budget
  xenmig migrate db target --downtime 300ms migrate, and keep it within that downtime
  xenmig --host sim check batch             try it on a machine without Xen

Exit status: 0 done or go, 1 no-go, 2 wait, 3 to 5 see `migrate`, 64 wrong usage, 65 bad data,
69 no Xen here or no answer from a target, 77 no permission, 70 anything else, 130 interrupted."
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The host: `xen` (this one), `sim` (a simulated one) or `sim:FILE.toml`
    #[arg(long, global = true, value_name = "HOST", default_value = "xen")]
    pub host: HostChoice,

    /// Configuration file [default: /etc/xenmig/xenmig.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Print JSON instead of text: one document, or one a line as things happen
    #[arg(long, global = true)]
    pub json: bool,

    /// Say more on stderr; twice for even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Say less on stderr: errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Check(Check),
    Predict(Predict),
    Sample(Sample),
    Top(Top),
    Migrate(Migrate),
    Hostinfo(Hostinfo),
    Place(Place),
    Hook(Hook),
    Record(Record),
    Window(Window),
    Report(Report),
    Doctor(Doctor),
    Recover(Recover),
}

/// May this domain be migrated now, and what would it cost?
///
/// Looks at the domain and the host, samples how fast the domain dirties its memory, predicts a
/// stock `xl migrate`, and gives a verdict with every reason: go, wait or no-go.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  xenmig check db
  xenmig check db --downtime 300ms --bandwidth 10Gbit/s && xl migrate db target
  xenmig check db --to target && xl migrate db target
  xenmig check 7 --json | jq -r '.reasons[].message'

Exit status: 0 go, 1 no-go, 2 wait.")]
pub struct Check {
    /// Domain: its number or its name
    #[arg(value_name = "DOMAIN")]
    pub domain: String,

    /// Bandwidth of the migration, as 10Gbit/s or 1GiB/s
    #[arg(long, value_name = "RATE")]
    pub bandwidth: Option<String>,

    #[command(flatten)]
    pub budget: Budget,

    #[command(flatten)]
    pub destination: Destination,

    #[command(flatten)]
    pub sampling: Sampling,

    /// Also write the sample to this trace file
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Target")]
pub struct Destination {
    /// Judge this host as the target, too; it is asked by `ssh HOST xenmig hostinfo`
    #[arg(long, value_name = "HOST")]
    pub to: Option<String>,

    /// The same by a file that `xenmig hostinfo --json` wrote there
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    pub to_file: Option<PathBuf>,

    #[command(flatten)]
    pub asking: Asking,
}

#[derive(Debug, Args)]
pub struct Asking {
    /// Command that takes HOST and a command to run there
    #[arg(short, long, value_name = "COMMAND", default_value = "ssh")]
    pub ssh_command: String,

    /// Longest wait for a host's answer
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub timeout: String,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Budget")]
pub struct TimeBudget {
    /// Longest downtime allowed, as 300ms, or `unlimited`
    #[arg(long, value_name = "TIME")]
    pub downtime: Option<String>,

    /// Longest total time allowed, as 60s, or `unlimited`
    #[arg(long, value_name = "TIME")]
    pub total: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Budget")]
pub struct Budget {
    #[command(flatten)]
    pub time: TimeBudget,

    /// Most bytes allowed, as 20GiB, or `unlimited`
    #[arg(long, value_name = "SIZE")]
    pub bytes: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub struct Sampling {
    /// Length of a sampling window, as 5s
    #[arg(long, value_name = "TIME")]
    pub window: Option<String>,

    /// Number of windows; their spread gives the p90
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub windows: Option<u32>,
}

/// What would a migration cost, for bandwidths, budgets and policies?
///
/// Prints one row per combination. The dirty curve comes from sampling a domain, from a trace
/// that `sample` or `check` wrote, or from a curve file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  xenmig predict db --bandwidth 1Gbit/s,10Gbit/s
  xenmig predict --trace db.trace --bandwidth 10Gbit/s --downtime 100ms,300ms,unlimited
  xenmig predict --curve db.json --bandwidth 10Gbit/s --policy budget --deadline 10min --json

Policies:
  stock   xl's own: up to 5 rounds, or until fewer than 50 pages are dirty
  budget  go on until what is left fits into the downtime budget; past the deadline, give up")]
#[command(
    override_usage = "xenmig predict [OPTIONS] <DOMAIN|--trace FILE|--curve FILE>",
    group = clap::ArgGroup::new("source").required(true).multiple(false)
)]
pub struct Predict {
    /// Domain to sample: its number or its name
    #[arg(value_name = "DOMAIN", group = "source")]
    pub domain: Option<String>,

    /// Predict from a trace file
    #[arg(long, value_name = "FILE", group = "source")]
    pub trace: Option<PathBuf>,

    /// Predict from a curve file (JSON, xenmig.curve/1)
    #[arg(long, value_name = "FILE", group = "source")]
    pub curve: Option<PathBuf>,

    /// Bandwidths, as 1Gbit/s,10Gbit/s
    #[arg(long, value_name = "RATE,…", value_delimiter = ',')]
    pub bandwidth: Vec<String>,

    /// Downtime budgets, as 100ms,300ms,unlimited
    #[arg(long, value_name = "TIME,…", value_delimiter = ',')]
    pub downtime: Vec<String>,

    /// Policies [default: both]
    #[arg(long, value_name = "POLICY,…", value_delimiter = ',')]
    pub policy: Vec<Policy>,

    /// When the policy `budget` gives up
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub deadline: String,

    #[command(flatten)]
    pub sampling: Sampling,
}

/// When to stop sending rounds and suspend the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Policy {
    /// xl's own: up to 5 rounds, or until fewer than 50 pages are dirty
    Stock,
    /// Until what is left fits into the downtime budget
    Budget,
}

/// How fast does this domain dirty its memory?
///
/// Samples the dirty curve: how many distinct pages are written within t of a clean state. The
/// guest pays one page fault per page and window.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  xenmig sample db --window 10s --windows 5
  xenmig sample db --trace db.trace && xenmig predict --trace db.trace --bandwidth 10Gbit/s
  xenmig sample db --bitmap")]
pub struct Sample {
    /// Domain: its number or its name
    #[arg(value_name = "DOMAIN")]
    pub domain: String,

    #[command(flatten)]
    pub sampling: Sampling,

    /// Also write the sample to this trace file
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,

    /// Also show which pages are hottest
    #[arg(long)]
    pub bitmap: bool,
}

/// Watch all domains: their load, and what migrating each would cost
///
/// A table that is drawn anew at every interval. The domains are sampled one at a time, in turn and
/// in short windows, and none of them for more than a fifth of the time; `check` looks longer, and
/// its verdict is the surer one. ? shows the keys, q ends it. CPU use is in per cent of one CPU, as
/// in xentop.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  xenmig top --bandwidth 10Gbit/s --downtime 300ms
  xenmig top --once                         a plain table, for a mail or a script
  xenmig top --json | jq -c '.domains[] | [.name, .check.verdict]'
  xenmig --host sim top                     try it on a machine without Xen")]
pub struct Top {
    /// From one refresh to the next, in which one domain is sampled
    #[arg(long, value_name = "TIME", default_value = "5s")]
    pub interval: String,

    /// Sample each domain once, print a plain table and end
    #[arg(long, conflicts_with = "interval")]
    pub once: bool,

    /// Bandwidth of migrations, as 10Gbit/s or 1GiB/s
    #[arg(long, value_name = "RATE")]
    pub bandwidth: Option<String>,

    #[command(flatten)]
    pub budget: Budget,

    #[command(flatten)]
    pub sampling: Sampling,
}

/// Migrate a domain to another host, within a budget
///
/// Checks first, as `check` does, and goes only if the answer is go. Then it does what `xl migrate`
/// does, and the target runs the same `xl migrate-receive`; but when to suspend the guest is
/// decided by the budget. Until the target has permission to run the guest, every failure and ^C
/// end with the guest running here; after that, ^C waits for the target's answer.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  xenmig migrate db target --downtime 300ms
  xenmig migrate db target --judge-target --dry-run
  xenmig migrate batch target --downtime 1s --on-miss throttle --total 10min
  xenmig migrate db root@10.0.0.2 -s 'ssh -p 2222'
  xenmig migrate db target --transport 'socat - TCP:target:8002'
  xenmig --host sim migrate db anywhere     try it on a machine without Xen

With --json each event is a line of its own, and the last line is the report.

Exit status: 0 the guest runs at the target, 1 refused by the check, 3 it failed and the guest runs
here, 4 the guest is suspended here and perhaps runs at the target: the message says what to do,
5 the guest ended meanwhile: destroyed, crashed or shut down. Anything else: nothing was begun.")]
pub struct Migrate {
    /// Domain: its number or its name
    #[arg(value_name = "DOMAIN")]
    pub domain: String,

    /// The host to migrate it to, as ssh knows it
    #[arg(value_name = "HOST")]
    pub target: String,

    /// Go although the check says wait, or no because of the costs
    #[arg(long)]
    pub force: bool,

    /// Only check, and show what would be done
    #[arg(long)]
    pub dry_run: bool,

    /// Leave it to Xen's stock policy when the guest is suspended
    #[arg(long)]
    pub unsteered: bool,

    /// Also judge the target, as `check --to` does; it needs xenmig for that
    #[arg(long, conflicts_with = "transport")]
    pub judge_target: bool,

    /// Bandwidth of the migration, as 10Gbit/s or 1GiB/s
    #[arg(long, value_name = "RATE")]
    pub bandwidth: Option<String>,

    #[command(flatten)]
    pub budget: Budget,

    /// What to do when the budget cannot be kept [default: abort]
    #[arg(long, value_name = "WHAT", help_heading = "Budget")]
    pub on_miss: Option<OnMiss>,

    #[command(flatten)]
    pub way: Way,

    #[command(flatten)]
    pub sampling: Sampling,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Transport")]
pub struct Way {
    /// Command that takes HOST and a command to run there
    #[arg(short, long, value_name = "COMMAND", default_value = "ssh")]
    pub ssh_command: String,

    /// Command that leads to a receiver started by other means; in place of ssh
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["ssh_command", "no_monitor", "pause"])]
    pub transport: Option<String>,

    /// Leave nobody at the target to wait for the death of the domain
    #[arg(short = 'e', long)]
    pub no_monitor: bool,

    /// Leave the domain paused at the target
    #[arg(short, long)]
    pub pause: bool,

    /// Have Xen verify every page, which takes much longer
    #[arg(long)]
    pub debug: bool,

    /// Migrate while the domain runs; always so, accepted for xl's sake
    #[arg(long, hide = true)]
    pub live: bool,
}

/// What to do when the budget cannot be kept, whatever is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnMiss {
    /// Give up; the domain stays here
    Abort,
    /// Give the domain less CPU time first, stepwise; then give up
    Throttle,
    /// Suspend it at the best moment that can be had
    Stop,
}

/// What does this host have, and how busy is it?
///
/// Tells what another host wants to know before a guest comes here: CPUs and memory, what is free of
/// them, the domains, Xen's version, CPU features, network bridges. Watches the CPUs for a second.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  xenmig hostinfo
  xenmig hostinfo --json --disk /dev/vg/db > target.json    for `xenmig check db --to-file`
  xenmig hostinfo --json | jq .load.free_cpus")]
pub struct Hostinfo {
    /// Also tell whether this path exists here; may be given more than once
    #[arg(long, value_name = "PATH")]
    pub disk: Vec<String>,
}

/// Which of these hosts suits a domain best?
///
/// Asks the hosts as `check --to` does, samples the domain once, and ranks the hosts: by verdict,
/// then by predicted downtime and total time, then by what they have left of CPU and memory with the
/// domain there. A host that cannot be asked comes last and does not hold up the others.
#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("candidates").required(true).multiple(true),
    after_help = "\
Examples:
  xenmig place db --hosts h2,h3,h4
  xenmig place db --hosts-files h2.json,h3.json
  xenmig migrate db \"$(xenmig place db --hosts h2,h3 --json | jq -re .best)\"

Exit status: 0 the domain may go to at least one of them now, 1 to none."
)]
pub struct Place {
    /// Domain: its number or its name
    #[arg(value_name = "DOMAIN")]
    pub domain: String,

    /// Hosts to ask, by `ssh HOST xenmig hostinfo`
    #[arg(long, value_name = "HOST,…", value_delimiter = ',', group = "candidates")]
    pub hosts: Vec<String>,

    /// Files that `xenmig hostinfo --json` wrote at hosts
    #[arg(long, value_name = "FILE,…", value_delimiter = ',', group = "candidates")]
    pub hosts_files: Vec<PathBuf>,

    #[command(flatten)]
    pub asking: Asking,

    /// Bandwidth of the migration, as 10Gbit/s or 1GiB/s
    #[arg(long, value_name = "RATE")]
    pub bandwidth: Option<String>,

    #[command(flatten)]
    pub budget: Budget,

    #[command(flatten)]
    pub sampling: Sampling,
}

/// Have `xl migrate` keep a budget
///
/// Prints the environment in which libxl's saves are steered: the guest is suspended as soon as the
/// rest can be sent within the budget. What is not given here comes from the configuration file.
/// Should anything be wrong with it, a save follows Xen's own policy, and stderr says why.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  xenmig hook                                 is it installed, and for this Xen?
  env=$(xenmig hook --print-env --downtime 300ms) && eval \"$env\" && xl migrate db target
  xenmig hook --json --on-miss throttle | jq .environment")]
pub struct Hook {
    /// Print the environment as commands for the shell
    #[arg(long)]
    pub print_env: bool,

    #[command(flatten)]
    pub budget: Budget,

    /// What happens when the budget cannot be kept [default: abort]
    #[arg(long, value_name = "WHAT", help_heading = "Budget")]
    pub on_miss: Option<OnMiss>,

    /// Append what happens in saves to this file, one JSON document a line
    #[arg(long, value_name = "FILE")]
    pub telemetry: Option<PathBuf>,
}

/// Can this host do what xenmig needs?
///
/// Looks at Xen's version, the user's rights, log-dirty support and the save helper. Exits with 1
/// when something is missing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  xenmig doctor
  xenmig doctor --json | jq '.findings[] | select(.state != \"good\")'")]
pub struct Doctor {}

/// Keep a log of every domain's dirtying, and serve metrics
///
/// The service: looks at each running domain in turn for a moment every few minutes, keeps what it
/// sees in a file that `window` reads, and serves it to Prometheus. Ends on SIGTERM or ^C, with the
/// dirty log off.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  systemctl enable --now xenmig-record      with the unit in contrib/systemd
  xenmig record --interval 1min -v          at the shell, saying what it does
  curl -s http://127.0.0.1:9817/metrics | grep predicted_downtime
  xenmig --host sim record --for 7d --store week.sqlite --listen none
                                            a simulated week, in moments")]
pub struct Record {
    /// File of the log [default: history.sqlite in the state directory]
    #[arg(long, value_name = "FILE")]
    pub store: Option<PathBuf>,

    /// From one sample of a domain to the next, as 5min
    #[arg(long, value_name = "TIME")]
    pub interval: Option<String>,

    /// How long each sample looks, as 2s
    #[arg(long, value_name = "TIME")]
    pub window: Option<String>,

    /// Where metrics are served, as 127.0.0.1:9817, or `none`
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,

    /// End after this time
    #[arg(long = "for", value_name = "TIME")]
    pub length: Option<String>,
}

/// When would a migration of this domain cost least?
///
/// Learns from what `record` has seen how the cost depends on the time of day and the day of the
/// week, and names the cheapest times within the horizon. A time of which nine in ten would not
/// keep the budget is never named; where the past has no pattern, or is too short, it says so.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  xenmig window db
  xenmig window db --downtime 300ms --horizon 2d
  xenmig window db --prometheus http://prometheus:9090
  at \"$(xenmig window db --json | jq -r '.windows[0].from' | xargs date +'%H:%M %F' -d)\" \\
    <<< 'xenmig migrate db target'")]
pub struct Window {
    /// Domain: its name or its UUID; it need not be here any more
    #[arg(value_name = "DOMAIN")]
    pub domain: String,

    /// How far to look
    #[arg(long, value_name = "TIME", default_value = "7d")]
    pub horizon: String,

    /// Windows to name
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub count: u32,

    #[command(flatten)]
    pub viewpoint: Viewpoint,
}

#[derive(Debug, Args)]
pub struct Viewpoint {
    /// What counts as now, as 2026-01-20T18:00 [default: now]
    #[arg(long, value_name = "WHEN")]
    pub at: Option<String>,

    /// Bandwidth of the migration, as 10Gbit/s or 1GiB/s
    #[arg(long, value_name = "RATE")]
    pub bandwidth: Option<String>,

    #[command(flatten)]
    pub budget: TimeBudget,

    #[command(flatten)]
    pub log: Log,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "History")]
pub struct Log {
    /// Read this log [default: history.sqlite in the state directory]
    #[arg(long, value_name = "FILE", conflicts_with = "prometheus")]
    pub store: Option<PathBuf>,

    /// Ask this Prometheus, which scrapes `record`, in place of a log
    #[arg(long, value_name = "URL")]
    pub prometheus: Option<String>,
}

/// Draw what is known of the domains into one HTML file
///
/// For each domain: what a migration would have cost by hour and weekday, when it will be cheapest,
/// how fast the domain dirties its memory, and the downtime over slower and faster links. And the
/// migrations from this host, as predicted and as they were. The file needs no other, and no
/// network. Nothing is sampled: all is from what `record` has kept. With --json the same is printed
/// as a document, and no file is written.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  xenmig report                             all domains, to xenmig-report.html
  xenmig report db web --past 14d -o db.html
  xenmig report -o - | mail -s migrations -a 'Content-Type: text/html' admin
  xenmig report --json | jq '.domains[] | [.name, .window.advice]'")]
pub struct Report {
    /// Domains: names or UUIDs [default: all that were seen]
    #[arg(value_name = "DOMAIN")]
    pub domains: Vec<String>,

    /// The file to write; - is stdout
    #[arg(short, long, value_name = "FILE", default_value = "xenmig-report.html")]
    pub output: PathBuf,

    /// How far to look back
    #[arg(long, value_name = "TIME", default_value = "28d")]
    pub past: String,

    #[command(flatten)]
    pub viewpoint: Viewpoint,
}

/// Clean up what a killed run left behind
///
/// A sampler that was killed leaves a domain's dirty log on, a steered save its cap lowered, a
/// migration perhaps a suspended domain, which is resumed if the target had no permission to run
/// it. Every command that samples does this first, with --keep-suspended.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  xenmig recover
  xenmig recover --resume db   only after you have looked at the target")]
pub struct Recover {
    /// Resume this suspended domain, which you know to run nowhere else
    #[arg(long, value_name = "DOMAIN")]
    pub resume: Option<String>,

    /// Report suspended domains but leave them as they are: for scripts, since another tool may
    /// just be saving one
    #[arg(long, conflicts_with = "resume")]
    pub keep_suspended: bool,
}

/// Which host to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostChoice {
    Xen,
    Sim,
    SimFile(PathBuf),
}

impl FromStr for HostChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "xen" => Ok(Self::Xen),
            None if text == "sim" => Ok(Self::Sim),
            Some(("sim", file)) if !file.is_empty() => Ok(Self::SimFile(PathBuf::from(file))),
            _ => Err("a host is `xen`, `sim` or `sim:FILE.toml`".to_owned()),
        }
    }
}
