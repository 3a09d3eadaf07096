//! `xenmig-save-helper`: what libxl runs in place of its own save helper when `LIBXL_SAVE_HELPER`
//! points here. It becomes libxl's helper; for a save, with the hook preloaded.
//!
//! Whatever is wrong with the hook, the save itself must not suffer: then it becomes the helper
//! without it. So this program is not linked with Xen's libraries, which may be of another version
//! by now.

#[allow(dead_code, reason = "the other half is for the program xenmig")]
#[path = "../../xenmig/src/migrate/installed.rs"]
mod installed;

use std::ffi::{OsStr, OsString};
use std::os::unix::process::{CommandExt, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let named = std::env::var_os(installed::STOCK_VARIABLE).map(PathBuf::from);
    let this_program = Path::new("/proc/self/exe");
    let stock = installed::stock_helper(named, &parent_id().to_string(), this_program);
    let Some(stock) = stock else {
        return fail(&format!(
            "libxl's own was not found; name it in {}",
            installed::STOCK_VARIABLE
        ));
    };
    let mut helper = Command::new(&stock);
    helper.args(&arguments);
    if arguments.first().is_some_and(|mode| mode == "--save-domain") {
        match preload(&stock) {
            Ok(preload) => {
                helper.env("LD_PRELOAD", preload);
            }
            Err(why) => say(&format!("{why}; this save follows Xen's own policy")),
        }
    }
    let cause = helper.exec();
    fail(&format!("cannot run {}: {cause}", stock.display()))
}

fn say(what: &str) {
    use std::io::Write;
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(std::io::stderr(), "xenmig-save-helper: {what}");
}

/// What libxl takes for a helper that could not begin.
fn fail(why: &str) -> ExitCode {
    say(why);
    ExitCode::FAILURE
}

/// What to preload into `stock`.
fn preload(stock: &Path) -> Result<OsString, String> {
    let named = std::env::var_os(installed::LIBRARY_VARIABLE).map(PathBuf::from);
    let library = match named {
        Some(library) => library,
        None => {
            let me = std::env::current_exe().map_err(|cause| format!("where am I? {cause}"))?;
            let library = me.parent().and_then(installed::library);
            library.ok_or_else(|| format!("there is no hook beside {}", me.display()))?
        }
    };
    if let Some(why) = installed::misfit(&library, stock) {
        return Err(why);
    }
    let mut preload = library.into_os_string();
    if let Some(others) = std::env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
        preload.push(OsStr::new(":"));
        preload.push(others);
    }
    Ok(preload)
}
