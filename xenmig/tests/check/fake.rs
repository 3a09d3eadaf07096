//! A host that exists only here.

use std::cell::{Cell, RefCell};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use xenmig::dirty::Bitmap;
use xenmig::host::{
    CpuTimes, DirtyLog, DomId, Domain, Finding, GuestType, Host, HostInfo, Now, Peek, Recovered,
    Recovery, RunState, Setup, Transfer, Uuid, Wake,
};
use xenmig::units::{Bytes, Pages};
use xenmig::{Error, Kind, Result};

/// A host with one guest that dirties `rate` pages a second.
pub struct Fake {
    pub domain: Domain,
    pub setup: Result<Setup, Kind>,
    /// What `transfer` answers, first to last; then nothing.
    pub transfers: RefCell<Vec<Transfer>>,
    pub rate: f64,
    /// Sampling fails so.
    pub log: Option<Kind>,
    /// The domain is gone after so many windows.
    pub gone_after: u32,
    pub logs: Cell<u32>,
    pub now: Cell<Duration>,
}

pub fn fake() -> Fake {
    Fake {
        domain: Domain {
            id: DomId(3),
            name: "web".to_owned(),
            uuid: Uuid([2; 16]),
            guest_type: GuestType::Pvh,
            state: RunState::Running,
            memory: Pages(40_960),
            max_memory: Pages(40_960),
            p2m_size: Pages(40_960),
            vcpus: 2,
            hap: true,
        },
        setup: Ok(Setup { can_suspend: Some(true), ..Setup::default() }),
        transfers: RefCell::default(),
        rate: 100.0,
        log: None,
        gone_after: u32::MAX,
        logs: Cell::new(0),
        now: Cell::new(Duration::ZERO),
    }
}

pub fn no_domain() -> Error {
    Error::new(Kind::NoSuchDomain, "there is no domain 3")
}

impl Host for Fake {
    fn info(&self) -> Result<HostInfo> {
        Ok(HostInfo {
            xen_version: "4.17.7".to_owned(),
            built_for: "4.17".to_owned(),
            cpus: 2,
            memory: Bytes(8 << 30),
            free_memory: Bytes(4 << 30),
            scheduler: "credit2".to_owned(),
            hap: true,
            shadow: Some(false),
        })
    }

    fn domains(&self) -> Result<Vec<Domain>> {
        Ok(vec![self.domain.clone()])
    }

    fn domain(&self, id: DomId) -> Result<Domain> {
        let here = id == self.domain.id && self.logs.get() < self.gone_after;
        here.then(|| self.domain.clone()).ok_or_else(no_domain)
    }

    fn setup(&self, _: DomId) -> Result<Setup> {
        self.setup.clone().map_err(|kind| Error::new(kind, "no setup"))
    }

    fn transfer(&self, _: DomId) -> Result<Option<Transfer>> {
        let mut left = self.transfers.borrow_mut();
        Ok((!left.is_empty()).then(|| left.remove(0)))
    }

    fn cpu_times(&self, _: DomId) -> Result<CpuTimes> {
        let (at, half) = (self.now.get(), self.now.get() / 2);
        Ok(CpuTimes { at, vcpus: vec![half, at / 4], idle: vec![half, at] })
    }

    fn now(&self) -> Now {
        Now { monotonic: self.now.get(), unix_s: 0 }
    }

    fn pause(&self, time: Duration, _: &AtomicBool) -> bool {
        self.now.set(self.now.get() + time);
        true
    }

    fn dirty_log<'a>(&'a self, _: DomId, _: &'a AtomicBool) -> Result<Box<dyn DirtyLog + 'a>> {
        if let Some(kind) = self.log {
            return Err(Error::new(kind, "no log"));
        }
        self.logs.set(self.logs.get() + 1);
        Ok(Box::new(Log { host: self, on: self.now.get(), at: Duration::ZERO }))
    }

    fn findings(&self) -> Vec<Finding> {
        Vec::new()
    }

    fn recover(&self, _: Recovery) -> Result<Vec<Recovered>> {
        Ok(Vec::new())
    }
}

struct Log<'a> {
    host: &'a Fake,
    on: Duration,
    at: Duration,
}

impl DirtyLog for Log<'_> {
    fn wait_until(&mut self, at: Duration) -> Result<Wake> {
        self.at = at;
        self.host.now.set(self.on + at);
        Ok(Wake::Due)
    }

    fn peek(&mut self) -> Result<Peek> {
        if self.host.logs.get() >= self.host.gone_after {
            return Err(no_domain());
        }
        let pages = self.host.rate * self.at.as_secs_f64();
        Ok(Peek { at: self.at, dirty: Pages((pages as u64).min(40_960)) })
    }

    fn peek_bitmap(&mut self, _: &mut Bitmap) -> Result<Peek> {
        self.peek()
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
