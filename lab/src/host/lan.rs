//! An Ethernet among emulated hosts: a bridge in a network namespace of its own, with a tap for
//! each host and an address for whoever looks on from outside.
//!
//! The namespace has no name: it is gone with the last process that is in it or holds it, however
//! that process ends.

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::Context;
use crate::guest::DOM0;
use crate::images::Tool;
use crate::{Error, Result};

/// The last number of the outside's address. That of hosts counts from [`DOM0`]'s.
const OUTSIDE: u8 = 254;
/// Guests' addresses begin here.
const GUESTS: u8 = 100;

/// Prints a letter when all is there and taps can be had, and stays until its stdin ends.
const MAKE: &str = r#"set -e
    ip tuntap add mode tap trial
    ip link delete trial
    ip link set lo up
    ip link add lan type bridge
    ip address add "$1/24" broadcast + dev lan
    ip link set lan up
    printf .
    exec cat"#;
/// Connects a new tap, before a QEMU opens it.
const CONNECT: &str = r#"set -e
    ip tuntap add mode tap "$1"
    ip link set "$1" master lan up"#;

/// A network of hosts; clones are the same one.
#[derive(Debug, Clone)]
pub struct Lan(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    namespace: File,
    hosts: AtomicU8,
}

/// A host's place in it.
#[derive(Debug, Clone)]
pub(super) struct Port {
    lan: Lan,
    number: u8,
}

impl Lan {
    /// A network with nobody in it.
    ///
    /// # Errors
    /// [`Error::NoNetwork`] where namespaces, bridges or taps are not permitted.
    pub fn new() -> Result<Self> {
        let none = |why: String| Error::NoNetwork(why.trim_end().to_owned());
        let mut maker = Command::new("unshare")
            .args(["--net", "--", "sh", "-c", MAKE, "network", &address(OUTSIDE).to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| none(format!("unshare (util-linux): {e}")))?;
        let mut made = [0];
        let ready = maker.stdout.as_mut().is_some_and(|out| out.read_exact(&mut made).is_ok());
        // Once it is open, its maker may go.
        let namespace = File::open(format!("/proc/{}/ns/net", maker.id()));
        let output = maker.wait_with_output().context(|| "waiting for unshare".into())?;
        if !ready {
            return Err(none(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        let namespace = namespace.context(|| "opening the namespace".into())?;
        Ok(Self(Arc::new(Shared { namespace, hosts: AtomicU8::new(DOM0.octets()[3]) })))
    }

    /// The address from which [`Lan::socket`] sends.
    #[must_use]
    pub fn outside(&self) -> Ipv4Addr {
        address(OUTSIDE)
    }

    /// An address for guest number `number`; no host's.
    #[must_use]
    pub fn guest(&self, number: u8) -> Ipv4Addr {
        address(GUESTS + number % (OUTSIDE - GUESTS))
    }

    /// A UDP socket in it, outside of all hosts.
    ///
    /// # Errors
    /// When it cannot be had.
    pub fn socket(&self, port: u16) -> Result<UdpSocket> {
        // A thread of its own: it stays in the namespace.
        let bound = thread::scope(|scope| {
            let enter = || {
                let network = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(self.0.namespace.as_fd(), network)?;
                UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))
            };
            scope.spawn(enter).join()
        });
        bound
            .unwrap_or_else(|_| Err(std::io::Error::other("the thread that binds it is gone")))
            .context(|| format!("UDP port {port} of the hosts' network"))
    }

    /// A place for one more host.
    pub(super) fn connect(&self) -> Result<Port> {
        let number = self.0.hosts.fetch_add(1, Ordering::Relaxed);
        if number >= GUESTS {
            return Err(Error::NoNetwork(format!("{number} hosts are too many for one")));
        }
        let port = Port { lan: self.clone(), number };
        let [program, arguments @ ..] = port.enter();
        Tool::new(&program, "util-linux")
            .args(arguments)
            .args(["sh", "-c", CONNECT, "network", &port.tap()])
            .run()
            .map_err(|e| Error::NoNetwork(e.to_string()))?;
        Ok(port)
    }
}

impl Port {
    /// Program and arguments that run what follows in the namespace.
    pub(super) fn enter(&self) -> [String; 2] {
        let fd = self.lan.0.namespace.as_raw_fd();
        // By this process's number: it has not been inherited when nsenter opens it.
        let path = format!("/proc/{}/fd/{fd}", std::process::id());
        ["nsenter".into(), format!("--net={path}")]
    }

    /// The address of the host's Dom0.
    pub(super) fn address(&self) -> Ipv4Addr {
        address(self.number)
    }

    /// QEMU's arguments for a network card.
    pub(super) fn card(&self) -> [String; 4] {
        let device = "virtio-net-pci,netdev=lan,ioeventfd=off,romfile=";
        [
            "-netdev".into(),
            format!("tap,id=lan,ifname={},script=no,downscript=no", self.tap()),
            "-device".into(),
            format!("{device},mac=52:54:00:77:00:{:02x}", self.number),
        ]
    }

    fn tap(&self) -> String {
        format!("host{}", self.number)
    }
}

fn address(number: u8) -> Ipv4Addr {
    let [a, b, c, _] = DOM0.octets();
    Ipv4Addr::new(a, b, c, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sockets_in_one_network_and_none_across() {
        let (one, other) = match (Lan::new(), Lan::new()) {
            (Ok(one), Ok(other)) => (one, other),
            (Err(why), _) | (_, Err(why)) => return eprintln!("skipped: {why}"),
        };
        let receiver = one.socket(9).unwrap();
        let timeout = std::time::Duration::from_millis(200);
        receiver.set_read_timeout(Some(timeout)).unwrap();
        let send = |lan: &Lan, word: &[u8]| {
            lan.socket(0).unwrap().send_to(word, (lan.outside(), 9)).unwrap()
        };
        send(&other, b"lost");
        send(&one, b"here");
        let mut buffer = [0; 16];
        let (length, _) = receiver.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"here");
        assert!(receiver.recv_from(&mut buffer).is_err());
    }
}
