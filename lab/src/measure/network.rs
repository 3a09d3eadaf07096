//! Migrations between two hosts over an emulated network: the outage that a receiver outside of
//! both sees in the guest's datagrams, beside the downtime that xenmig states.
//!
//! The hosts' virtual clocks are kept together ([`in_step`]) and read all the time, so that what
//! the receiver saw on this machine's clock can be told on the source's, which is xenmig's.

mod crossing;
mod outage;
mod page;

use std::net::{SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use self::crossing::{Crossing, Seen, last_line};
use self::outage::receive;
use super::Programs;
use super::account::Account;
use crate::guest::{Network, Service};
use crate::{Error, GuestSpec, Host, HostBuilder, Lan, Result, XenVersion, in_step};

const WORKLOAD: &str = "hot:1500,600";
const MEMORY_MIB: u32 = 96;
/// Guests that may hang, as the emulator makes them now and then. They are counted, not explained.
const HUNG: usize = 4;
/// The guest's datagrams in a second, and bytes of one.
const SERVICE: (f64, usize) = (100.0, 64);
const BUDGET: Duration = Duration::from_millis(2500);
/// Length of the windows of a check.
const WINDOW: &str = "3s";
/// Time in which the guest's first datagrams from the target come.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// A way between the hosts.
#[derive(Debug)]
struct Way {
    name: &'static str,
    port: u16,
    /// Bytes that a socket holds; `None` leaves it to TCP.
    buffer: Option<u32>,
}

const WAYS: [Way; 2] = [
    Way { name: "TCP's own", port: 8002, buffer: None },
    Way { name: "128 KiB", port: 8003, buffer: Some(128 << 10) },
];

/// Migrates a guest to and fro and returns (raw JSON, Markdown page, last line). `say` gets
/// progress lines.
///
/// # Errors
/// [`Error::NoNetwork`] where there can be none; when a host fails or a guest does not move.
pub fn run(
    version: XenVersion,
    programs: &Programs,
    quick: bool,
    say: &mut dyn FnMut(&str),
) -> Result<(Value, String, Value)> {
    let lan = Lan::new()?;
    let socket = lan.socket(0)?;
    let hosts = two_hosts(&HostBuilder::new(version).lan(&lan), programs)?;
    let spec = guest(&lan, &socket)?;
    hosts[0].guest(&spec)?;
    let (mut crossings, mut hung) = (Vec::new(), 0);
    for way in &WAYS {
        let leads =
            [hosts[0].receive(way.port, way.buffer)?, hosts[1].receive(way.port, way.buffer)?];
        // An even number: the guest is at the first host again.
        for nth in 0..if quick { 2 } else { 4 } {
            let (from, to) = (nth % 2, (nth + 1) % 2);
            // Of what it saw on one way a host learns for all.
            let known = crossings.len() >= 2;
            let trip = Trip { way, lead: &leads[to], from, to, known };
            let crossing = loop {
                match trip.cross(&hosts, &socket, &spec.name) {
                    Ok(crossing) => break crossing,
                    Err(error) if hung == HUNG || hosts.iter().any(|h| h.answers(&spec.name)) => {
                        return Err(error);
                    }
                    Err(error) => say(&format!("the guest answers no more, another goes: {error}")),
                }
                hung += 1;
                for host in &hosts {
                    // Where it is not, there is nothing to destroy.
                    host.run(["xl", "destroy", &spec.name])?;
                }
                hosts[from].guest(&spec)?;
            };
            say(&crossing.line());
            crossings.push(crossing);
        }
    }
    let raw = Value::Array(crossings.iter().map(Crossing::raw).collect());
    let line = last_line(&crossings, hung);
    Ok((raw, page::page(version, &crossings, hung), line))
}

/// Boots both at once, and puts the programs there.
fn two_hosts(builder: &HostBuilder, programs: &Programs) -> Result<[Host; 2]> {
    let boot = || {
        let host = builder.boot()?;
        programs.push(&host)?;
        Ok(host)
    };
    thread::scope(|scope| {
        let other = scope.spawn(boot);
        let one = boot()?;
        let other = other.join();
        Ok([one, other.unwrap_or_else(|_| Err(Error::Unexpected("a host's thread died".into())))?])
    })
}

/// A guest that sends to `socket`.
fn guest(lan: &Lan, socket: &UdpSocket) -> Result<GuestSpec> {
    let unexpected = |cause: &dyn std::fmt::Display| Error::Unexpected(cause.to_string());
    let port = socket.local_addr().map_err(|cause| unexpected(&cause))?.port();
    let (rate, bytes) = SERVICE;
    let service = Service { to: SocketAddrV4::new(lan.outside(), port), rate, bytes };
    let network = Some(Network { address: lan.guest(0), service: Some(service) });
    let workload = WORKLOAD.parse().map_err(|cause| unexpected(&cause))?;
    Ok(GuestSpec { memory_mib: MEMORY_MIB, network, ..GuestSpec::new("g1", workload) })
}

/// A migration to be done.
struct Trip<'a> {
    way: &'static Way,
    /// The command of the way.
    lead: &'a str,
    from: usize,
    to: usize,
    /// The source has migrated to this target before.
    known: bool,
}

impl Trip<'_> {
    fn cross(&self, hosts: &[Host; 2], socket: &UdpSocket, name: &str) -> Result<Crossing> {
        let (source, target) = (&hosts[self.from], &hosts[self.to]);
        let host = format!("host{}", self.to + 1);
        let (seen, account) = watch([source, target], socket, || {
            migrate(source, name, &host, self.lead, self.known)
        })?;
        let intact = match target.verify(name) {
            Ok(_) => true,
            Err(error) if !target.answers(name) => return Err(error),
            Err(_) => false,
        };
        Crossing::new(self, &seen, account, intact)
            .ok_or_else(|| Error::Unexpected("the outage was not seen whole".into()))
    }
}

/// Does what `migrate` does from the first to the second host while it looks on.
fn watch<T>(
    hosts: [&Host; 2],
    socket: &UdpSocket,
    migrate: impl FnOnce() -> Result<T>,
) -> Result<(Seen, T)> {
    let (epoch, over) = (Instant::now(), &AtomicBool::new(false));
    thread::scope(|scope| {
        let arrivals = scope.spawn(move || receive(socket, epoch, over));
        let migrated = in_step(hosts, epoch, || {
            let migrated = migrate()?;
            hosts[1].sleep(AFTERWARDS)?;
            Ok(migrated)
        });
        over.store(true, Ordering::Relaxed);
        let arrivals = arrivals.join();
        let died = |_| Err(Error::Unexpected("the receiver died".into()));
        let arrivals = arrivals.unwrap_or_else(died)?;
        let (migrated, [source, target]) = migrated?;
        Ok((Seen { arrivals, source, target }, migrated))
    })
}

/// Migrates with xenmig, which must succeed, and gives its account: events and a report. Where
/// nothing is `known` of the target yet, the gate would rather wait.
fn migrate(host: &Host, name: &str, target: &str, lead: &str, known: bool) -> Result<Account> {
    let budget = format!("{}ms", BUDGET.as_millis());
    let migrate = ["xenmig", "migrate", name, target, "--transport", lead, "--json"];
    let limits = ["--downtime", &budget, "--window", WINDOW];
    let force = (!known).then_some("--force");
    let output = host.run_ok(migrate.into_iter().chain(limits).chain(force))?;
    Ok(Account::read(&output.stdout()))
}
