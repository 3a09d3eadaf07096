//! The guest's network card: its driver, its address, its UDP service.

use std::fs::File;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use xenlab::guest::{Datagram, Service};

/// The card appears when Dom0 has connected its side.
const LOOK: Duration = Duration::from_millis(20);

/// Loads the driver, waits for the card and gives it `address`.
pub fn configure(address: Ipv4Addr) -> std::io::Result<()> {
    rustix::system::finit_module(File::open("/xen-netfront.ko")?, c"", 0)?;
    let address = address.to_string();
    let mut ifconfig = Command::new("/busybox");
    ifconfig.args(["ifconfig", "eth0", &address, "netmask", "255.255.255.0", "up"]);
    // There is no /dev/null.
    ifconfig.stdin(Stdio::inherit());
    while !ifconfig.output()?.status.success() {
        thread::sleep(LOOK);
    }
    Ok(())
}

/// Sends datagrams from now on, by a thread of its own; counts them.
///
/// One that is late delays all that follow: a guest that is starved of its CPU
/// serves less, and does not catch up.
pub fn serve(service: Service) -> std::io::Result<Arc<AtomicU64>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    let interval = Duration::from_secs_f64(service.rate.recip());
    thread::spawn(move || {
        let mut buffer = vec![0; service.bytes];
        let mut due = Instant::now();
        loop {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let sequence = count.load(Ordering::Relaxed);
            let now = clock_gettime(ClockId::Monotonic);
            let guest_ns = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
            buffer[..Datagram::BYTES].copy_from_slice(&Datagram { sequence, guest_ns }.encode());
            // What cannot be sent is lost, as it would be on its way.
            let _ = socket.send_to(&buffer, service.to);
            count.store(sequence + 1, Ordering::Relaxed);
            due = (due + interval).max(Instant::now());
        }
    });
    Ok(sent)
}
