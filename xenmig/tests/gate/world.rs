//! A guest that nothing speaks against, and how to change one fact of it.

use std::time::Duration;

use xenmig::dirty::{Ended, Sample, Window};
use xenmig::host::{
    CpuFeatures, DomId, Domain, Equipment, FeatureSet, GuestType, HostInfo, RunState, Setup,
    Transfer, Uuid,
};
use xenmig::inventory::{Capacity, Disk, Hypervisor, Inventory, Load, Resident};
use xenmig::model::{Costs, End, Outcome, Prediction, Quantiles, Round};
use xenmig::policy::Budget;
use xenmig::policy::gate::{Facts, Judgement, Sampling, Target, Thresholds, judge};
use xenmig::units::{Bytes, BytesPerSecond, Pages};
use xenmig::{Error, Kind};

/// Facts that can be changed one by one. As it begins, nothing speaks against the migration.
pub struct World {
    pub domain: Domain,
    pub setup: Option<Setup>,
    pub transfer: Option<Transfer>,
    pub host: HostInfo,
    /// Where it is to go: a host like this one.
    pub inventory: Option<Inventory>,
    pub here: Equipment,
    pub given: Option<FeatureSet>,
    pub sample: Option<Sample>,
    pub error: Option<Error>,
    pub prediction: Option<Prediction>,
    pub downtime_enforced: bool,
    pub bandwidth: Option<BytesPerSecond>,
    pub costs: Option<Costs>,
    pub budget: Budget,
    pub thresholds: Thresholds,
}

const MEMORY: Pages = Pages(40_960);

impl World {
    pub fn calm() -> Self {
        let domain = Domain {
            id: DomId(7),
            name: "web".to_owned(),
            uuid: Uuid([1; 16]),
            guest_type: GuestType::Pvh,
            state: RunState::Running,
            memory: MEMORY,
            max_memory: MEMORY,
            p2m_size: Pages(1_044_480),
            vcpus: 2,
            hap: true,
        };
        let window = Window {
            points: vec![(Duration::from_secs(1), Pages(100))],
            ended: Ended::Complete,
            vcpu_utilisation: vec![0.1, 0.3],
            host_cpu_utilisation: Some(0.2),
            host_cpus: Some(4),
        };
        let sample =
            Sample { domain: domain.clone(), windows: vec![window; 3], bitmaps: Vec::new() };
        Self {
            domain,
            setup: Some(Setup {
                can_suspend: Some(true),
                bridges: vec!["xenbr0".to_owned()],
                disk_paths: vec!["/dev/drbd0".to_owned()],
                ..Setup::default()
            }),
            transfer: None,
            host: HostInfo {
                xen_version: "4.17.7".to_owned(),
                built_for: "4.17".to_owned(),
                cpus: 4,
                memory: Bytes(8 << 30),
                free_memory: Bytes(4 << 30),
                scheduler: "credit2".to_owned(),
                hap: true,
                shadow: Some(false),
            },
            inventory: Some(target()),
            here: Equipment {
                name: "h1".to_owned(),
                cpu_features: features("f:f"),
                bridges: vec!["xenbr0".to_owned(), "xenbr1".to_owned()],
                dom0_gives_memory: Some(false),
            },
            given: Some(set("7:7")),
            sample: Some(sample),
            error: None,
            prediction: Some(prediction(1.6, 0.1, &[40_960.0, 60.0, 8.0])),
            downtime_enforced: false,
            bandwidth: BytesPerSecond::new(125e6),
            costs: Some(Costs::default()),
            budget: Budget {
                downtime: Some(Duration::from_secs(1)),
                total: Some(Duration::from_secs(10)),
                bytes: Some(Bytes(1 << 30)),
            },
            thresholds: Thresholds {
                free_cpus_without_guest: 0.7,
                free_cpus: 0.25,
                ..Thresholds::default()
            },
        }
    }

