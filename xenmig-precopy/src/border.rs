//! The C border: `xc_domain_save` in the place of libxenguest's, and the two callbacks it puts into
//! the real one. Thin: what they do is in `session` and `driver`.
//!
//! The callbacks' `data` belongs to libxl and goes through untouched, so what is ours is in a
//! static. Its lock is held over the session's hypercalls, whose messages go to the save's own
//! logger; and libxl's may end the process. What then is left to do has a static of its own, whose
//! lock nobody holds while foreign code runs.

use std::any::Any;
use std::ffi::{CStr, c_int, c_void};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError, TryLockError};

use nix::errno::Errno;
use xen_sys as sys;
use xenmig::host::DomId;
use xenmig::xen::{BUILT_FOR, NotedCap, Options, Saving, outlast_other_saves};
use xenmig::{Error, Kind, Result};

use crate::driver::{Answer, Told, stock};
use crate::session::{self, Session};
use crate::{holding, report};

mod dirty_log;

/// What the callbacks need of a session.
trait Steer: Send {
    fn decide(&mut self, told: &Told) -> Answer;
    fn fall_back(&mut self, why: &str);
    fn suspending(&mut self);
    fn suspended(&mut self);
    fn end(&mut self, result: c_int);
    fn abandon(&mut self);
}

impl Steer for Session {
    fn decide(&mut self, told: &Told) -> Answer {
        self.decide(told)
    }

    fn fall_back(&mut self, why: &str) {
        self.fall_back(why);
    }

    fn suspending(&mut self) {
        self.suspending();
    }

    fn suspended(&mut self) {
        self.suspended();
    }

    fn end(&mut self, result: c_int) {
        self.end(result);
    }

    fn abandon(&mut self) {
        self.abandon();
    }
}

type Suspend = unsafe extern "C" fn(*mut c_void) -> c_int;

/// The save that is being steered.
struct Steered {
    session: Box<dyn Steer>,
    suspend: Option<Suspend>,
}

static STEERED: Mutex<Option<Steered>> = Mutex::new(None);

/// What is left to do of a save when this process ends within a call of its session.
type LastResort = Box<dyn FnOnce() + Send>;

static LAST_RESORT: Mutex<Option<LastResort>> = Mutex::new(None);

