//! What the gate answers: a verdict with its reasons.

use serde::Serialize;
use serde_json::Value;

use super::Conclusion;

/// May the migration start?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Yes.
    Go,
    /// Not now; later or with more known, perhaps.
    Wait,
    /// No; waiting does not help.
    NoGo,
}

/// What a reason does to the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Nothing; worth knowing.
    Info,
    /// It makes the verdict `wait`, unless another blocks.
    Wait,
    /// It makes the verdict `no-go`.
    Block,
}

/// One reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    /// Stable word for scripts: `pci-passthrough`.
    pub code: &'static str,
    /// What it does to the verdict.
    pub severity: Severity,
    /// What was found, one sentence without a full stop.
    pub message: String,
    /// The facts it rests on, as a JSON object whose fields carry their units.
    pub evidence: Value,
    /// What the user can do.
    pub advice: String,
}

/// The gate's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// May the migration start?
    pub verdict: Verdict,
    /// Why; those that weigh most come first, otherwise in the order of [`super::RULES`].
    pub reasons: Vec<Reason>,
}

impl Judgement {
    /// Draws the verdict from `reasons`, and sorts them by severity.
    pub(super) fn from_reasons(mut reasons: Vec<Reason>) -> Self {
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.severity));
        let verdict = match reasons.first().map(|reason| reason.severity) {
            Some(Severity::Block) => Verdict::NoGo,
            Some(Severity::Wait) => Verdict::Wait,
            Some(Severity::Info) | None => Verdict::Go,
        };
        Self { verdict, reasons }
    }

    /// The reason with this code, if it was given.
    #[must_use]
    pub fn reason(&self, code: &str) -> Option<&Reason> {
        self.reasons.iter().find(|reason| reason.code == code)
    }
}

/// A reason that does not know its code yet: what a rule returns.
pub(super) struct Fired {
    severity: Severity,
    message: String,
    evidence: Value,
    advice: String,
}

impl Fired {
    pub(super) fn new(severity: Severity, message: impl Into<String>) -> Self {
        let evidence = Value::Object(serde_json::Map::new());
        Self { severity, message: message.into(), evidence, advice: String::new() }
    }

    pub(super) fn block(message: impl Into<String>) -> Self {
        Self::new(Severity::Block, message)
    }

    pub(super) fn wait(message: impl Into<String>) -> Self {
        Self::new(Severity::Wait, message)
    }

    pub(super) fn info(message: impl Into<String>) -> Self {
        Self::new(Severity::Info, message)
    }

    pub(super) fn evidence(mut self, evidence: Value) -> Self {
        self.evidence = evidence;
        self
    }

    pub(super) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }

    pub(super) fn into_reason(self, code: &'static str, conclusion: Option<Conclusion>) -> Reason {
        let Self { severity, mut message, evidence, advice } = self;
        if let Some(conclusion) = conclusion {
            message += &format!(" ({conclusion})");
        }
        Reason { code, severity, message, evidence, advice }
    }
}
