//! What the paper concludes about live migration under Xen (E. Semenov, D. Versick, D. Tavangarian,
//! *Ansätze zur Reduktion der Live-Migrationsdauer virtueller Maschinen*), as its text letters it.

use std::fmt;

/// One conclusion of the paper. Each has a rule of the gate, see [`super::RULES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Conclusion {
    /// Load inside the guest does not matter until the host runs out of CPU; then total time grows.
    A,
    /// Downtime hardly depends on the guest's load or on the size of its memory.
    B,
    /// Total time is linear in the size of the memory.
    C,
    /// Many modified pages lengthen total time and downtime.
    D,
    /// Two heavily loaded guests do not belong on one busy host.
    E,
    /// A guest that modifies pages is best migrated when it modifies fewest.
    F,
    /// With too many modifications for the time they have, do not migrate.
    G,
}

impl Conclusion {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::A, Self::B, Self::C, Self::D, Self::E, Self::F, Self::G];
}

/// As in `paper, conclusion e`.
impl fmt::Display for Conclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self {
            Self::A => 'a',
            Self::B => 'b',
            Self::C => 'c',
            Self::D => 'd',
            Self::E => 'e',
            Self::F => 'f',
            Self::G => 'g',
        };
        write!(f, "paper, conclusion {letter}")
    }
}
