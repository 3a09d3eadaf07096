//! The HTTP server: `/metrics` and nothing else, in a thread of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tiny_http::{Header, Method, Request, Response, Server};

use super::board::Board;
use super::metrics;
use crate::error::{Error, Kind, Result};

/// How often it looks whether it should stop.
const NOTICE: Duration = Duration::from_millis(200);

/// A server that runs.
#[must_use = "dropping it stops the server"]
pub struct Metrics {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    address: String,
}

impl Metrics {
    /// Serves `board` at `address`, as `127.0.0.1:9817`; port 0 takes any that is free.
    ///
    /// # Errors
    /// [`Kind::Usage`] when it cannot listen there.
    pub fn serve(address: &str, board: Arc<Mutex<Board>>) -> Result<Self> {
        let server = Server::http(address).map_err(|cause| {
            Error::new(Kind::Usage, format!("cannot serve metrics at {address}"))
                .because(cause)
                .hint("--listen takes an address and a port, or `none`")
        })?;
        let address = server.server_addr().to_string();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match server.recv_timeout(NOTICE) {
                    Ok(Some(request)) => answer(request, &board),
                    Ok(None) => {}
                    Err(cause) => log::warn!("metrics: {cause}"),
                }
            }
        });
        Ok(Self { stop, thread: Some(thread), address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("the metrics server had panicked");
        }
    }
}

fn answer(request: Request, board: &Mutex<Board>) {
    let get = matches!(request.method(), Method::Get | Method::Head);
    let response = match request.url().split('?').next() {
        _ if !get => text(405, "text/plain", "only GET\n".to_owned()),
        Some("/metrics") => {
            // Written without the lock: the recorder does not wait for a slow reader.
            let board = board.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match metrics::text(&board) {
                Ok(metrics) => text(200, metrics::CONTENT_TYPE, metrics),
                Err(error) => text(500, "text/plain", format!("{error}\n")),
            }
        }
        _ => text(404, "text/plain", "metrics are at /metrics\n".to_owned()),
    };
    if let Err(cause) = request.respond(response) {
        log::debug!("a reader of metrics went away: {cause}");
    }
}

fn text(status: u16, kind: &str, body: String) -> Response<std::io::Cursor<Vec<u8>>> {
    let header = Header::from_bytes("Content-Type", kind).expect("it is ASCII");
    Response::from_string(body).with_status_code(status).with_header(header)
}
