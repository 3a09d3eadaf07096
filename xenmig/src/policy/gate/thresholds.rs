//! The numbers the gate's rules compare with, each with its source.

use glob::Pattern;

use crate::units::Bytes;

/// Where the gate draws its lines. The defaults are [`Thresholds::default`]; each field says where
/// its default comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// CPUs' worth of time that others than the guest have to leave free, so that neither save nor
    /// downtime takes longer. Default 0.65: measured, where the first of them is a quarter longer
    /// (docs/paper, figure 5). In the paper another guest's load shows from 60 % of a CPU on in total
    /// time, and from 90 % on in downtime.
    pub free_cpus_without_guest: f64,
    /// CPUs' worth of time that have to be free while the guest runs, so that the save takes no
    /// longer; the downtime does not depend on it. Default 0.35: measured, where the save is a quarter
    /// longer (docs/paper, figure 3). In the paper the guest's load shows from 60 % on.
    pub free_cpus: f64,
    /// How many times longer than the sampled window the prediction may look before it counts as
    /// uncertain. Default 4: W(t) grows no faster than linearly, so the pages of a round four
    /// windows long are at most four times those seen.
    pub max_extrapolation: f64,
    /// Complete windows below which a spread says nothing. Default 2: one value has no spread.
    pub min_windows: u32,
    /// A limit counts as kept with ease when the 90 % quantile is at most this share of it; then
    /// an uncertain prediction does not hold a migration up. Default 0.5, a factor of two: our
    /// choice, larger than the worst published errors of prediction (XEN-FACTS.md).
    pub ease: f64,
    /// Share of the round before that a round may be and still count as getting smaller. Default
    /// 0.9: our choice; at 1 no amount of rounds helps.
    pub convergence: f64,
    /// Share of the guest's memory sent again from which on that is worth telling. Default 0.35:
    /// measured, where total time is a quarter longer (docs/paper, figure 7).
    pub resent: f64,
    /// Share of the downtime that the mere size of the guest may take before that is told. Default
    /// 0.2: our choice; in the paper's figure 6 downtime does not grow with memory at all.
    pub size_in_downtime: f64,
    /// Memory above its target from which on the balloon counts as in flight. Default 32 MiB:
    /// twice the 16 MiB of video memory that libxl gives an HVM guest besides its target.
    pub balloon_slack: Bytes,
    /// Paths of this host that the target sees too, as patterns. Disks on them hold nothing up.
    /// Default: what is network storage by its name: `/dev/drbd*`, `/dev/rbd*`,
    /// `/dev/mapper/mpath*`, `/dev/disk/by-path/*-iscsi-*`, `/dev/disk/by-path/*-fc-*`.
    pub shared_storage: Vec<Pattern>,
}

impl Default for Thresholds {
    fn default() -> Self {
        let network = [
            "/dev/drbd*",
            "/dev/rbd*",
            "/dev/mapper/mpath*",
            "/dev/disk/by-path/*-iscsi-*",
            "/dev/disk/by-path/*-fc-*",
        ];
        Self {
            free_cpus_without_guest: 0.65,
            free_cpus: 0.35,
            max_extrapolation: 4.0,
            min_windows: 2,
            ease: 0.5,
            convergence: 0.9,
            resent: 0.35,
            size_in_downtime: 0.2,
            balloon_slack: Bytes(32 << 20),
            shared_storage: network.iter().filter_map(|text| Pattern::new(text).ok()).collect(),
        }
    }
}

impl Thresholds {
    /// Whether the target sees this disk too. `disk` may name the device before its path.
    #[must_use]
    pub fn is_shared(&self, disk: &str) -> bool {
        let path = disk.find('/').map_or(disk, |at| &disk[at..]);
        self.shared_storage.iter().any(|pattern| pattern.matches(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_patterns_are_all_valid() {
        assert_eq!(Thresholds::default().shared_storage.len(), 5);
    }

    #[test]
    fn a_path_is_shared_when_a_pattern_says_so() {
        let mut thresholds = Thresholds::default();
        assert!(thresholds.is_shared("/dev/drbd0"));
        assert!(thresholds.is_shared("xvda: /dev/drbd/by-res/db"));
        assert!(!thresholds.is_shared("xvda: /srv/images/db.img"));
        thresholds.shared_storage.push(Pattern::new("/srv/images/*").unwrap());
        assert!(thresholds.is_shared("xvda: /srv/images/db.img"));
    }
}
