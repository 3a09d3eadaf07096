//! How JSON is laid out: a line for each field, but inner arrays (points, rounds) on one line.

use std::io::{Result, Write};

use serde_json::ser::{Formatter, PrettyFormatter};

/// Arrays within arrays begin here.
const INNER: usize = 2;

/// [`PrettyFormatter`] down to the inner arrays.
#[derive(Default)]
pub struct Layout {
    pretty: PrettyFormatter<'static>,
    arrays: usize,
}

impl Layout {
    fn inner(&self) -> bool {
        self.arrays >= INNER
    }
}

impl Formatter for Layout {
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        self.arrays += 1;
        if self.inner() { out.write_all(b"[") } else { self.pretty.begin_array(out) }
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        let inner = self.inner();
        self.arrays -= 1;
        if inner { out.write_all(b"]") } else { self.pretty.end_array(out) }
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> Result<()> {
        match (self.inner(), first) {
            (true, true) => Ok(()),
            (true, false) => out.write_all(b", "),
            (false, first) => self.pretty.begin_array_value(out, first),
        }
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        if self.inner() { Ok(()) } else { self.pretty.end_array_value(out) }
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        if self.inner() { out.write_all(b"{ ") } else { self.pretty.begin_object(out) }
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        if self.inner() { out.write_all(b" }") } else { self.pretty.end_object(out) }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> Result<()> {
        match (self.inner(), first) {
            (true, true) => Ok(()),
            (true, false) => out.write_all(b", "),
            (false, first) => self.pretty.begin_object_key(out, first),
        }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        out.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        if self.inner() { Ok(()) } else { self.pretty.end_object_value(out) }
    }
}
