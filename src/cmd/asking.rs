//! Asking targets what they have: over ssh, or out of a file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use xenmig::Result;
use xenmig::check::Target;
use xenmig::host::Domain;
use xenmig::inventory::{Inventory, Remote};

use super::quantity;
use crate::cli::{Asking, Destination};
use crate::session::Session;

/// A host that the user named as a target.
pub enum Question<'a> {
    /// To be asked by this command.
    Host { command: &'a str, host: &'a str, patience: Duration },
    /// It has answered already.
    File(&'a Path),
}

impl<'a> Question<'a> {
    /// The target of a check; `None` when none was named.
    pub fn of_check(destination: &'a Destination) -> Result<Option<Self>> {
        let (hosts, files) = (destination.to.as_slice(), destination.to_file.as_slice());
        Ok(Self::all(hosts, files, &destination.asking)?.into_iter().next())
    }

    /// All of them, in the user's order.
    pub fn all(hosts: &'a [String], files: &'a [PathBuf], asking: &'a Asking) -> Result<Vec<Self>> {
        let patience = quantity::time("--timeout", &asking.timeout)?;
        let command = asking.ssh_command.as_str();
        let hosts = hosts.iter().map(|host| Self::Host { command, host, patience });
        Ok(hosts.chain(files.iter().map(|file| Self::File(file))).collect())
    }

    /// As the user called it.
    pub fn name(&self) -> String {
        match self {
            Self::Host { host, .. } => (*host).to_owned(),
            Self::File(file) => file.display().to_string(),
        }
    }

    /// Asks it, also for `disks`. A file may tell the host's name itself.
    pub fn ask(&self, disks: &[String]) -> Result<Target> {
        let inventory = match *self {
            Self::Host { command, host, patience } => {
                Remote { command, host, patience }.fetch(disks)?
            }
            Self::File(file) => Inventory::open(file)?,
        };
        let named = match self {
            Self::File(_) if !inventory.name.is_empty() => inventory.name.clone(),
            _ => self.name(),
        };
        Ok(Target { name: named, inventory })
    }
}

/// The paths that a target has to have for `domain`. Of a domain whose setup is unknown the gate
/// says so.
pub fn disks(session: &Session, domain: &Domain) -> Vec<String> {
    session.host().setup(domain.id).map(|setup| setup.disk_paths).unwrap_or_default()
}
