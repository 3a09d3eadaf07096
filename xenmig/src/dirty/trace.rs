//! Trace files, `xenmig.trace/1`: what sampling showed, kept as it is seen.
//!
//! A trace is text. Each line is one record: the CRC-32 of its JSON in eight lower-case hex digits,
//! a space, the JSON. The first record says which domain was sampled and how; then comes one per
//! window, each followed by its bitmap if there is one; the last says that the trace is whole.
//! Records go to the kernel one by one, so a trace of a killed sampler is readable up to its last
//! whole record, and `cut -c10- FILE | jq` reads it without this program.
//!
//! It is not compressed. A window takes 0.5 KB, so a day of one window a minute is 0.7 MB per
//! domain; a bitmap, written as runs, takes some 5 bytes a run (`tests/trace.rs` holds on to both).
//! `gzip -6` makes a third of windows and a fifth of bitmaps, which is not worth giving up that
//! every record stands for itself and can be read by eye.

mod record;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use serde::Serialize;

pub use self::record::Record;
use self::record::{Header, Line, json_of, to_line};
use super::{Bitmap, Ended, Plan, Sample, Window};
use crate::error::{Error, Kind, Result};
use crate::host::Domain;

/// Writes a trace, record by record.
#[derive(Debug)]
pub struct TraceWriter<W: Write = File> {
    out: W,
    name: String,
    records: u64,
    /// A record went out in part; what followed it could not be read.
    broken: bool,
}

impl TraceWriter {
    /// A new trace at `path`. What was there is replaced.
    ///
    /// # Errors
    /// [`Kind::Permission`] or [`Kind::Io`] when the file cannot be made or written.
    pub fn create(path: &Path, domain: &Domain, plan: &Plan) -> Result<Self> {
        let file = File::create(path).map_err(|e| Error::file(path, "create trace", e))?;
        Self::new(file, path.display().to_string(), domain, plan)
    }
}

impl<W: Write> TraceWriter<W> {
    /// A trace into `out`, which errors call `name`. Each record is one `write_all` and a `flush`.
    ///
    /// # Errors
    /// [`Kind::Io`] when the first record cannot be written.
    pub fn new(out: W, name: String, domain: &Domain, plan: &Plan) -> Result<Self> {
        let mut writer = Self { out, name, records: 0, broken: false };
        writer.write(&Header::new(domain, plan))?;
        Ok(writer)
    }

    /// Adds a window.
    ///
    /// # Errors
    /// [`Kind::Io`] when it cannot be written; nothing can be added after that.
    pub fn window(&mut self, window: &Window) -> Result<()> {
        self.write(&Line::window(window))
    }

    /// Adds the bitmap of the window added last.
    ///
    /// # Errors
    /// As [`TraceWriter::window`].
    pub fn bitmap(&mut self, bitmap: &Bitmap) -> Result<()> {
        self.write(&Line::bitmap(bitmap))
    }

    /// Adds a whole sample.
    ///
    /// # Errors
    /// As [`TraceWriter::window`].
    pub fn sample(&mut self, sample: &Sample) -> Result<()> {
        let mut bitmaps = sample.bitmaps.iter();
        for window in &sample.windows {
            self.window(window)?;
            if window.ended == Ended::Complete
                && let Some(bitmap) = bitmaps.next()
            {
                self.bitmap(bitmap)?;
            }
        }
        Ok(())
    }

    /// Marks the trace as whole and gives back what it was written to.
    ///
    /// # Errors
    /// As [`TraceWriter::window`].
    pub fn finish(mut self) -> Result<W> {
        self.write(&Line::End { records: self.records })?;
        Ok(self.out)
    }

    fn write(&mut self, record: &impl Serialize) -> Result<()> {
        let nth = self.records + 1;
        let failed = |what: &str| {
            Error::new(Kind::Io, format!("cannot write record {nth} of trace {}{what}", self.name))
        };
        if self.broken {
            return Err(failed(": one before it failed"));
        }
        let line = to_line(record);
        if let Err(cause) = self.out.write_all(line.as_bytes()).and_then(|()| self.out.flush()) {
            let error = failed("").because(cause).hint("what was written before is readable");
            self.broken = true;
            return Err(error);
        }
        self.records = nth;
        Ok(())
    }
}

/// Reads a trace, record by record.
#[derive(Debug)]
pub struct TraceReader<R: BufRead = BufReader<File>> {
    input: R,
    name: String,
    domain: Domain,
    plan: Plan,
    /// Records read, the first one included.
    records: u64,
    /// Where the next one begins.
    offset: u64,
    /// There is nothing more to be had: the end was reached, or damage.
    over: bool,
}