fn last_resort() -> MutexGuard<'static, Option<LastResort>> {
    LAST_RESORT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn steered() -> MutexGuard<'static, Option<Steered>> {
    STEERED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` on the session, if there is one. `None` also when it panics; the session is then
/// told to keep out of the way.
fn with_session<T>(work: impl FnOnce(&mut dyn Steer) -> T) -> Option<T> {
    let mut steered = steered();
    let session = steered.as_mut()?.session.as_mut();
    // What a panic leaves half done is not used again but for its end, which touches little.
    match catch_unwind(AssertUnwindSafe(|| work(session))) {
        Ok(done) => Some(done),
        Err(panic) => {
            let why = format!("a fault in xenmig: {}", message(&*panic));
            // A second one changes nothing: the answer is the stock policy's either way.
            let _ = catch_unwind(AssertUnwindSafe(|| session.fall_back(&why)));
            None
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic")
}

/// Stands before the function of the same name in libxenguest (tools/include/xenguest.h) and calls
/// it, with callbacks of our own for a live save that is no checkpoint.
///
/// # Safety
/// As the real one: an open handle, callbacks that live as long as the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xc_domain_save(
    handle: *mut sys::xc_interface,
    stream: c_int,
    domid: u32,
    flags: u32,
    callbacks: *mut sys::save_callbacks,
    stream_type: sys::xc_stream_type_t,
    back: c_int,
) -> c_int {
    let Some(real) = real_save() else {
        Errno::ENOSYS.set();
        return -1;
    };
    let save = |callbacks| {
        // SAFETY: these are our own arguments, and callbacks that the caller guarantees for, or a
        // copy of them on this stack with functions that live for ever.
        unsafe { real(handle, stream, domid, flags, callbacks, stream_type, back) }
    };
    let live = flags & sys::XCFLAGS_LIVE != 0;
    // First, for a save that ends now may set the cap back and take its note away.
    let noted = if live { noted_cap(domid) } else { None };
    if live && is_refused(domid) {
        Errno::EBUSY.set();
        return -1;
    }
    if !live || stream_type != sys::XC_STREAM_PLAIN || callbacks.is_null() {
        return save(callbacks);
    }
    // SAFETY: not null, so by this function's contract it points to the caller's callbacks.
    let mut ours = unsafe { *callbacks };
    let begun = catch_unwind(|| {
        // SAFETY: the save writes to this descriptor, so it is open until the save has ended, and
        // the session is gone then.
        let written = unsafe { BorrowedFd::borrow_raw(stream) };
        let id = u16::try_from(domid).map_err(|_| Error::new(Kind::Usage, "no domid"))?;
        if dirty_log::is_in_the_way() {
            holding::begin(domid);
        }
        session::begin(id, written, || {
            fits(real)?;
            let notes: PathBuf = Options::default().run_directory;
            // SAFETY: the handle is open until the save has ended; that it is of the right version
            // was just seen.
            let saving = unsafe { Saving::new(handle, DomId(id), notes) }?;
            let resort = saving.last_resort();
            *last_resort() = Some(Box::new(move || abandon(&resort)));
            if let Some(noted) = noted {
                session::put_cap_back(&saving, noted);
            }
            Ok(saving)
        })
    });
    // Why not, has been said: by the session, or by the panic.
    let Ok(Ok(session)) = begun else {
        holding::end();
        last_resort().take();
        return save(callbacks);
    };
    *steered() = Some(Steered { session: Box::new(session), suspend: ours.suspend });
    clean_up_at_exit();
    ours.precopy_policy = Some(policy);
    ours.suspend = ours.suspend.map(|_| suspend as Suspend);
    let result = save(&raw mut ours);
    let errno = Errno::last();
    with_session(|session| session.end(result));
    holding::end();
    let ended = steered().take();
    let _ = catch_unwind(AssertUnwindSafe(|| drop(ended)));
    last_resort().take();
    errno.set();
    result
}

/// The note of a save that has lowered the cap of domain `domid`.
fn noted_cap(domid: u32) -> Option<NotedCap> {
    let look = || {
        let id = u16::try_from(domid).ok()?;
        NotedCap::of(&Options::default().run_directory, DomId(id))
    };
    catch_unwind(look).ok().flatten()
}

/// Whether a live save of domain `domid` may not begin, which nothing has been done for yet. Where
/// that cannot be told it may, as without the hook.
fn is_refused(domid: u32) -> bool {
    let looked = catch_unwind(|| {
        report::start();
        let Ok(id) = u16::try_from(domid) else { return false };
        match outlast_other_saves(DomId(id)) {
            Ok(()) => false,
            Err(error) if error.kind() == Kind::Busy => {
                let advice = error.advice().unwrap_or_default();
                log::error!(
                    "{error}; two saves would destroy the guest, which goes on here: {advice}"
                );
                true
            }
            Err(error) => {
                log::warn!("{error}");
                false
            }
        }
    });
    looked.unwrap_or(false)
}

/// Xen's question before and after each send.
unsafe extern "C" fn policy(stats: sys::precopy_stats, _data: *mut c_void) -> c_int {
    let told = Told {
        iteration: stats.iteration,
        #[allow(clippy::useless_conversion, reason = "it was 32 bits before Xen 4.15")]
        total_written: u64::from(stats.total_written),
        dirty: u64::try_from(stats.dirty_count).ok(),
    };
    let decide = |session: &mut dyn Steer| {
        let panics = cfg!(feature = "panics") && told.iteration == 1 && told.dirty.is_none();
        assert!(!panics, "it was built to panic");
        session.decide(&told)
    };
    let answer = with_session(decide).unwrap_or_else(|| stock(&told));
    if answer == Answer::Abort {
        // What libxl gives as the reason.
        Errno::ECANCELED.set();
    }
    code(answer)
}

const fn code(answer: Answer) -> c_int {
    match answer {
        Answer::Continue => sys::XGS_POLICY_CONTINUE_PRECOPY as c_int,
        Answer::StopAndCopy => sys::XGS_POLICY_STOP_AND_COPY as c_int,
        Answer::Abort => sys::XGS_POLICY_ABORT,
    }
}

/// Times the original callback.
unsafe extern "C" fn suspend(data: *mut c_void) -> c_int {
    let original = steered().as_ref().and_then(|steered| steered.suspend);
    with_session(|session| session.suspending());
    // SAFETY: the caller's own callback with the caller's own data, as the real save would call it.
    let suspended = original.map_or(0, |original| unsafe { original(data) });
    if suspended != 0 {
        with_session(|session| session.suspended());
    }
    suspended
}

/// The function that ours stands before.
fn real_save() -> Option<RealSave> {
    const NAME: &CStr = c"xc_domain_save";
    // SAFETY: a C string, and a lookup among what is loaded.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, NAME.as_ptr()) };
    // SAFETY: null is None, and the symbol of this name has this type in all of Xen 4.14 to 4.20.
    unsafe { std::mem::transmute::<*mut c_void, sys::xc_domain_save_fn>(found) }
}

type RealSave = unsafe extern "C" fn(
    *mut sys::xc_interface,
    c_int,
    u32,
    u32,
    *mut sys::save_callbacks,
    sys::xc_stream_type_t,
    c_int,
) -> c_int;

/// Fails unless the save's own library is of the Xen this was built for: `precopy_stats` comes by
/// value, and its size changed in 4.15.
fn fits(real: RealSave) -> Result<()> {
    let mut found = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: any address may be asked for; the call fills the structure.
    let known = unsafe { libc::dladdr(real as *const c_void, found.as_mut_ptr()) } != 0;
    // SAFETY: a structure of pointers, zeroed.
    let found = unsafe { found.assume_init() };
    if !known || found.dli_fname.is_null() {
        return Err(Error::new(Kind::NoXen, "the library that saves has no name"));
    }
    // SAFETY: not null, and then a C string that lives as long as the library is loaded.
    let name = unsafe { CStr::from_ptr(found.dli_fname) }.to_string_lossy();
    if belongs(Path::new(&*name), BUILT_FOR) {
        return Ok(());
    }
    let what = format!("the hook was built for Xen {BUILT_FOR}, but {name} saves");
    Err(Error::new(Kind::NoXen, what))
}

/// Whether the file name of a library, or that of what it links to, says that it is of this Xen.
fn belongs(library: &Path, version: &str) -> bool {
    let says = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let (_, after) = name.as_deref()?.split_once(".so.")?;
        let rest = after.strip_prefix(version)?;
        (rest.is_empty() || rest.starts_with('.')).then_some(())
    };
    says(library).or_else(|| says(&library.canonicalize().ok()?)).is_some()
}

/// libxl's helper ends itself in the midst of a save when libxl has gone, and leaves the log on.
fn clean_up_at_exit() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: a function of this library, which is never unloaded.
        if unsafe { libc::atexit(at_exit) } != 0 {
            log::warn!("nothing will be cleaned up if the save helper ends itself");
        }
    });
}

extern "C" fn at_exit() {
    let _ = catch_unwind(|| {
        let mut steered = match STEERED.try_lock() {
            Ok(steered) => Some(steered),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            // It ends within a call of the session, below on this very stack.
            Err(TryLockError::WouldBlock) => None,
        };
        if let Some(steered) = steered.as_mut().and_then(|steered| steered.as_mut()) {
            return steered.session.abandon();
        }
        let resort = last_resort().take();
        if let Some(resort) = resort {
            resort();
        }
    });
}

fn abandon(resort: &xenmig::xen::LastResort) {
    log::warn!("libxl's helper ends in the midst of a save");
    if let Err(error) = resort.abandon() {
        log::error!("{error}; `xenmig recover` tries again");
    }
}

#[cfg(test)]
mod tests;
