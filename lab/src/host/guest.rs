//! Guests with a known workload, whose memory can be checked.

use std::time::Duration;

use super::{Host, LAB_DIR, Running};
use crate::guest::{BRIDGE, Network, Workload};
use crate::{Error, Result};

/// Virtual time a guest has to boot and to come to its steady state.
const STEADY: Duration = Duration::from_secs(180);

/// Virtual time a guest has to read back its memory.
const VERIFY: Duration = Duration::from_secs(60);

/// Leaves out self-tests, certificates and tracing that nobody uses in a
/// guest: of 12 virtual seconds of boot they take 10. And lets `xl sysrq` crash
/// the guest.
const KERNEL: &str = "cryptomgr.notests \
    initcall_blacklist=load_system_certificate_list,init_kprobe_trace sysrq_always_enabled";

/// A guest to be created.
#[derive(Debug, Clone)]
pub struct GuestSpec {
    /// Its name.
    pub name: String,
    /// Its memory.
    pub memory_mib: u32,
    /// Its virtual CPUs.
    pub vcpus: u32,
    /// What it does.
    pub workload: Workload,
    /// Seed of its random numbers.
    pub seed: u64,
    /// Pages that are checked but never written after the start.
    pub cold_pages: u32,
    /// Time between its reports, on its own clock.
    pub tick: Duration,
    /// Its network card; `None` is none.
    pub network: Option<Network>,
    /// Further lines for xl's configuration file.
    pub extra_config: String,
}

impl GuestSpec {
    /// A PVH guest with 160 MiB and one CPU.
    pub fn new(name: &str, workload: Workload) -> Self {
        Self {
            name: name.into(),
            memory_mib: 160,
            vcpus: 1,
            workload,
            seed: 1,
            cold_pages: 1024,
            tick: Duration::from_secs(5),
            network: None,
            extra_config: String::new(),
        }
    }

    /// xl's configuration of it. It stays for inspection however it ends.
    ///
    /// The time stamp counter must be emulated. After QEMU 7.2 has injected an
    /// interrupt into a guest, it injects it again if a timer or a device
    /// interrupts before the guest's next exit. An emulated counter means an
    /// exit at the start of the handler, where a second interrupt does no harm;
    /// without, it hits a kernel that holds locks, and the guest spins for ever.
    pub fn config(&self) -> String {
        let Self { name, memory_mib, vcpus, workload, seed, cold_pages, .. } = self;
        let tick = self.tick.as_secs_f64();
        let (image, words, card) = match &self.network {
            None => ("guest", String::new(), String::new()),
            Some(network) => {
                let service = network.service.map(|service| format!(" service={service}"));
                let words = format!(" address={}{}", network.address, service.unwrap_or_default());
                let card = format!("vif = [\"bridge={BRIDGE},mac={}\"]\n", network.mac());
                ("guest-net", words, card)
            }
        };
        format!(
            "name = \"{name}\"\n\
             type = \"pvh\"\n\
             kernel = \"/boot/vmlinux\"\n\
             ramdisk = \"{LAB_DIR}/{image}.img\"\n\
             cmdline = \"console=hvc0 mitigations=off nopti quiet {KERNEL} \
             workload={workload} seed={seed} cold={cold_pages} tick={tick}{words}\"\n\
             memory = {memory_mib}\n\
             vcpus = {vcpus}\n\
             tsc_mode = \"always_emulate\"\n\
             on_poweroff = \"preserve\"\n\
             on_reboot = \"preserve\"\n\
             on_crash = \"preserve\"\n\
             {card}{extra}\n",
            extra = self.extra_config
        )
    }
}

/// A guest on a host. It outlives this handle.
#[derive(Debug, Clone)]
pub struct Guest {
    /// Its name; a migration keeps it.
    pub name: String,
    /// Its number when it was created; a migration changes it, see
    /// [`Host::domid`].
    pub domid: u32,
}

/// What a guest found when it read back its memory: all as it was written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verified {
    /// Pages compared.
    pub pages: u64,
    /// Page writes since its start.
    pub writes: u64,
    /// How long its load had run when it answered, on its own clock.
    pub up: Duration,
}

impl Host {
    /// Creates a guest and waits until its workload is steady.
    ///
    /// # Errors
    /// [`Error::Command`] when xl refuses, [`Error::Guest`] when the guest does
    /// not come up.
    pub fn guest(&self, spec: &GuestSpec) -> Result<Guest> {
        let name = spec.name.as_str();
        let config = format!("{LAB_DIR}/guests/{name}.cfg");
        self.push_bytes(spec.config().as_bytes(), &config, 0o644)?;
        let create = r#"rm -f "/var/log/xen/guest-$1.log" "/var/log/xen/guest-$1--incoming.log"
            xl create -q "$2" && xl domid "$1""#;
        let domid = self.shell(create, &[name, &config])?.stdout();
        let domid = domid
            .trim()
            .parse()
            .map_err(|_| Error::Unexpected(format!("xl domid {name} said {domid:?}")))?;
        let guest = Guest { name: name.into(), domid };
        let mut console = self.console(name, STEADY)?;
        match console.line_where(|l| l.starts_with("GUEST: steady"))? {
            Some(_) => Ok(guest),
            None => Err(self.guest_error(name, "not steady in time")),
        }
    }

