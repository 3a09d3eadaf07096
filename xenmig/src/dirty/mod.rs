//! What a guest writes to: the bitmap Xen keeps, the dirty curve W(t), how it is sampled, and the
//! trace file that keeps samples.

mod bitmap;
mod curve;
mod sample;
mod trace;

pub use bitmap::{Bitmap, Heat, HotRange};
pub use curve::{Curve, CurveFile};
pub use sample::{Ended, Plan, Sample, Window, sample};
pub use trace::{Record, TraceReader, TraceWriter};
