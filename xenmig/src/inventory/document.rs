//! The JSON document `xenmig.hostinfo/1`: written here, read at another host, perhaps by another
//! version of xenmig. Fields that a reader does not know are passed over.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Inventory;
use crate::error::{Error, Kind, Result};

/// Names the document.
pub const SCHEMA: &str = "xenmig.hostinfo/1";

/// An inventory with the name of its schema, to be serialised.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    schema: &'static str,
    #[serde(flatten)]
    inventory: &'a Inventory,
}

impl Inventory {
    /// Reads the document in a file.
    ///
    /// # Errors
    /// [`Kind::Io`] or [`Kind::Permission`] when it cannot be read, [`Kind::Data`] as [`read`].
    pub fn open(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|cause| Error::file(path, "read", cause))?;
        read(&text, &path.display().to_string())
    }

    /// The JSON document `xenmig.hostinfo/1`.
    #[must_use]
    pub const fn document(&self) -> Document<'_> {
        Document { schema: SCHEMA, inventory: self }
    }
}

/// Reads the document; `origin` says where it comes from, for errors.
///
/// # Errors
/// [`Kind::Data`] when it is cut off, no such document or one of another schema, or says what no
/// host can have.
pub fn read(text: &str, origin: &str) -> Result<Inventory> {
    #[derive(Deserialize)]
    struct Head {
        schema: String,
    }
    let head: Head = serde_json::from_str(text).map_err(|cause| wrong(text, origin, cause))?;
    if head.schema != SCHEMA {
        let what = format!("{origin} is `{}`, and this xenmig reads `{SCHEMA}`", head.schema);
        return Err(Error::new(Kind::Data, what).hint("install the same xenmig on both hosts"));
    }
    let mut inventory: Inventory =
        serde_json::from_str(text).map_err(|cause| wrong(text, origin, cause))?;
    if let Some(fault) = inventory.fault() {
        return Err(Error::new(Kind::Data, format!("{origin} is damaged: {fault}")));
    }
    inventory.clean();
    Ok(inventory)
}

fn wrong(text: &str, origin: &str, cause: serde_json::Error) -> Error {
    let what = if text.trim().is_empty() {
        return Error::new(Kind::Data, format!("{origin} is empty"));
    } else if cause.is_eof() || (text.trim().starts_with('{') && !text.trim().ends_with('}')) {
        // A number that ends early counts as a wrong one.
        "is cut off"
    } else {
        "is no answer of `xenmig hostinfo --json`"
    };
    Error::new(Kind::Data, format!("{origin} {what}")).because(cause)
}

impl Inventory {
    /// What no host can have; `None` when all is possible.
    fn fault(&self) -> Option<String> {
        let load = &self.load;
        if self.capacity.cpus == 0 {
            return Some("capacity.cpus is 0".to_owned());
        }
        if load.cpu_utilisation.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return Some("load.cpu_utilisation is not within 0 to 1".to_owned());
        }
        if load.free_cpus.is_some_and(|cpus| cpus < 0.0) {
            return Some("load.free_cpus is below 0".to_owned());
        }
        version(&self.xen.version)
            .is_none()
            .then(|| format!("`{}` is no version of Xen", self.xen.version))
    }

    /// Takes away what would confuse a terminal: these texts were written elsewhere.
    fn clean(&mut self) {
        let clean = |text: &mut String| text.retain(|character| !character.is_control());
        let Self { name, xen, load, bridges, disks, capacity: _, cpu_features: _ } = self;
        clean(name);
        clean(&mut xen.version);
        clean(&mut xen.scheduler);
        bridges.iter_mut().for_each(clean);
        for domain in &mut load.domains {
            clean(&mut domain.name);
            clean(&mut domain.uuid);
        }
        disks.iter_mut().for_each(|disk| clean(&mut disk.path));
    }
}

/// Major and minor version in `4.17.7` or `4.20-rc1`.
pub(crate) fn version(text: &str) -> Option<(u32, u32)> {
    let (major, rest) = text.split_once('.')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some((major.parse().ok()?, rest[..digits].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::sim::SimHost;

    fn text() -> String {
        let host = Inventory::take(&SimHost::builtin(), &[], &AtomicBool::new(false)).unwrap();
        serde_json::to_string(&host.document()).unwrap()
    }

    fn error(text: &str) -> String {
        let error = read(text, "the answer of h2").unwrap_err();
        assert_eq!(error.kind(), Kind::Data);
        error.to_string()
    }

    #[test]
    fn what_is_written_can_be_read_and_more_fields_are_no_matter() {
        let host = read(&text(), "").unwrap();
        assert_eq!(serde_json::to_string(&host.document()).unwrap(), text());
        let more = text().replacen("\"capacity\":{", "\"capacity\":{\"racks\":1,", 1);
        assert_ne!(more, text());
        assert_eq!(read(&more, "").unwrap(), host);
    }

    #[test]
    fn cut_off_anywhere_it_is_refused() {
        let text = text();
        for end in 1..text.len() {
            if text.is_char_boundary(end) {
                assert!(error(&text[..end]).contains("is cut off"), "{}", &text[..end]);
            }
        }
        assert!(error(" ").contains("the answer of h2 is empty"));
    }

    #[test]
    fn other_documents_are_refused() {
        let newer = error(&text().replace("hostinfo/1", "hostinfo/2"));
        assert!(newer.contains("`xenmig.hostinfo/2`") && newer.contains("`xenmig.hostinfo/1`"));
        for other in ["Welcome to h2!", "{}", "[1]", r#"{"schema":"xenmig.hostinfo/1"}"#] {
            assert!(error(other).contains("is no answer of `xenmig hostinfo"), "{other}");
        }
    }

    #[test]
    fn what_no_host_can_have_is_refused() {
        let with = |from: &str, to: &str| {
            assert!(text().contains(from), "{}", text());
            error(&text().replacen(from, to, 1))
        };
        assert!(with("\"cpus\":16", "\"cpus\":0").contains("cpus is 0"));
        assert!(with("\"cpu_utilisation\":0", "\"cpu_utilisation\":7").contains("utilisation"));
        assert!(with("\"version\":\"4.17.7\"", "\"version\":\"new\"").contains("`new`"));
    }

    #[test]
    fn names_from_elsewhere_cannot_move_the_cursor() {
        let evil = text().replacen("\"name\":\"web\"", "\"name\":\"w\\u001b[2Jb\"", 1);
        assert_eq!(read(&evil, "").unwrap().load.domains[2].name, "w[2Jb");
    }

    #[test]
    fn versions_are_compared_by_two_numbers() {
        let read = ["4.17.7", "4.20-rc1", "4.9", "5.0", "4", "x.1", "4.x"].map(version);
        let known = [(4, 17), (4, 20), (4, 9), (5, 0)].map(Some);
        assert_eq!(read[..4], known);
        assert_eq!(read[4..], [None, None, None]);
    }
}
