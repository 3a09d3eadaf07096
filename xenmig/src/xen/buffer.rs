//! Memory that the hypervisor may write to.

use xen_sys as sys;

use super::control::{Control, errno};
use super::gate::on_host;
use crate::dirty::Bitmap;
use crate::error::Result;
use crate::units::Pages;

/// Whole pages for one bit per guest page. Freed when dropped.
pub(super) struct PageBuffer<'c> {
    control: &'c Control,
    buffer: sys::xc_hypercall_buffer_t,
    pages: i32,
    bits: Pages,
}

impl<'c> PageBuffer<'c> {
    /// Room for a bitmap of `bits` guest pages.
    pub(super) fn for_bits(control: &'c Control, bits: Pages) -> Result<Self> {
        let bytes = bits.0.div_ceil(64) * 8;
        let pages = i32::try_from(bytes.div_ceil(crate::units::PAGE_SIZE)).unwrap_or(i32::MAX);
        let mut buffer = sys::xc_hypercall_buffer_t::default();
        // SAFETY: `buffer` is a zeroed hypercall buffer; the call fills it.
        let memory =
            unsafe { sys::xc__hypercall_buffer_alloc_pages(control.raw(), &raw mut buffer, pages) };
        if memory.is_null() {
            return Err(on_host("allocate memory for the bitmap").failed(errno()));
        }
        Ok(Self { control, buffer, pages, bits })
    }

    pub(super) const fn raw(&mut self) -> *mut sys::xc_hypercall_buffer_t {
        &raw mut self.buffer
    }

    /// How many guest pages the bitmap covers.
    pub(super) const fn bits(&self) -> std::ffi::c_ulong {
        self.bits.0
    }

    /// Copies the bitmap out.
    pub(super) fn copy_to(&self, bitmap: &mut Bitmap) {
        let words = usize::try_from(self.bits.0.div_ceil(64)).unwrap_or(usize::MAX);
        // SAFETY: hbuf points to `pages` whole pages, which hold at least `words` words, are
        // page-aligned, and are written by the hypervisor only during a call that takes
        // `&mut self`.
        let source = unsafe { std::slice::from_raw_parts(self.buffer.hbuf.cast::<u64>(), words) };
        let target = bitmap.words_mut();
        let both = words.min(target.len());
        target[..both].copy_from_slice(&source[..both]);
    }
}

impl Drop for PageBuffer<'_> {
    fn drop(&mut self) {
        // SAFETY: the buffer was allocated with this handle and this number of pages.
        unsafe {
            sys::xc__hypercall_buffer_free_pages(
                self.control.raw(),
                &raw mut self.buffer,
                self.pages,
            );
        }
    }
}