    /// Its console from the beginning, followed for `limit` of virtual time.
    ///
    /// # Errors
    /// As [`Host::spawn`].
    pub fn console(&self, name: &str, limit: Duration) -> Result<Running> {
        // The receiver of a migration calls the guest NAME--incoming, and the
        // console daemon names its log after that.
        let script = r#"log=/var/log/xen/guest-$1
            until [ -e "$log.log" ] || [ -e "$log--incoming.log" ]; do sleep 0.05; done
            for file in "$log.log" "$log--incoming.log"; do
                [ -e "$file" ] && set -- "$@" "$file"
            done
            limit=$2
            shift 2
            exec timeout "$limit" tail -q -n +1 -f "$@""#;
        let limit = format!("{:.3}", limit.as_secs_f64());
        let running = self.spawn(["sh", "-c", script, "console", name, &limit])?;
        running.close_stdin();
        Ok(running)
    }

    /// The present number of a guest.
    ///
    /// # Errors
    /// [`Error::Guest`] when there is none of this name.
    pub fn domid(&self, name: &str) -> Result<u32> {
        let output = self.run(["xl", "domid", name])?;
        match output.stdout().trim().parse() {
            Ok(domid) if output.status.success() => Ok(domid),
            _ => Err(self.guest_error(name, "there is no such guest")),
        }
    }

    /// Makes the guest read back all of its memory set and compare it with
    /// what it wrote.
    ///
    /// # Errors
    /// [`Error::Guest`] when a page is damaged, or the guest does not answer.
    pub fn verify(&self, name: &str) -> Result<Verified> {
        let answer = self
            .ask(name)?
            .ok_or_else(|| self.guest_error(name, "no answer to verify: dead or hung"))?;
        parse_verified(&answer)
            .ok_or_else(|| self.guest_error(name, &format!("memory is damaged: {answer}")))
    }

    /// Whether a guest of this name is here and answers, whatever the state of its memory.
    #[must_use]
    pub fn answers(&self, name: &str) -> bool {
        self.ask(name).is_ok_and(|answer| answer.is_some())
    }

    /// Its answer to `verify`, if there is one.
    fn ask(&self, name: &str) -> Result<Option<String>> {
        let domid = self.domid(name)?.to_string();
        let token = format!("{domid}.{}", self.token());
        let ask = r#"tty=$(xenstore-read "/local/domain/$1/console/tty") &&
            printf 'verify %s\n' "$2" > "$tty""#;
        self.shell(ask, &[&domid, &token])?;
        let prefix = format!("GUEST: verify {token} ");
        let mut console = self.console(name, VERIFY)?;
        let line = console.line_where(|l| l.starts_with(&prefix))?;
        Ok(line.map(|line| line[prefix.len()..].to_owned()))
    }

    /// Destroys a guest.
    ///
    /// # Errors
    /// As [`Host::run_ok`].
    pub fn destroy(&self, name: &str) -> Result<()> {
        self.run_ok(["xl", "destroy", name]).map(drop)
    }

    /// The end of a guest's console, and the host's list of domains.
    fn guest_error(&self, name: &str, what: &str) -> Error {
        let script = r#"for log in "/var/log/xen/guest-$1.log" "/var/log/xen/guest-$1--incoming.log"
            do [ -e "$log" ] && tail -n 25 "$log"; done; xl list"#;
        // The guest's error matters more than that of reading its console.
        let console = match self.run(["sh", "-c", script, "tail", name]) {
            Ok(output) => output.stdout() + &output.stderr(),
            Err(e) => format!("(not readable: {e})"),
        };
        Error::Guest { name: name.into(), what: what.into(), console }
    }
}

/// `ok pages=N writes=M up=S`.
fn parse_verified(text: &str) -> Option<Verified> {
    let (pages, rest) = text.strip_prefix("ok pages=")?.trim_end().split_once(" writes=")?;
    let (writes, up) = rest.split_once(" up=")?;
    let up = Duration::try_from_secs_f64(up.parse().ok()?).ok()?;
    Some(Verified { pages: pages.parse().ok()?, writes: writes.parse().ok()?, up })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ok_is_verified() {
        let up = Duration::from_millis(1500);
        let verified = Verified { pages: 5, writes: 9, up };
        assert_eq!(parse_verified("ok pages=5 writes=9 up=1.500"), Some(verified));
        assert_eq!(parse_verified("CORRUPT page 5: sequence 2 expected, 1 found"), None);
        assert_eq!(parse_verified("ok pages=5"), None);
    }

    #[test]
    fn the_configuration_carries_the_workload() {
        let spec = GuestSpec::new("g1", "hot:4000,2000".parse().unwrap());
        let config = spec.config();
        assert!(config.contains("workload=hot:4000,2000 seed=1 cold=1024 tick=5\""), "{config}");
        assert!(config.contains("on_crash = \"preserve\""));
        assert!(!config.contains("vif"));
    }

    #[test]
    fn the_configuration_carries_the_network() {
        let service = Some("10.77.0.1:9000,100,512".parse().unwrap());
        let network = Some(Network { address: [10, 77, 0, 2].into(), service });
        let config = GuestSpec { network, ..GuestSpec::new("g1", Workload::IDLE) }.config();
        assert!(
            config.contains("tick=5 address=10.77.0.2 service=10.77.0.1:9000,100,512\""),
            "{config}"
        );
        assert!(config.contains("vif = [\"bridge=xenbr0,mac=00:16:3e:4d:00:02\"]"), "{config}");
    }
}
