//! Recognising a save among the host's processes: one that runs, and one whose exec the kernel
//! still holds back.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use crate::host::DomId;

/// What a program is about to do to a domain, judged by its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    /// Save this domain.
    Save(DomId),
    /// Restore into this domain.
    Restore(DomId),
    /// It cannot be told; take it for a save of any domain.
    Unknown,
}

impl Intent {
    /// Whether it may touch the dirty log of `id`.
    pub(super) fn concerns(self, id: DomId) -> bool {
        match self {
            Self::Save(saved) => saved == id,
            Self::Restore(_) => false,
            Self::Unknown => true,
        }
    }
}

/// A program on disk, known by its inode, so that links and copies of its path do not hide it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Program {
    device: u64,
    inode: u64,
}

impl Program {
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|meta| Self::of(&meta))
    }

    pub(super) fn of(file: &fs::Metadata) -> Self {
        Self { device: file.dev(), inode: file.ino() }
    }
}

/// The intent that libxl's arguments for its save helper express: the mode, two file
/// descriptors, then the domid (`run_helper` in libxl_save_callout.c, 4.14 to 4.20).
pub(super) fn intent(arguments: &[String]) -> Intent {
    for (at, mode) in arguments.iter().enumerate() {
        let build = match mode.as_str() {
            "--save-domain" => Intent::Save,
            "--restore-domain" => Intent::Restore,
            _ => continue,
        };
        let domid = arguments.get(at + 3).and_then(|number| number.parse().ok());
        return domid.map_or(Intent::Unknown, |id| build(DomId(id)));
    }
    Intent::Unknown
}

/// Every process that runs one of `programs`, or any program with the save helper's arguments,
/// or that is just about to.
pub(super) fn running(programs: &[Program]) -> io::Result<Vec<(u32, Intent)>> {
    let mut found = Vec::new();
    for pid in others()? {
        let pid = pid?;
        found.extend(judge(pid, programs).map(|seen| (pid, seen)));
    }
    Ok(found)
}

/// Every process whose arguments are those of a save of domain `id`. Unlike [`running`], only what
/// can be told for sure.
pub(super) fn saving(id: DomId) -> io::Result<Vec<u32>> {
    let is_one = |pid: &io::Result<u32>| pid.as_ref().map_or(true, |pid| is_saving(*pid, id));
    others()?.filter(is_one).collect()
}

/// Whether the arguments of process `pid` are those of a save of domain `id`.
pub(super) fn is_saving(pid: u32, id: DomId) -> bool {
    arguments(pid).is_ok_and(|words| intent(&words) == Intent::Save(id))
}

/// Every process but this one.
fn others() -> io::Result<impl Iterator<Item = io::Result<u32>>> {
    let me = std::process::id();
    let others = fs::read_dir("/proc")?.map(move |entry| {
        let pid = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        Ok(pid.filter(|pid| *pid != me))
    });
    Ok(others.filter_map(Result::transpose))
}

fn judge(pid: u32, programs: &[Program]) -> Option<Intent> {
    // A process that ends while it is looked at is no save.
    let arguments = arguments(pid).unwrap_or_default();
    match intent(&arguments) {
        Intent::Unknown => {}
        known => return Some(known),
    }
    let runs = Program::at(Path::new(&format!("/proc/{pid}/exe")));
    if runs.is_ok_and(|program| programs.contains(&program)) {
        return Some(Intent::Unknown);
    }
    let (program, arguments) = pending_exec(pid)?;
    let program = Program::at(Path::new(&program)).ok();
    program.filter(|program| programs.contains(program)).map(|_| intent(&arguments))
}

/// Whether the process still exists.
pub(super) fn alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// The process that started it; `None` when it has gone.
pub(super) fn parent(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
}

/// The arguments of the program that a process runs now.
pub(super) fn arguments(pid: u32) -> io::Result<Vec<String>> {
    let line = fs::read(format!("/proc/{pid}/cmdline"))?;
    let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    Ok(words.map(|word| String::from_utf8_lossy(word).into_owned()).collect())
}

/// The program and arguments of an exec that a process has asked for and that has not happened
/// yet; `None` when it has not asked, or this kernel cannot tell without risk.
///
/// While a process waits in execve, its old memory still holds the new arguments.
pub(super) fn pending_exec(pid: u32) -> Option<(String, Vec<String>)> {
    // Before Linux 5.7 looking at a process in the midst of an exec waits for that exec to end,
    // which would be for ever when it waits for our answer.
    if !kernel_at_least(5, 7) {
        return None;
    }
    let call = fs::read_to_string(format!("/proc/{pid}/syscall")).ok()?;
    let (program, arguments) = exec_pointers(&call)?;
    let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    let program = read_text(&memory, program)?;
    let mut words = Vec::new();
    for nth in 0..MOST_ARGUMENTS {
        let mut pointer = [0; 8];
        memory.read_exact_at(&mut pointer, arguments.checked_add(nth * 8)?).ok()?;
        match u64::from_ne_bytes(pointer) {
            0 => return Some((program, words)),
            pointer => words.push(read_text(&memory, pointer)?),
        }
    }
    None
}

