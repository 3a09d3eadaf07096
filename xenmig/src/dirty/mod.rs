//! What a guest writes to: the bitmap Xen keeps, what a save holds back of it, the dirty curve W(t),
//! how it is sampled, and the trace file that keeps samples.

mod bitmap;
mod curve;
mod held;
mod sample;
mod trace;

pub use bitmap::{Bitmap, Heat, HotRange};
pub use curve::{Curve, CurveFile};
pub use held::HeldBack;
pub(crate) use sample::scattered;
pub use sample::{Ended, Plan, Sample, Window, sample};
pub use trace::{Record, TraceReader, TraceWriter};
