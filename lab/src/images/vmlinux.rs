//! The kernel as an ELF file: unpacking it here, once, saves Dom0 some 16
//! virtual seconds for every guest it starts.

use std::fs;
use std::path::Path;

use super::Tool;
use crate::error::Context;
use crate::{Error, Result};

const XZ: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Where the compressed kernel is inside a bzImage, by the boot protocol's
/// header (Documentation/arch/x86/boot.rst: setup_sects, payload_offset and
/// payload_length). The payload's last 4 bytes are its unpacked size.
fn payload(image: &[u8]) -> Option<&[u8]> {
    let number = |at: usize| {
        image
            .get(at..at + 4)
            .and_then(|b| b.try_into().ok())
            .map(|b| u32::from_le_bytes(b) as usize)
    };
    let setup_sectors = match *image.get(0x1f1)? {
        0 => 4,
        n => usize::from(n),
    };
    if image.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let start = (setup_sectors + 1) * 512 + number(0x248)?;
    image.get(start..start + number(0x24c)?.checked_sub(4)?)
}

/// Unpacks the kernel in `image` to `to`.
pub(super) fn unpack(image: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(image).context(|| format!("reading {}", image.display()))?;
    let payload = payload(&bytes)
        .ok_or_else(|| Error::Unexpected(format!("{} is no bzImage", image.display())))?;
    let packed = to.with_extension("packed");
    fs::write(&packed, payload).context(|| format!("writing {}", packed.display()))?;
    let tool = if payload.starts_with(&XZ) {
        Tool::new("xz", "xz-utils").arg("-dc")
    } else if payload.starts_with(&ZSTD) {
        Tool::new("zstd", "zstd").arg("-dcq")
    } else {
        return Err(Error::Unexpected(format!("{}: unknown compression", image.display())));
    };
    let kernel = tool.arg(&packed).bytes()?;
    fs::remove_file(&packed).context(|| format!("removing {}", packed.display()))?;
    fs::write(to, kernel).context(|| format!("writing {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::payload;

    #[test]
    fn the_payload_is_found_by_the_header() {
        let mut image = vec![0u8; 4096];
        image[0x1f1] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x248..0x24c].copy_from_slice(&16u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&12u32.to_le_bytes());
        image[1040..1048].copy_from_slice(b"compress");
        assert_eq!(payload(&image), Some(&b"compress"[..]));
        assert_eq!(payload(&image[..600]), None);
        image[0x202] = 0;
        assert_eq!(payload(&image), None);
    }
}
