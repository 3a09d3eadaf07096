//! What arrived when.

use std::net::Ipv4Addr;

use crate::{Error, Result};

/// One datagram, as it arrived. Times are seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arrival {
    /// On the receiver's clock.
    pub at_s: f64,
    /// How many the guest had sent before.
    pub sequence: u64,
    /// The guest's clock when it was sent.
    pub guest_s: f64,
    /// Its length.
    pub bytes: u32,
    /// Who sent it.
    pub sender: Ipv4Addr,
}

/// Reads what `xenlab-listen` printed; lines that are no arrivals are left out.
///
/// # Errors
/// When a line begins like an arrival and is none.
pub fn parse(text: &str) -> Result<Vec<Arrival>> {
    let arrivals =
        text.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    arrivals
        .map(|line| {
            read(line)
                .ok_or_else(|| Error::Unexpected(format!("no arrival of a datagram: `{line}`")))
        })
        .collect()
}

fn read(line: &str) -> Option<Arrival> {
    let words: Vec<_> = line.split_ascii_whitespace().collect();
    let [at, sequence, guest, bytes, sender] = words[..] else { return None };
    let seconds = |ns: &str| ns.parse().ok().map(|ns: u64| ns as f64 * 1e-9);
    Some(Arrival {
        at_s: seconds(at)?,
        sequence: sequence.parse().ok()?,
        guest_s: seconds(guest)?,
        bytes: bytes.parse().ok()?,
        sender: sender.parse().ok()?,
    })
}

/// Bytes per second in intervals of `interval_s` from the first arrival on, as (begin of the
/// interval, throughput). The interval under way at the last arrival is left out.
pub fn throughput(arrivals: &[Arrival], interval_s: f64) -> Vec<(f64, f64)> {
    let (Some(first), Some(last)) = (arrivals.first(), arrivals.last()) else { return Vec::new() };
    let index = |arrival: &Arrival| ((arrival.at_s - first.at_s) / interval_s) as usize;
    let mut bytes = vec![0u64; index(last)];
    for arrival in arrivals {
        if let Some(sum) = bytes.get_mut(index(arrival)) {
            *sum += u64::from(arrival.bytes);
        }
    }
    let begin = |nth: usize| first.at_s + nth as f64 * interval_s;
    bytes.iter().enumerate().map(|(nth, sum)| (begin(nth), *sum as f64 / interval_s)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_read_and_other_lines_left_out() {
        let text = "listening\n1500000000 3 250000000 512 10.77.0.2\n";
        let arrivals = parse(text).unwrap();
        assert_eq!(arrivals.len(), 1);
        assert_eq!((arrivals[0].at_s, arrivals[0].guest_s), (1.5, 0.25));
        assert_eq!((arrivals[0].sequence, arrivals[0].bytes), (3, 512));
        assert!(parse("15 3 2 512\n").is_err());
    }

    #[test]
    fn throughput_counts_what_came_in_each_interval() {
        let at = |at_s| Arrival {
            at_s,
            sequence: 0,
            guest_s: 0.0,
            bytes: 100,
            sender: Ipv4Addr::LOCALHOST,
        };
        let curve = throughput(&[at(1.0), at(1.2), at(1.6), at(2.6)], 0.5);
        assert_eq!(curve, [(1.0, 400.0), (1.5, 200.0), (2.0, 0.0)]);
        assert!(throughput(&[], 1.0).is_empty());
    }
}
