//! The receiver in Dom0.

use std::net::Ipv4Addr;

use super::{Arrival, parse};
use crate::{Error, Host, Result, Running};

/// A receiver that runs. Dropped, it is killed.
pub struct Listener(Running);

impl Listener {
    /// Starts to receive on a UDP port of a host's Dom0.
    ///
    /// # Errors
    /// When the port is taken, or the host is gone.
    pub fn start(host: &Host, port: u16) -> Result<Self> {
        let mut running = host.spawn(["xenlab-listen", &port.to_string()])?;
        match running.next_line()? {
            Some(_) => Ok(Self(running)),
            None => Err(Error::Unexpected(format!(
                "xenlab-listen: nobody listens on port {port}: {}",
                running.wait()?.stderr()
            ))),
        }
    }

    /// Ends it and gives what came from `sender`.
    ///
    /// # Errors
    /// When the host is gone.
    pub fn finish(self, sender: Ipv4Addr) -> Result<Vec<Arrival>> {
        self.0.close_stdin();
        let mut arrivals = parse(&self.0.wait_ok()?.stdout())?;
        arrivals.retain(|arrival| arrival.sender == sender);
        Ok(arrivals)
    }
}
