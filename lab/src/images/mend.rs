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

/// What is around the store in Debian's builds: the vector, the error code, the store, and the next
/// two fields of the exception being cleared.
const BEFORE: [u8; 11] = [0x41, 0x0f, 0xb6, 0xf4, 0x44, 0x89, 0xab, 0x80, 0x33, 0, 0];
const STORE: [u8; 6] = [0x89, 0xb3, 0x54, 0xef, 0xff, 0xff];
const AFTER: [u8; 10] = [0xc7, 0x83, 0x84, 0x33, 0, 0, 0, 0, 0, 0];
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
    let mut places = program.windows(around.len()).enumerate().filter(|(_, seen)| *seen == around);
    let (at, _) = places.next()?;
    places.next().is_none().then_some(at + BEFORE.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_store_is_replaced_and_only_where_it_is_certain() {
        let around = [&BEFORE[..], &STORE, &AFTER].concat();
        let program = [&[1; 100][..], &around, &[2; 100]].concat();
        let path = tempfile::NamedTempFile::new().unwrap();
        for (before, after) in [
            (program.clone(), [&[1; 100][..], &BEFORE, &NOP, &AFTER, &[2; 100]].concat()),
            (program.repeat(2), program.repeat(2)),
            (around[1..].to_vec(), around[1..].to_vec()),
        ] {
            fs::write(path.path(), &before).unwrap();
            mend(path.path()).unwrap();
            assert_eq!(fs::read(path.path()).unwrap(), after);
        }
    }
}