    pub fn judge(&self) -> Judgement {
        judge(&Facts {
            domain: &self.domain,
            setup: self.setup.as_ref(),
            transfer: self.transfer.as_ref(),
            host: &self.host,
            target: self.inventory.as_ref().map(|inventory| Target {
                inventory,
                here: &self.here,
                given: self.given.as_ref(),
            }),
            sampling: match (&self.error, &self.sample) {
                (Some(error), _) => Sampling::Failed(error),
                (None, Some(sample)) => Sampling::Taken(sample),
                (None, None) => Sampling::NotTried,
            },
            bandwidth: self.bandwidth,
            costs: self.costs,
            prediction: self.prediction.as_ref(),
            downtime_enforced: self.downtime_enforced,
            budget: &self.budget,
            thresholds: &self.thresholds,
        })
    }

    pub fn setup(&mut self) -> &mut Setup {
        self.setup.as_mut().expect("the calm world has a setup")
    }

    pub fn target(&mut self) -> &mut Inventory {
        self.inventory.as_mut().expect("the calm world has a target")
    }

    pub fn predicted(&mut self) -> &mut Prediction {
        self.prediction.as_mut().expect("the calm world has a prediction")
    }

    pub fn windows(&mut self) -> &mut Vec<Window> {
        &mut self.sample.as_mut().expect("the calm world has a sample").windows
    }

    /// Sampling ended with an error, so there is no prediction.
    pub fn fail(&mut self, kind: Kind) {
        self.error = Some(Error::new(kind, "sampling said no"));
        self.prediction = None;
    }

    pub fn cpu(&mut self, guest: f64, host: f64) {
        for window in self.windows() {
            window.vcpu_utilisation = vec![guest, guest];
            window.host_cpu_utilisation = Some(host);
        }
    }
}

/// A host with 3 of 4 CPUs and 4 of 8 GiB free.
fn target() -> Inventory {
    let resident = |domid: u16, name: &str, used_cpus: f64| Resident {
        domid,
        name: name.to_owned(),
        uuid: Uuid([domid as u8; 16]).to_string(),
        vcpus: 2,
        memory_bytes: 2 << 30,
        used_cpus,
    };
    Inventory {
        name: "h2".to_owned(),
        xen: Hypervisor {
            version: "4.17.2".to_owned(),
            scheduler: "credit2".to_owned(),
            hap: true,
            shadow: Some(false),
        },
        capacity: Capacity {
            cpus: 4,
            memory_bytes: 8 << 30,
            free_memory_bytes: 4 << 30,
            dom0_gives_memory: Some(false),
        },
        load: Load {
            window_s: 1.0,
            cpu_utilisation: Some(0.25),
            free_cpus: Some(3.0),
            domains: vec![resident(0, "Domain-0", 0.1), resident(5, "db", 0.9)],
        },
        cpu_features: features("f:f"),
        bridges: vec!["xenbr0".to_owned()],
        disks: vec![Disk { path: "/dev/drbd0".to_owned(), exists: true }],
    }
}

pub fn set(words: &str) -> FeatureSet {
    words.parse().expect("it is a featureset")
}

/// Guests of any type get `words` at most, and by default all of it but the first bit of each.
pub fn features(words: &str) -> CpuFeatures {
    let most = Some(set(words));
    let default = Some(set(words).without(&set("1:1")));
    CpuFeatures {
        host: most.clone(),
        pv: default.clone(),
        hvm: default,
        pv_max: most.clone(),
        hvm_max: most,
    }
}

/// One without any spread.
pub fn prediction(total_s: f64, downtime_s: f64, pages: &[f64]) -> Prediction {
    let round = |pages: &f64| Round { pages: *pages, bytes: pages * 4104.0, s: pages * 4e-5 };
    let rounds: Vec<_> = pages.iter().map(round).collect();
    let bytes = rounds.iter().map(|round| round.bytes).sum();
    let sure = |value| Quantiles { p10: value, p50: value, p90: value };
    Prediction {
        expected: Outcome { end: End::Moved, total_s, downtime_s, bytes, rounds, horizon_s: 1.4 },
        total_s: sure(total_s),
        downtime_s: sure(downtime_s),
        bytes: sure(bytes),
        horizon: Duration::from_millis(1400),
        sampled: Duration::from_secs(2),
    }
}

pub fn spread(p10: f64, p50: f64, p90: f64) -> Quantiles {
    Quantiles { p10, p50, p90 }
}
