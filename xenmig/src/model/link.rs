//! What a set of pages costs to send: the guest's make-up, the stream's format, the bandwidth and
//! what the host itself adds.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::dirty::{CurveFile, Sample};
use crate::host::{Domain, GuestType};
use crate::units::{BytesPerSecond, PAGE_SIZE, Pages};

/// The memory of a guest, as the save loop sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guest {
    /// Pages the guest really has.
    pub populated: Pages,
    /// One above its highest pfn. What is not populated is holes: they cost a pfn each, in the
    /// first round only. For PV guests the same as `populated`.
    pub p2m_size: Pages,
    /// Populated pages that are sent as a header only, because they hold zeroes. 0 for Xen, which
    /// does not look.
    pub zero: Pages,
    /// Pages that cannot be sent while the guest runs, and go with the final set besides what is
    /// dirty then (PV: page tables that change under the sender's eyes).
    pub deferred: Pages,
}

impl Guest {
    /// A Xen guest. A `p2m_size` below `populated` counts as equal to it.
    #[must_use]
    pub fn new(populated: Pages, p2m_size: Pages) -> Self {
        let p2m_size = p2m_size.max(populated);
        Self { populated, p2m_size, zero: Pages(0), deferred: Pages(0) }
    }

    /// All there is to send, as the first round does.
    #[must_use]
    pub fn everything(&self) -> Load {
        Load {
            pages: (self.populated - self.zero).0 as f64,
            zero: self.zero.0 as f64,
            holes: (self.p2m_size - self.populated).0 as f64,
        }
    }
}

impl From<&Domain> for Guest {
    /// PV guests have no holes worth counting: their p2m is as long as their memory.
    fn from(domain: &Domain) -> Self {
        match domain.guest_type {
            GuestType::Pv => Self::new(domain.memory, domain.memory),
            GuestType::Pvh | GuestType::Hvm => Self::new(domain.memory, domain.p2m_size),
        }
    }
}

impl From<&CurveFile> for Guest {
    fn from(file: &CurveFile) -> Self {
        let zero = Pages(file.zero_pages);
        Self { zero, ..Self::new(Pages(file.total_pages), Pages(file.total_pages)) }
    }
}

/// Pfns to send.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// Pages that go with their contents.
    pub pages: f64,
    /// Pages that go as a header only.
    pub zero: f64,
    /// Pfns without a page.
    pub holes: f64,
}

impl Load {
    /// Dirtied pages: all populated, none elided.
    #[must_use]
    pub fn dirtied(pages: f64) -> Self {
        Self { pages, ..Self::default() }
    }

    /// Everything a header is sent for.
    #[must_use]
    pub fn pfns(&self) -> f64 {
        self.pages + self.zero + self.holes
    }
}

/// How pages are written to the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Contents of a page, in bytes.
    pub page_size: u64,
    /// What goes with every pfn, in bytes.
    pub pfn_header: u64,
    /// Most pfns of a batch; 0 when there are no batches.
    pub batch: u64,
    /// What goes with every batch, in bytes.
    pub batch_header: u64,
}

impl Format {
    /// Xen's migration stream, version 2 and 3 (docs/specs/libxc-migration-stream.pandoc): a
    /// PAGE_DATA record has a header of 8 bytes, a count and padding of 8 bytes, 8 bytes per pfn,
    /// and the contents of those pfns that have any. `MAX_BATCH_SIZE` in
    /// tools/libs/guest/xg_save_restore.h is 1024. All lengths are multiples of 8, so records need
    /// no padding.
    pub const XEN: Self =
        Self { page_size: PAGE_SIZE, pfn_header: 8, batch: 1024, batch_header: 16 };

    /// Bytes on the wire for `load`, as (batch headers and what belongs to pages, what belongs to
    /// holes). The last batch may be a part of one.
    #[must_use]
    pub fn bytes(&self, load: &Load) -> (f64, f64) {
        let header = self.pfn_header as f64;
        let batches = if self.batch == 0 {
            0.0
        } else {
            (load.pfns() / self.batch as f64).ceil() * self.batch_header as f64
        };
        let pages = load.pages * self.page_size as f64 + (load.pages + load.zero) * header;
        (pages + batches, load.holes * header)
    }
}

impl From<&CurveFile> for Format {
    /// No batches: the file says all there is to say about its hypervisor's stream.
    fn from(file: &CurveFile) -> Self {
        Self {
            page_size: file.page_size_bytes,
            pfn_header: file.page_header_bytes,
            batch: 0,
            batch_header: 0,
        }
    }
}

