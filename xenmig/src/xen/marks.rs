//! The kernel's permission marks (fanotify) on the programs that save domains, and on libxenguest,
//! which holds the code of every save. Whoever wants to run the one or open the other waits for an
//! answer.
//!
//! It waits until the answer comes or the last descriptor of the marks is closed, in whatever
//! process that one is. So a child that libxl forks must not keep its copy: this process can be
//! killed before it has answered ([`fork_without_marks`]).

use std::ffi::c_void;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};

use nix::fcntl::AT_FDCWD;
use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};

use crate::error::{Error, Kind, Result};

/// The descriptor of the marks that were opened last, for children of this process.
static OPEN: AtomicI32 = AtomicI32::new(NONE);
const NONE: i32 = -1;

/// Open marks. What they hold back goes on when this is dropped.
pub(super) struct Marks(Fanotify);

impl Marks {
    /// Opens them; nothing is marked yet.
    ///
    /// # Errors
    /// [`Kind::Permission`] without CAP_SYS_ADMIN, [`Kind::Unguarded`] when the kernel has no
    /// permission events.
    pub(super) fn open() -> Result<Self> {
        let group = Fanotify::init(
            InitFlags::FAN_CLASS_CONTENT
                | InitFlags::FAN_CLOEXEC
                | InitFlags::FAN_NONBLOCK
                | InitFlags::FAN_UNLIMITED_QUEUE,
            EventFFlags::O_RDONLY | EventFFlags::O_LARGEFILE | EventFFlags::O_CLOEXEC,
        )
        .map_err(|errno| failed("cannot watch for saves".into(), errno))?;
        OPEN.store(group.as_raw_fd(), Ordering::SeqCst);
        Ok(Self(group))
    }

    /// Marks `helpers`, and the libxenguest that this process has loaded.
    ///
    /// # Errors
    /// [`Kind::Usage`] when one of them is not there, [`Kind::Unguarded`] when the kernel has no
    /// exec permission events (before 5.0).
    pub(super) fn add(&self, helpers: &[PathBuf]) -> Result<()> {
        for helper in helpers {
            self.mark(MaskFlags::FAN_OPEN_EXEC_PERM, helper)?;
        }
        if let Some(library) = loaded_libxenguest() {
            self.mark(MaskFlags::FAN_OPEN_PERM, &library)?;
        }
        Ok(())
    }

    fn mark(&self, mask: MaskFlags, path: &Path) -> Result<()> {
        self.0
            .mark(MarkFlags::FAN_MARK_ADD, mask, AT_FDCWD, Some(path))
            .map_err(|errno| failed(format!("cannot guard {}", path.display()), errno))
    }

    /// Where events come from, and answers go to.
    pub(super) const fn group(&self) -> &Fanotify {
        &self.0
    }
}

impl Drop for Marks {
    fn drop(&mut self) {
        // Before it is closed: right after that, the number may be another file's. If the number is
        // that of newer marks it stays.
        let own = self.0.as_raw_fd();
        let _ = OPEN.compare_exchange(own, NONE, Ordering::SeqCst, Ordering::SeqCst);
    }
}

fn failed(what: String, errno: nix::Error) -> Error {
    let kind = match errno {
        nix::Error::EPERM => Kind::Permission,
        nix::Error::EINVAL | nix::Error::ENOSYS => Kind::Unguarded,
        nix::Error::ENOENT => Kind::Usage,
        _ => Kind::Internal,
    };
    Error::new(kind, what).because(errno).hint(
        "guarding saves needs root (CAP_SYS_ADMIN) in the control domain and Linux 5.0 or later; \
         without the guard nothing is sampled",
    )
}

/// What libxl is to call in place of fork: the child does not keep the marks open. Until it runs
/// another program, which closes them by itself, it may wait for an answer, and some children of
/// libxl's never run another.
///
/// # Safety
/// As fork: the child of a process with threads may only do what a signal handler may.
pub(super) unsafe extern "C" fn fork_without_marks(_: *mut c_void) -> libc::pid_t {
    // SAFETY: whoever calls this would call fork here.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // Asked of the child's own memory, copied after its descriptors were: an open number is that
        // of the marks. Forgotten, for the child may fork again (`libxl__spawn_spawn`).
        let marks = OPEN.swap(NONE, Ordering::SeqCst);
        if marks != NONE {
            // SAFETY: the thread that uses it does not exist in the child; close is safe there.
            unsafe { libc::close(marks) };
        }
    }
    pid
}

/// The file of libxenguest that this process has loaded.
fn loaded_libxenguest() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().find_map(|line| {
        Some(&line[line.find('/')?..]).filter(|path| {
            path.rsplit('/').next().is_some_and(|name| name.starts_with("libxenguest.so"))
        })
    })?;
    Some(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_of_libxls_has_no_marks() {
        let marks = match Marks::open() {
            Ok(marks) => marks,
            Err(error) => return eprintln!("skipped: {error}"),
        };
        let open = marks.group().as_raw_fd();
        // SAFETY: the child makes system calls only, and ends.
        let child = unsafe { fork_without_marks(std::ptr::null_mut()) };
        if child == 0 {
            // SAFETY: as above.
            let kept = unsafe { libc::fcntl(open, libc::F_GETFD) } != -1;
            let known = OPEN.load(Ordering::SeqCst) != NONE;
            // SAFETY: as above.
            unsafe { libc::_exit(i32::from(kept) + 2 * i32::from(known)) };
        }
        let mut status = -1;
        // SAFETY: the call writes the one number it is given.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0, "1: it has the descriptor, 2: it would close it again");
        // This process has them still, until they are dropped.
        assert_eq!(OPEN.load(Ordering::SeqCst), open);
        drop(marks);
        assert_eq!(OPEN.load(Ordering::SeqCst), NONE);
    }
}
