//! The kernel's permission marks (fanotify) on the programs that save domains, and on libxenguest,
//! which holds the code of every save. Whoever wants to run the one or open the other waits for an
//! answer.
//!
//! It waits until the answer comes or the last descriptor of the marks is closed, in whatever
//! process that one is. So a child that libxl forks must not keep its copy: this process can be
//! killed before it has answered ([`fork_without_marks`]).

use std::ffi::c_void;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};

use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};

use super::process::Program;
use crate::error::{Error, Kind, Result};

/// The descriptor of the marks that were opened last, for children of this process.
static OPEN: AtomicI32 = AtomicI32::new(NONE);
const NONE: i32 = -1;

/// Open marks. What they hold back goes on when this is dropped.
pub(super) struct Marks(Fanotify);

/// The files that have marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marked {
    /// The programs that save domains.
    pub(super) helpers: Vec<Program>,
    /// libxenguest; `None` when this process has not loaded it.
    library: Option<Program>,
}

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

    /// Marks `helpers`, and the libxenguest that this process has loaded: the files that have these
    /// paths now. What is marked already stays so.
    ///
    /// # Errors
    /// [`Kind::Usage`] when one of them is not there, [`Kind::Unguarded`] when the kernel has no
    /// exec permission events (before 5.0).
    pub(super) fn add(&self, helpers: &[PathBuf]) -> Result<Marked> {
        let exec = MaskFlags::FAN_OPEN_EXEC_PERM;
        let helpers = helpers.iter().map(|helper| self.mark(exec, helper));
        let helpers = helpers.collect::<Result<_>>()?;
        let library = loaded_libxenguest();
        let library = library.map(|path| self.mark(MaskFlags::FAN_OPEN_PERM, &path)).transpose()?;
        Ok(Marked { helpers, library })
    }

    fn mark(&self, mask: MaskFlags, path: &Path) -> Result<Program> {
        let failed = |errno| failed(format!("cannot guard {}", path.display()), errno);
        let odd = |cause: io::Error| {
            failed(cause.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw))
        };
        // Another file may get the path at any moment: the one that is marked is the one looked at.
        // O_PATH opens it for nobody to notice.
        let file = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path);
        let file = file.map_err(odd)?;
        let program = Program::of(&file.metadata().map_err(odd)?);
        let this = format!("/proc/self/fd/{}", file.as_raw_fd());
        let marked = self.0.mark(MarkFlags::FAN_MARK_ADD, mask, AT_FDCWD, Some(this.as_str()));
        marked.map(|()| program).map_err(failed)
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

fn failed(what: String, errno: Errno) -> Error {
    let kind = match errno {
        Errno::EPERM => Kind::Permission,
        Errno::EINVAL | Errno::ENOSYS => Kind::Unguarded,
        Errno::ENOENT => Kind::Usage,
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
    libxenguest_in(&std::fs::read_to_string("/proc/self/maps").ok()?)
}

/// The path of libxenguest in a list of mappings. After an update of Xen's packages the file that is
/// loaded has no path any more; the one that others load has the path it had.
fn libxenguest_in(maps: &str) -> Option<PathBuf> {
    let mut paths = maps.lines().filter_map(|line| line.get(line.find('/')?..));
    let path = paths.find(|path| {
        path.rsplit('/').next().is_some_and(|name| name.starts_with("libxenguest.so"))
    })?;
    Some(PathBuf::from(path.strip_suffix(" (deleted)").unwrap_or(path)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::time::Duration;

    use nix::sys::fanotify::{FanotifyResponse, Response};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    /// One test at a time has marks: there is one [`OPEN`]. `None` where this user or kernel cannot
    /// have them.
    fn open() -> Option<(Marks, MutexGuard<'static, ()>)> {
        static ONE: Mutex<()> = Mutex::new(());
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let marks = Marks::open().inspect_err(|error| eprintln!("skipped: {error}")).ok()?;
        Some((marks, one))
    }

    /// Runs `program` and says whether it was held back until it was answered.
    fn is_held_back(marks: &Marks, program: &Path) -> bool {
        let program = program.to_owned();
        let running = std::thread::spawn(move || {
            loop {
                match Command::new(&program).status() {
                    // A child that another test just starts has it open for writing.
                    Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    status => return status.unwrap(),
                }
            }
        });
        let mut held = false;
        while !running.is_finished() {
            let soon = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
            if poll(&mut [PollFd::new(marks.group(), PollFlags::IN)], Some(&soon)).unwrap() == 0 {
                continue;
            }
            for event in marks.group().read_events().unwrap() {
                held |= event.mask().contains(MaskFlags::FAN_OPEN_EXEC_PERM);
                let file = event.fd().unwrap();
                let allow = FanotifyResponse::new(file, Response::FAN_ALLOW);
                marks.group().write_response(allow).unwrap();
            }
        }
        assert!(running.join().unwrap().success());
        held
    }

    #[test]
    fn a_program_that_replaces_another_is_held_back_once_it_is_marked_too() {
        let Some((marks, _one)) = open() else { return };
        let dir = tempfile::tempdir().unwrap();
        let [helper, new] = ["helper", "helper.new"].map(|name| dir.path().join(name));
        fs::copy("/bin/true", &helper).unwrap();
        let helpers = [helper.clone()];
        let first = marks.add(&helpers).unwrap();
        assert_eq!(first.helpers, [Program::at(&helper).unwrap()]);
        assert!(is_held_back(&marks, &helper));
        assert_eq!(marks.add(&helpers).unwrap(), first);

        // As package managers do it.
        fs::copy("/bin/true", &new).unwrap();
        fs::rename(&new, &helper).unwrap();
        assert!(!is_held_back(&marks, &helper), "marks are on files, not on paths");
        assert_ne!(marks.add(&helpers).unwrap(), first);
        assert!(is_held_back(&marks, &helper));

        fs::remove_file(&helper).unwrap();
        assert_eq!(marks.add(&helpers).unwrap_err().kind(), Kind::Usage);
    }

    #[test]
    fn the_library_is_found_though_its_file_was_replaced() {
        let maps = |end: &str| {
            format!(
                "7f00-7f01 r--p 00000000 fe:00 1 /lib/libc.so.6\n7f02-7f03 rw-p 00000000 00:00 0\n\
                 7f04-7f05 r-xp 00000000 fe:00 2      /lib/x/libxenguest.so.4.17.0{end}\n"
            )
        };
        let library = Some(PathBuf::from("/lib/x/libxenguest.so.4.17.0"));
        assert_eq!(libxenguest_in(&maps("")), library);
        assert_eq!(libxenguest_in(&maps(" (deleted)")), library);
        assert_eq!(libxenguest_in("7f02-7f03 rw-p 00000000 00:00 0 [heap]\n"), None);
    }

    #[test]
    fn a_child_of_libxls_has_no_marks() {
        let Some((marks, _one)) = open() else { return };
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