impl TraceReader {
    /// The trace at `path`, its first record read.
    ///
    /// # Errors
    /// [`Kind::Permission`] or [`Kind::Io`] when the file cannot be read, [`Kind::Data`] when it
    /// is no trace, is of another version, or its first record is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::file(path, "open trace", e))?;
        Self::new(BufReader::new(file), path.display().to_string())
    }
}

impl<R: BufRead> TraceReader<R> {
    /// The trace in `input`, which errors call `name`, its first record read.
    ///
    /// # Errors
    /// As [`TraceReader::open`].
    pub fn new(mut input: R, name: String) -> Result<Self> {
        let place = Place { name: &name, nth: 1, offset: 0 };
        let Some(line) = place.next_line(&mut input)? else {
            return Err(Error::new(Kind::Data, format!("{name} is empty, not a trace")));
        };
        let (domain, plan) =
            json_of(&line).and_then(Header::read).map_err(|what| place.error(&what))?;
        let offset = line.len() as u64;
        Ok(Self { input, name, domain, plan, records: 1, offset, over: false })
    }

    /// The domain, as it was when sampling began.
    #[must_use]
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// How it was sampled.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The next window or bitmap; `None` after the last, and after an error.
    ///
    /// # Errors
    /// [`Kind::Data`] when the trace is damaged or ends too early; the message says at which
    /// record and byte. [`Kind::Io`] when it cannot be read.
    pub fn next_record(&mut self) -> Result<Option<Record>> {
        if self.over {
            return Ok(None);
        }
        let found = self.read_record();
        self.over = !matches!(found, Ok(Some(_)));
        found
    }

    fn read_record(&mut self) -> Result<Option<Record>> {
        let place = Place { name: &self.name, nth: self.records + 1, offset: self.offset };
        let Some(line) = place.next_line(&mut self.input)? else {
            return Err(place.error("is missing: the trace was not finished"));
        };
        let after = place.offset + line.len() as u64;
        let found = json_of(&line).and_then(Line::read).and_then(|line| match line {
            Line::Window { points, ended, vcpu_utilisation, host_cpu_utilisation, host_cpus } => {
                let window = record::window(
                    points,
                    ended,
                    vcpu_utilisation,
                    host_cpu_utilisation,
                    host_cpus,
                )?;
                Ok(Some(Record::Window(window)))
            }
            Line::Bitmap { pages, runs } => {
                Ok(Some(Record::Bitmap(record::bitmap(pages, &runs, self.domain.p2m_size)?)))
            }
            Line::End { records } if records == self.records => Ok(None),
            Line::End { records } => {
                Err(format!("says that it follows {records} records, not {}", self.records))
            }
        });
        let found = found.map_err(|what| place.error(&what))?;
        let next = Place { nth: place.nth + 1, offset: after, ..place };
        if found.is_none() && next.next_line(&mut self.input)?.is_some() {
            return Err(next.error("comes after the end of the trace"));
        }
        (self.records, self.offset) = (place.nth, after);
        Ok(found)
    }

    /// All that can be read, as a sample, and the damage that ended the reading, if any.
    ///
    /// # Errors
    /// That damage, when there is not one whole window before it.
    pub fn into_sample(mut self) -> Result<(Sample, Option<Error>)> {
        let mut sample =
            Sample { domain: self.domain.clone(), windows: Vec::new(), bitmaps: Vec::new() };
        let damage = loop {
            match self.next_record() {
                Ok(Some(Record::Window(window))) => sample.windows.push(window),
                Ok(Some(Record::Bitmap(bitmap))) => sample.bitmaps.push(bitmap),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        match (sample.windows.is_empty(), damage) {
            (false, damage) => Ok((sample, damage)),
            (true, Some(error)) => Err(error),
            (true, None) => {
                Err(Error::new(Kind::Data, format!("trace {} holds no window", self.name)))
            }
        }
    }
}

/// Where in a trace something was read.
#[derive(Clone, Copy)]
struct Place<'a> {
    name: &'a str,
    nth: u64,
    offset: u64,
}

impl Place<'_> {
    fn error(&self, what: &str) -> Error {
        let Self { name, nth, offset } = self;
        let error = Error::new(
            Kind::Data,
            format!("trace {name}: record {nth}, which begins at byte {offset}, {what}"),
        );
        if *nth > 1 { error.hint("the records before it are whole") } else { error }
    }

    /// The next line with its line feed; `None` at the end of the file.
    fn next_line(&self, input: &mut impl BufRead) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        input.read_until(b'\n', &mut line).map_err(|cause| {
            Error::new(Kind::Io, format!("cannot read trace {}", self.name)).because(cause)
        })?;
        match line.last() {
            None => Ok(None),
            Some(b'\n') => Ok(Some(line)),
            Some(_) => {
                let length = line.len();
                Err(self.error(&format!("is cut off: the file ends after {length} bytes of it")))
            }
        }
    }
}
