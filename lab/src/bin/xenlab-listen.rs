//! Receives the datagrams of guests' services: `xenlab-listen PORT`. At the end of its input it
//! prints a line for each, in the order of their arrival:
//! `ARRIVAL_NS SEQUENCE GUEST_NS BYTES SENDER`.
//!
//! Nothing is written before, so that listening costs the host as little as it can.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::time::{ClockId, clock_gettime};
use xenlab::guest::{Datagram, Service};

struct Arrival {
    ns: u64,
    datagram: Datagram,
    bytes: usize,
    sender: SocketAddr,
}

/// Receives into `arrivals` for ever.
fn listen(socket: &UdpSocket, arrivals: &Mutex<Vec<Arrival>>) -> std::io::Result<()> {
    let mut buffer = [0; Service::MAX_BYTES];
    loop {
        let (bytes, sender) = socket.recv_from(&mut buffer)?;
        let now = clock_gettime(ClockId::Monotonic);
        let ns = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
        // What else comes to this port is no service's.
        if let Some(datagram) = Datagram::decode(&buffer[..bytes]) {
            let arrival = Arrival { ns, datagram, bytes, sender };
            arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(arrival);
        }
    }
}

fn run(port: u16) -> std::io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let received = Arc::clone(&arrivals);
    thread::spawn(move || {
        if let Err(e) = listen(&socket, &received) {
            eprintln!("xenlab-listen: {e}");
        }
    });
    println!("listening");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let mut out = Vec::new();
    for arrival in arrivals.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let Arrival { ns, datagram: Datagram { sequence, guest_ns }, bytes, sender } = arrival;
        writeln!(out, "{ns} {sequence} {guest_ns} {bytes} {}", sender.ip())?;
    }
    std::io::stdout().write_all(&out)
}

fn main() -> ExitCode {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    let Some(port) = port else {
        eprintln!("usage: xenlab-listen PORT");
        return ExitCode::from(64);
    };
    match run(port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("xenlab-listen: port {port}: {e}");
            ExitCode::FAILURE
        }
    }
}
