//! What `xenmig migrate --json` told of a migration.

use serde_json::Value;

/// Its lines: events, and the report at the end.
#[derive(Debug, Clone)]
pub(super) struct Account(Vec<Value>);

impl Account {
    /// Reads what it printed; lines that are not JSON are left out.
    pub(super) fn read(text: &str) -> Self {
        Self(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// The report, or null.
    pub(super) fn report(&self) -> &Value {
        self.0.last().unwrap_or(&Value::Null)
    }

    /// The last event with this decision.
    pub(super) fn decided(&self, decision: &str) -> Option<&Value> {
        self.0.iter().rfind(|line| line["decision"] == decision)
    }

    /// The downtime that it expected when it stopped, in seconds.
    pub(super) fn expected_downtime_s(&self) -> Option<f64> {
        self.decided("stop_and_copy")?["expected_downtime_s"].as_f64()
    }
}
