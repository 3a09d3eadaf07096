//! A host shared between processes: one owns it and serves it on a socket,
//! others attach to it.
//!
//! On the socket the agent's protocol is spoken; every connection has ids of
//! its own, and when it ends its commands are killed.

use std::collections::HashMap;
use std::fs;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Host;
use super::channel::Channel;
use super::serial::Serial;
use crate::Result;
use crate::error::Context;
use crate::protocol::{Frame, Kind};

const SOCKET: &str = "host.sock";
const SERIAL: &str = "serial.log";

impl Host {
    /// Serves this host in the folder `dir` for as long as this process lives.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn serve(&self, dir: &Path) -> Result<()> {
        let path = dir.join(SOCKET);
        // A socket left by a process that was killed.
        let _ = fs::remove_file(&path);
        let link = dir.join(SERIAL);
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(self.serial.path(), &link)
            .context(|| format!("linking {}", link.display()))?;
        let listener =
            UnixListener::bind(&path).context(|| format!("listening on {}", path.display()))?;
        for client in listener.incoming().flatten() {
            let channel = self.channel.clone();
            std::thread::spawn(move || serve_one(client, &channel));
        }
        Ok(())
    }

    /// A host that another process serves in `dir`.
    ///
    /// # Errors
    /// When nobody does.
    pub fn attach(dir: &Path) -> Result<Self> {
        let path = dir.join(SOCKET);
        let stream =
            UnixStream::connect(&path).context(|| format!("connecting to {}", path.display()))?;
        Ok(Self {
            channel: Channel::new(stream, None)?,
            serial: Serial::new(&dir.join(SERIAL)),
            limit: Duration::from_secs(24 * 3600),
            // Other processes count from 1, too.
            tokens: AtomicU32::new(std::process::id().wrapping_mul(1000)),
            address: None,
            qmp: None,
            _machine: None,
        })
    }
}

type Ids = Arc<Mutex<HashMap<u32, u32>>>;

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve_one(client: UnixStream, channel: &Channel) {
    let Ok(mut reader) = client.try_clone() else {
        return;
    };
    let client = Arc::new(Mutex::new(client));
    let ids = Ids::default();
    while let Ok(Some(frame)) = Frame::read(&mut reader) {
        match frame.kind {
            Kind::Exec | Kind::Ping => {
                let Ok((id, frames)) = channel.begin(frame.kind, frame.payload) else {
                    break;
                };
                lock(&ids).insert(frame.id, id);
                let (client, ids) = (Arc::clone(&client), Arc::clone(&ids));
                std::thread::spawn(move || {
                    for mut answer in frames {
                        answer.id = frame.id;
                        if answer.write(&mut *lock(&client)).is_err() {
                            break;
                        }
                    }
                    lock(&ids).remove(&frame.id);
                });
            }
            _ => {
                let id = lock(&ids).get(&frame.id).copied();
                if let Some(id) = id {
                    channel.send(&Frame { id, ..frame });
                }
            }
        }
    }
    for &id in lock(&ids).values() {
        channel.send(&Frame::number(id, Kind::KillGroup, 9));
    }
}
