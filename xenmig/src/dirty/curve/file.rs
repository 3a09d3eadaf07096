//! Curve files, `xenmig.curve/1`: a dirty curve and the guest it belongs to, from any hypervisor.

use serde::{Deserialize, Serialize};

use super::Curve;
use crate::error::{Error, Kind, Result};
use crate::units::{PAGE_SIZE, Pages};

/// The `schema` of the files this reads and writes.
const SCHEMA: &str = "xenmig.curve/1";

/// A curve file: checked when it was read, so its curve can be had without an error.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CurveFile {
    schema: &'static str,
    /// Size of a page.
    pub page_size_bytes: u64,
    /// Pages of the guest.
    pub total_pages: u64,
    /// Pages among them that cost only their header: hypervisors other than Xen elide zeroes.
    pub zero_pages: u64,
    /// What goes with every page, in bytes.
    pub page_header_bytes: u64,
    /// W(t): seconds, strictly ascending, and pages, non-decreasing.
    pub points: Vec<(f64, f64)>,
}

/// As it is written, before it is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    #[serde(rename = "schema")]
    _schema: String,
    #[serde(default = "xen_page")]
    page_size_bytes: u64,
    total_pages: u64,
    #[serde(default)]
    zero_pages: u64,
    #[serde(default = "xen_header")]
    page_header_bytes: u64,
    points: Vec<(f64, f64)>,
}

fn xen_page() -> u64 {
    PAGE_SIZE
}

fn xen_header() -> u64 {
    8
}

impl CurveFile {
    /// The curve of a Xen guest of `total` pages, to be written to a file.
    #[must_use]
    pub fn new(curve: &Curve, total: Pages) -> Self {
        Self {
            schema: SCHEMA,
            page_size_bytes: xen_page(),
            total_pages: total.0,
            zero_pages: 0,
            page_header_bytes: xen_header(),
            points: curve.points().to_vec(),
        }
    }

    /// Reads and checks the text of a curve file. `page_size_bytes` (4096), `zero_pages` (0) and
    /// `page_header_bytes` (8) may be left out.
    ///
    /// # Errors
    /// [`Kind::Data`] when it is not JSON, is of another schema, has an unknown key, or describes
    /// no curve: the message names the key or the point.
    pub fn read(text: &str) -> Result<Self> {
        let bad = |what: &str| Error::new(Kind::Data, format!("curve file: {what}"));
        let broken = |cause: serde_json::Error| bad("not what it should be").because(cause);
        /// Another version may well have other keys, so its name is looked at first.
        #[derive(Deserialize)]
        struct Head {
            schema: Option<String>,
        }
        match serde_json::from_str::<Head>(text).map_err(broken)?.schema.as_deref() {
            Some(SCHEMA) => {}
            Some(other) => {
                return Err(bad(&format!("its schema is `{other}`; this reads `{SCHEMA}`")));
            }
            None => return Err(bad(&format!("it has no `schema`; `{SCHEMA}` is expected"))),
        }
        let file: Unchecked = serde_json::from_str(text).map_err(broken)?;
        file.check().map_err(|what| bad(&what))
    }

    /// The curve, which can dirty all pages that are not zero pages.
    #[must_use]
    pub fn curve(&self) -> Curve {
        let limit = Pages(self.total_pages - self.zero_pages);
        Curve::from_points(self.points.clone(), limit).expect("checked when it was read")
    }
}

impl Unchecked {
    fn check(self) -> Result<CurveFile, String> {
        let total = self.total_pages;
        if self.page_size_bytes == 0 {
            return Err("`page_size_bytes` is 0".to_owned());
        }
        if total == 0 {
            return Err("`total_pages` is 0".to_owned());
        }
        if self.zero_pages > total {
            return Err(format!("`zero_pages` {} exceed `total_pages` {total}", self.zero_pages));
        }
        if self.points.is_empty() {
            return Err("`points` is empty".to_owned());
        }
        let mut before: Option<(f64, f64)> = None;
        for (i, &(t, pages)) in self.points.iter().enumerate() {
            let point = format!("point {} of `points`, [{t}, {pages}]", i + 1);
            if !(t.is_finite() && t >= 0.0) {
                return Err(format!("{point}: the time is not a number of seconds from 0"));
            }
            if !(pages.is_finite() && pages >= 0.0) {
                return Err(format!("{point}: the pages are not a number from 0"));
            }
            if pages > total as f64 {
                return Err(format!("{point}: more than `total_pages` {total}"));
            }
            if before.is_some_and(|before| before.0 >= t) {
                return Err(format!("{point}: not later than the point before it"));
            }
            if before.is_some_and(|before| before.1 > pages) {
                return Err(format!("{point}: fewer pages than the point before it"));
            }
            before = Some((t, pages));
        }
        Ok(CurveFile {
            schema: SCHEMA,
            page_size_bytes: self.page_size_bytes,
            total_pages: total,
            zero_pages: self.zero_pages,
            page_header_bytes: self.page_header_bytes,
            points: self.points,
        })
    }
}
