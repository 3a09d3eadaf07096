//! `xenmig predict`: what would a migration cost, for bandwidths × budgets × policies?

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use xenmig::config::{Config, SamplingSettings, Settings};
use xenmig::dirty::{Curve, CurveFile, Ended, Plan, Sample, TraceReader};
use xenmig::history::Calibration;
use xenmig::host::Domain;
use xenmig::migrate::settings::learn;
use xenmig::model::{Costs, Format, Guest, Link, Policy, Question, Row, Subject, rows};
use xenmig::units::BytesPerSecond;
use xenmig::{Error, Kind, Result};

use super::{quantity, sampling};
use crate::cli::{self, Global, Predict};
use crate::exit;
use crate::output::{self, Style};
use crate::session::Session;

pub fn run(args: &Predict, global: &Global) -> Result<ExitCode> {
    let asked = Asked::read(args)?;
    if let Some(file) = &args.curve {
        from_curve(file, &asked, global)
    } else if let Some(file) = &args.trace {
        from_trace(file, &asked, global)
    } else {
        // clap makes sure that there is one of the three.
        from_domain(args.domain.as_deref().unwrap_or_default(), args, &asked, global)
    }
}

fn from_curve(file: &Path, asked: &Asked, global: &Global) -> Result<ExitCode> {
    let named = |kind, cause: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(kind, format!("curve {}", file.display())).because(cause)
    };
    let text = fs::read_to_string(file).map_err(|cause| named(Kind::Io, cause.into()))?;
    let curve = CurveFile::read(&text).map_err(|error| named(error.kind(), error.into()))?;
    let known = Known { settings: load(global)?.settings("", None), calibration: None };
    let about = format!("Curve {}", file.display());
    asked.answer(&about, &Subject::from(&curve), &known, global)?;
    Ok(ExitCode::SUCCESS)
}

fn from_trace(file: &Path, asked: &Asked, global: &Global) -> Result<ExitCode> {
    let (sample, damage) = TraceReader::open(file)?.into_sample()?;
    let config = load(global)?;
    let settings = config.settings(&sample.domain.name, None);
    let known = Known { settings, calibration: learn(&config, None) };
    asked.answer_sample(&sample, &known, global)?;
    // The answer rests on what could be read; that this was not all is still an error.
    damage.map_or(Ok(ExitCode::SUCCESS), Err)
}

fn from_domain(name: &str, args: &Predict, asked: &Asked, global: &Global) -> Result<ExitCode> {
    sampling::with_options(SamplingSettings::default(), &args.sampling)?;
    let session = Session::open(global)?;
    let domain = session.host().find(name)?;
    let mut settings = session.settings(&domain.name, None);
    settings.sampling = sampling::with_options(settings.sampling, &args.sampling)?;
    let known = Known { settings, calibration: session.calibration(None) };
    let plan = asked.plan(&domain, &known)?;

    let sample = sampling::take(&session, &domain, &plan, global)?;
    sampling::explain_end(&sample);
    asked.answer_sample(&sample, &known, global)?;
    let interrupted = sample.ended() == Ended::Interrupted;
    Ok(if interrupted { exit::interrupted() } else { ExitCode::SUCCESS })
}

fn load(global: &Global) -> Result<Config> {
    Config::load(global.config.as_deref())
}

/// What is known beside the curve.
struct Known {
    settings: Settings,
    calibration: Option<Calibration>,
}

impl Known {
    /// What the hosts add.
    fn costs(&self) -> Costs {
        self.settings.costs.over(self.calibration.map_or_else(Costs::default, |c| c.costs))
    }
}

/// The question on the command line.
struct Asked {
    bandwidths: Vec<BytesPerSecond>,
    /// `None` within is unlimited.
    budgets: Vec<Option<Duration>>,
    policies: Vec<Policy>,
    deadline: Duration,
}

