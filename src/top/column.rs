//! The columns that domains can be sorted by.

use std::cmp::Ordering;

use xenmig::policy::gate::Verdict;

use super::Row;

/// A column, in the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    Id,
    Name,
    Vcpus,
    Memory,
    Cpu,
    Dirty,
    Downtime,
    Total,
    Verdict,
}

impl Column {
    pub const ALL: [Self; 9] = [
        Self::Id,
        Self::Name,
        Self::Vcpus,
        Self::Memory,
        Self::Cpu,
        Self::Dirty,
        Self::Downtime,
        Self::Total,
        Self::Verdict,
    ];

    pub const fn title(self) -> &'static str {
        match self {
            Self::Id => "ID",
            Self::Name => "NAME",
            Self::Vcpus => "VCPU",
            Self::Memory => "MEMORY",
            Self::Cpu => "CPU",
            Self::Dirty => "PAGES/s",
            Self::Downtime => "DOWNTIME",
            Self::Total => "TOTAL",
            Self::Verdict => "VERDICT",
        }
    }

    /// The next one; after the last, the first.
    pub fn next(self) -> Self {
        let at = Self::ALL.iter().position(|column| *column == self).unwrap_or_default();
        Self::ALL[(at + 1) % Self::ALL.len()]
    }

    /// Whether the greatest is what one looks for.
    pub const fn descends(self) -> bool {
        !matches!(self, Self::Id | Self::Name | Self::Verdict)
    }

    /// How `a` and `b` follow each other. What is not known comes last either way, and equals by
    /// domid.
    pub fn compare(self, a: &Row, b: &Row, descending: bool) -> Ordering {
        let downtime = |row: &Row| row.expected().map(|expected| expected.downtime_s);
        let total = |row: &Row| row.expected().map(|expected| expected.total_s);
        let ordered = |ordering: Ordering| if descending { ordering.reverse() } else { ordering };
        let known = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => ordered(a.total_cmp(&b)),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        let ordering = match self {
            Self::Id => ordered(a.domain.id.cmp(&b.domain.id)),
            Self::Name => ordered(a.name().cmp(&b.name())),
            Self::Vcpus => ordered(a.domain.vcpus.cmp(&b.domain.vcpus)),
            Self::Memory => ordered(a.domain.memory.cmp(&b.domain.memory)),
            Self::Cpu => known(a.cpus_used(), b.cpus_used()),
            Self::Dirty => known(a.dirty_rate(), b.dirty_rate()),
            Self::Downtime => known(downtime(a), downtime(b)),
            Self::Total => known(total(a), total(b)),
            Self::Verdict => known(a.verdict().map(rank), b.verdict().map(rank)),
        };
        ordering.then(a.domain.id.cmp(&b.domain.id))
    }
}

/// What may go comes first.
fn rank(verdict: Verdict) -> f64 {
    match verdict {
        Verdict::Go => 0.0,
        Verdict::Wait => 1.0,
        Verdict::NoGo => 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::fixture;

    fn order(column: Column, descending: bool) -> Vec<String> {
        let mut rows = fixture::snapshot("builtin").rows;
        rows.sort_by(|a, b| column.compare(a, b, descending));
        rows.iter().map(Row::name).collect()
    }

    #[test]
    fn each_column_sorts() {
        assert_eq!(order(Column::Id, false), ["Domain-0", "idle", "web", "db", "batch"]);
        assert_eq!(order(Column::Name, false), ["Domain-0", "batch", "db", "idle", "web"]);
        assert_eq!(order(Column::Memory, true), ["db", "Domain-0", "batch", "web", "idle"]);
        assert_eq!(order(Column::Cpu, true)[0], "batch");
        assert_eq!(order(Column::Dirty, true)[0], "batch");
        assert_eq!(order(Column::Downtime, false)[0], "idle");
    }

    #[test]
    fn what_is_unknown_comes_last_in_either_order() {
        for descending in [false, true] {
            assert_eq!(order(Column::Total, descending)[4], "Domain-0");
        }
    }

    #[test]
    fn the_columns_go_round() {
        let round = Column::ALL.iter().fold(Column::Id, |column, _| column.next());
        assert_eq!(round, Column::Id);
        assert_eq!(Column::Id.next(), Column::Name);
    }
}