/// What the two hosts add to the time on the wire. All zero by default: such costs count only
/// when they were given or calibrated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Costs {
    /// Start of the save to its first page on the wire.
    #[serde(rename = "start_s", with = "seconds")]
    pub start: Duration,
    /// Each round: CLEAN and the like, whatever the size of the guest. The guest runs meanwhile.
    #[serde(rename = "per_round_s", with = "seconds")]
    pub per_round: Duration,
    /// Each round, for each pfn below the p2m's size: copying and scanning the bitmap. Seconds.
    #[serde(rename = "per_p2m_page_s", deserialize_with = "seconds::not_negative")]
    pub per_p2m_page: f64,
    /// The sender's CPU time for a populated page: look up, map, copy, unmap. Seconds. The link
    /// works meanwhile, so the slower of the two counts.
    #[serde(rename = "per_page_s", deserialize_with = "seconds::not_negative")]
    pub per_page: f64,
    /// The sender's CPU time for a hole. Seconds.
    #[serde(rename = "per_hole_s", deserialize_with = "seconds::not_negative")]
    pub per_hole: f64,
    /// Asking the guest to suspend, until it is: it runs and dirties pages meanwhile. Counts
    /// towards the total time, not the downtime.
    #[serde(rename = "suspend_request_s", with = "seconds")]
    pub suspend_request: Duration,
    /// Pages in the final set that no dirtying of the workload explains: what the guest's kernel
    /// writes while it suspends, and the frames mapped elsewhere, which Xen's last CLEAN counts as
    /// dirty (`hvm_mapped_guest_frames_mark_dirty` in xen/arch/x86/hvm/hvm.c).
    pub suspend_pages: f64,
    /// All of the downtime but sending the final set: end of the suspend handshake, tail of the
    /// stream, devices, resumption at the target.
    #[serde(rename = "finish_s", with = "seconds")]
    pub finish: Duration,
}

/// How much of a CPU a sender, which is one busy thread, gets on a host of `cpus` whose others use
/// `busy` (0 to 1) of them: what they leave free, and no less than its fair share beside as many of
/// them as there are CPUs. 1 where either is unknown.
#[must_use]
pub fn sender_share(cpus: Option<u32>, busy: Option<f64>) -> f64 {
    let (Some(cpus), Some(busy)) = (cpus, busy) else {
        return 1.0;
    };
    let cpus = f64::from(cpus.max(1));
    (cpus * (1.0 - busy)).clamp(cpus / (cpus + 1.0), 1.0)
}

impl Costs {
    /// The same on the host of `sample`, as busy as it was then; see [`sender_share`].
    #[must_use]
    pub fn beside(self, sample: &Sample) -> Self {
        self.at_share(sender_share(sample.host_cpus(), sample.host_cpu_utilisation()))
    }

    /// The same for a sender that gets `share` of a CPU: what they say of its CPU time takes longer.
    #[must_use]
    pub fn at_share(self, share: f64) -> Self {
        Self {
            per_round: self.per_round.div_f64(share),
            per_p2m_page: self.per_p2m_page / share,
            per_page: self.per_page / share,
            per_hole: self.per_hole / share,
            ..self
        }
    }
}

/// Durations as a number of seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(time.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(D::Error::custom)
    }

    /// For what is too short for a [`Duration`].
    pub(super) fn not_negative<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        let seconds = f64::deserialize(from)?;
        let sound = seconds.is_finite() && seconds >= 0.0;
        sound.then_some(seconds).ok_or_else(|| D::Error::custom("a time is not below 0"))
    }
}

/// The way from source to target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// What the network carries.
    pub bandwidth: BytesPerSecond,
    /// How pages are written.
    pub format: Format,
    /// What the hosts add.
    pub costs: Costs,
}

impl Link {
    /// Bytes on the wire for `load`.
    #[must_use]
    pub fn bytes(&self, load: &Load) -> f64 {
        let (pages, holes) = self.format.bytes(load);
        pages + holes
    }

    /// Seconds that a round with this `load` takes, for a guest of `p2m_size`. Pages and holes lie
    /// apart in a guest, so for each the slower of network and sender counts by itself.
    #[must_use]
    pub fn round_s(&self, load: &Load, p2m_size: Pages) -> f64 {
        let (rate, costs) = (self.bandwidth.get(), &self.costs);
        let (page_bytes, hole_bytes) = self.format.bytes(load);
        let pages = (page_bytes / rate).max(costs.per_page * (load.pages + load.zero));
        let holes = (hole_bytes / rate).max(costs.per_hole * load.holes);
        let fixed = costs.per_round.as_secs_f64() + costs.per_p2m_page * p2m_size.0 as f64;
        pages + holes + fixed
    }
}
