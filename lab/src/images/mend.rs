//! Mends a fault in our own copy of QEMU 7.2, without which guests are lost now and then.
//!
//! An interrupt that a hypervisor injects with VMRUN is delivered at once
//! (`target/i386/tcg/sysemu/svm_helper.c`), and yet stays noted as a pending exception. If the
//! emulator stops to look after a timer before the guest leaves for the hypervisor again, it takes
//! the note for an exception and delivers the interrupt a second time. That panics a guest whose
//! kernel has just been entered from a program. Here the note is not made: its store becomes a NOP.

use std::fs;
use std::path::Path;

use crate::Result;
use crate::error::Context;

/// What is before the store in Debian's builds: the vector is read, the error code stored.
const BEFORE: [u8; 11] = [0x41, 0x0f, 0xb6, 0xf4, 0x44, 0x89, 0xab, 0x80, 0x33, 0, 0];
const STORE: [u8; 6] = [0x89, 0xb3, 0x54, 0xef, 0xff, 0xff];
/// A field is cleared ...
const AFTER: [u8; 10] = [0xc7, 0x83, 0x84, 0x33, 0, 0, 0, 0, 0, 0];
/// ... and so many bytes later the interrupt is delivered, as a hardware interrupt: elsewhere the
/// same store is wanted.
const FURTHER: usize = 24;
const DELIVERS: [u8; 9] = [0xba, 1, 0, 0, 0, 0x48, 0x89, 0xdf, 0xe8];
const NOP: [u8; 6] = [0x66, 0x0f, 0x1f, 0x44, 0, 0];

/// Mends the emulator at `path`, or says that it is another one than that which is known.
///
/// # Errors
/// When the file cannot be read or written.
pub(super) fn mend(path: &Path) -> Result<()> {
    let mut program = fs::read(path).context(|| format!("reading {}", path.display()))?;
    let Some(at) = store(&program) else {
        eprintln!("xenlab: this QEMU is an unknown build and stays as it is; guests may get lost");
        return Ok(());
    };
    program[at..at + NOP.len()].copy_from_slice(&NOP);
    fs::write(path, program).context(|| format!("writing {}", path.display()))
}

/// Where the store is; `None` unless there is just one place that looks like it.
fn store(program: &[u8]) -> Option<usize> {
    let around = [&BEFORE[..], &STORE, &AFTER].concat();
    let delivers = around.len() + FURTHER;
    let looks_so = |at: &usize| {
        let seen = &program[*at..];
        seen.starts_with(&around)
            && seen.get(delivers..).is_some_and(|then| then.starts_with(&DELIVERS))
    };
    let mut places = (0..program.len()).filter(looks_so);
    let at = places.next()?;
    places.next().is_none().then_some(at + BEFORE.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_store_is_replaced_and_only_where_it_is_certain() {
        let with = |store: &[u8], further: &[u8]| {
            [&[1; 100][..], &BEFORE, store, &AFTER, further, &DELIVERS, &[2; 100]].concat()
        };
        let (program, other) = (with(&STORE, &[3; FURTHER]), with(&STORE, &[3; FURTHER - 1]));
        let path = tempfile::NamedTempFile::new().unwrap();
        for (before, after) in [
            (program.clone(), with(&NOP, &[3; FURTHER])),
            (program.repeat(2), program.repeat(2)),
            (other.clone(), other),
        ] {
            fs::write(path.path(), &before).unwrap();
            mend(path.path()).unwrap();
            assert_eq!(fs::read(path.path()).unwrap(), after);
        }
    }
}
