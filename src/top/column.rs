//! The columns of the table.

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
}
