//! A guest's network card and the UDP service on it.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::str::FromStr;

/// The bridge in Dom0 that guests' cards are on, as Xen's own scripts name it.
pub const BRIDGE: &str = "xenbr0";

/// Dom0's address on [`BRIDGE`]; all are in a network of 24 bits.
pub const DOM0: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// A network card.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Network {
    /// The guest's own address, in the network of [`DOM0`].
    pub address: Ipv4Addr,
    /// What it sends; `None` is nothing.
    pub service: Option<Service>,
}

impl Network {
    /// A hardware address of Xen's range that goes with the address.
    pub fn mac(&self) -> String {
        let [_, a, b, c] = self.address.octets();
        format!("00:16:3e:{a:02x}:{b:02x}:{c:02x}")
    }
}

/// Datagrams sent at regular intervals. Written as `ADDRESS:PORT,RATE,BYTES`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Service {
    /// Who gets them.
    pub to: SocketAddrV4,
    /// Datagrams per second.
    pub rate: f64,
    /// Length of each.
    pub bytes: usize,
}

/// A service that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "service {0:?}: expected ADDRESS:PORT,RATE,BYTES (RATE in datagrams/s, {min} to {max} bytes)",
    min = Datagram::BYTES, max = Service::MAX_BYTES
)]
pub struct ParseService(String);

impl Service {
    /// What goes into one packet of an Ethernet.
    pub const MAX_BYTES: usize = 1472;
}

impl FromStr for Service {
    type Err = ParseService;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let mut words = text.split(',');
            let (to, rate, bytes) = (words.next()?, words.next()?, words.next()?);
            let rate = rate.parse().ok().filter(|rate: &f64| *rate > 0.0 && rate.is_finite())?;
            let sizes = Datagram::BYTES..=Self::MAX_BYTES;
            let bytes = bytes.parse().ok().filter(|bytes| sizes.contains(bytes))?;
            words.next().is_none().then_some(Self { to: to.parse().ok()?, rate, bytes })
        };
        parse().ok_or_else(|| ParseService(text.to_owned()))
    }
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{},{},{}", self.to, self.rate, self.bytes)
    }
}

/// What the service's datagrams begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram {
    /// How many were sent before.
    pub sequence: u64,
    /// The guest's CLOCK_MONOTONIC, which stands still while it is suspended.
    pub guest_ns: u64,
}

impl Datagram {
    /// Length of the beginning.
    pub const BYTES: usize = 16;

    /// The bytes a datagram begins with.
    pub fn encode(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[8..].copy_from_slice(&self.guest_ns.to_le_bytes());
        bytes
    }

    /// The reverse of [`Datagram::encode`]; `None` for what is too short.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        Some(Self { sequence: number(0)?, guest_ns: number(8)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_read_back_as_they_print() {
        for text in ["10.77.0.1:9000,200,512", "10.77.0.9:1,0.5,16"] {
            assert_eq!(text.parse::<Service>().unwrap().to_string(), text);
        }
        for text in
            ["", "10.77.0.1,200,512", "10.77.0.1:1,0,512", "10.77.0.1:1,5,15,", "[::1]:1,5,99"]
        {
            assert!(text.parse::<Service>().is_err(), "{text}");
        }
    }

    #[test]
    fn datagrams_survive_the_wire() {
        let datagram = Datagram { sequence: 7, guest_ns: u64::MAX };
        let mut bytes = datagram.encode().to_vec();
        bytes.resize(512, 0);
        assert_eq!(Datagram::decode(&bytes), Some(datagram));
        assert_eq!(Datagram::decode(&bytes[..15]), None);
    }

    #[test]
    fn cards_of_two_guests_differ() {
        let mac = |last| Network { address: Ipv4Addr::new(10, 77, 0, last), service: None }.mac();
        assert_eq!(mac(2), "00:16:3e:4d:00:02");
        assert_ne!(mac(2), mac(3));
    }
}