impl Asked {
    fn read(args: &Predict) -> Result<Self> {
        let bandwidth = |text: &String| quantity::bandwidth("--bandwidth", text);
        let budget = |text: &String| quantity::time_limit("--downtime", text);
        let policy = |policy: &cli::Policy| match policy {
            cli::Policy::Stock => Policy::Stock,
            cli::Policy::Budget => Policy::Budget,
        };
        let both = || vec![Policy::Stock, Policy::Budget];
        Ok(Self {
            bandwidths: args.bandwidth.iter().map(bandwidth).collect::<Result<_>>()?,
            budgets: args.downtime.iter().map(budget).collect::<Result<_>>()?,
            policies: match args.policy.as_slice() {
                [] => both(),
                named => named.iter().map(policy).collect(),
            },
            deadline: quantity::time("--deadline", &args.deadline)?,
        })
    }

    /// The bandwidths that were asked for, or else the one that is known.
    fn bandwidths(&self, known: &Known) -> Result<Vec<BytesPerSecond>> {
        let learnt = known.calibration.map(|calibration| calibration.bandwidth);
        match (self.bandwidths.as_slice(), known.settings.bandwidth.or(learnt)) {
            ([], None) => Err(Error::new(Kind::Usage, "the link's bandwidth is not known")
                .hint("give --bandwidth, as 10Gbit/s, or set link.bandwidth in the configuration")),
            ([], Some(bandwidth)) => Ok(vec![bandwidth]),
            (asked, _) => Ok(asked.to_vec()),
        }
    }

    /// Windows long enough for the slowest link.
    fn plan(&self, domain: &Domain, known: &Known) -> Result<Plan> {
        let guest = Guest::from(domain);
        let first_round = |bandwidth: &BytesPerSecond| {
            let link = Link { bandwidth: *bandwidth, format: Format::XEN, costs: known.costs() };
            link.round_s(&guest.everything(), guest.p2m_size)
        };
        let longest = self.bandwidths(known)?.iter().map(first_round).fold(0.0, f64::max);
        let longest = Duration::try_from_secs_f64(longest).ok();
        Ok(known.settings.sampling.plan_for(longest))
    }

    fn answer_sample(&self, sample: &Sample, known: &Known, global: &Global) -> Result<()> {
        let domain = &sample.domain;
        let curves = Curve::all_measured(&sample.windows, domain.memory);
        let curve = Curve::mean(&curves).ok_or_else(|| match sample.ended() {
            Ended::Interrupted => sampling::interrupted(),
            _ => Error::new(Kind::Data, "the sample ended before anything was seen"),
        })?;
        let about = format!("{}, {} windows", output::text::about(domain), curves.len());
        let (guest, costs) = (Guest::from(domain), known.costs().beside(sample));
        let subject = Subject { guest, format: Format::XEN, costs, curve };
        self.answer(&about, &subject, known, global)
    }

    fn answer(&self, about: &str, subject: &Subject, known: &Known, global: &Global) -> Result<()> {
        let rows = self.rows(subject, known)?;
        output::print(&if global.json {
            output::json::predict(&rows)?
        } else {
            output::text::predict(about, &rows, Style::stdout())
        })
    }

    /// A row for each bandwidth, within it for each budget, within it for each policy.
    fn rows(&self, subject: &Subject, known: &Known) -> Result<Vec<Row>> {
        let budgets = match self.budgets.as_slice() {
            [] => vec![known.settings.budget.downtime],
            asked => asked.to_vec(),
        };
        let mut all = Vec::new();
        for bandwidth in self.bandwidths(known)? {
            for budget in &budgets {
                let question = |policy: &Policy| Question {
                    bandwidths: vec![bandwidth],
                    budgets: vec![*budget],
                    policy: *policy,
                    deadline: self.deadline,
                };
                let asked = self.policies.iter().map(question);
                all.extend(asked.flat_map(|question| rows(subject, &question)));
            }
        }
        Ok(all)
    }
}