/// The same for a process that is known to wait in an exec. Its event may come a moment before the
/// process rests, and until then its memory and registers cannot be read.
pub(super) fn held_exec(pid: u32) -> Option<(String, Vec<String>)> {
    const LOOKS: u32 = 20;
    const BETWEEN: Duration = Duration::from_micros(50);
    (0..LOOKS).find_map(|nth| {
        if nth > 0 {
            std::thread::sleep(BETWEEN);
        }
        pending_exec(pid)
    })
}

/// More than any save helper gets.
const MOST_ARGUMENTS: u64 = 64;
/// As long as a path may be (PATH_MAX).
const MOST_TEXT: usize = 4096;

/// The addresses of path and arguments in a line of /proc/PID/syscall; `None` unless it is an
/// exec. The numbers are those of x86-64.
fn exec_pointers(line: &str) -> Option<(u64, u64)> {
    const EXECVE: u64 = 59;
    const EXECVEAT: u64 = 322;
    let mut words = line.split_ascii_whitespace();
    let number: u64 = words.next()?.parse().ok()?;
    let values: Vec<u64> = words
        .map(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16))
        .collect::<Result<_, _>>()
        .ok()?;
    match number {
        EXECVE => Some((*values.first()?, *values.get(1)?)),
        EXECVEAT => Some((*values.get(1)?, *values.get(2)?)),
        _ => None,
    }
}

fn read_text(memory: &File, address: u64) -> Option<String> {
    const CHUNK: usize = 64;
    let mut text = Vec::new();
    while text.len() < MOST_TEXT {
        let mut chunk = [0; CHUNK];
        let at = address.checked_add(text.len() as u64)?;
        // A text may end just before memory that cannot be read: a short read is fine.
        let got = memory.read_at(&mut chunk, at).ok().filter(|got| *got > 0)?;
        if let Some(end) = chunk[..got].iter().position(|byte| *byte == 0) {
            text.extend_from_slice(&chunk[..end]);
            return Some(String::from_utf8_lossy(&text).into_owned());
        }
        text.extend_from_slice(&chunk[..got]);
    }
    None
}

/// Whether this kernel is at least `major.minor`.
pub(super) fn kernel_at_least(major: u32, minor: u32) -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_helpers_arguments_say_what_it_will_do() {
        let save = words("/usr/lib/xen-4.17/bin/libxl-save-helper --save-domain 15 -1 7 1 56 0");
        assert_eq!(intent(&save), Intent::Save(DomId(7)));
        let restore = words("libxl-save-helper --restore-domain 11 12 9 1 0 2 0 6 0");
        assert_eq!(intent(&restore), Intent::Restore(DomId(9)));
        let wrapped = words("/bin/sh /etc/xen/helper --save-domain 15 -1 7 1 56 0");
        assert_eq!(intent(&wrapped), Intent::Save(DomId(7)));
    }

    #[test]
    fn in_doubt_it_concerns_every_domain() {
        for odd in
            ["xenguest -mode live_suspend", "helper --save-domain 3 4", "h --save-domain a b c"]
        {
            assert_eq!(intent(&words(odd)), Intent::Unknown, "{odd}");
            assert!(intent(&words(odd)).concerns(DomId(5)));
        }
        assert!(!Intent::Save(DomId(4)).concerns(DomId(5)));
        assert!(!Intent::Restore(DomId(5)).concerns(DomId(5)));
    }

    #[test]
    fn only_an_exec_has_pending_arguments() {
        let exec = "59 0x55d0 0x7ffe10 0x7ffe20 0x0 0x0 0x0 0x7ffd0 0x7f00";
        assert_eq!(exec_pointers(exec), Some((0x55d0, 0x7ffe10)));
        let at = "322 0x3 0x55d0 0x7ffe10 0x7ffe20 0x0 0x0 0x7ffd0 0x7f00";
        assert_eq!(exec_pointers(at), Some((0x55d0, 0x7ffe10)));
        assert_eq!(exec_pointers("running"), None);
        assert_eq!(exec_pointers("0 0x3 0x55d0 0x7ffe10 0x0 0x0 0x0 0x7ffd0 0x7f00"), None);
    }

    #[test]
    fn this_process_has_no_exec_pending_and_is_alive() {
        assert_eq!(parent(std::process::id()), Some(std::os::unix::process::parent_id()));
        assert!(alive(std::process::id()));
        assert_eq!(pending_exec(std::process::id()), None);
        assert!(kernel_at_least(2, 6) && !kernel_at_least(1000, 0));
    }
}
