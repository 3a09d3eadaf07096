//! The terminal while the table is drawn: keys come as they are pressed, the table has a screen of
//! its own, and what goes to stderr waits. All is put back when this is dropped, also by a panic.

use std::fs::File;
use std::io::{self, IsTerminal, Seek, Stdout, stderr, stdout};
use std::os::fd::{AsFd, OwnedFd};

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::{Frame, Terminal};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::stdio::dup2_stderr;

/// The terminal, ready to be drawn on.
#[must_use = "dropping it gives the terminal back"]
pub struct Screen {
    // Dropped in this order: what waited is shown on the user's own screen.
    terminal: Terminal<CrosstermBackend<Stdout>>,
    _raw: Raw,
    _held: Option<HeldStderr>,
}

impl Screen {
    pub fn open() -> io::Result<Self> {
        let held = HeldStderr::hold()?;
        let raw = Raw::enter()?;
        let terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        Ok(Self { terminal, _raw: raw, _held: held })
    }

    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw).map(drop)
    }
}

/// Keys unbuffered and not echoed; a screen beside the user's own.
struct Raw;

impl Raw {
    fn enter() -> io::Result<Self> {
        enable_raw_mode()?;
        let raw = Self;
        execute!(stdout(), EnterAlternateScreen)?;
        Ok(raw)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing can be done for a terminal that has gone away.
        let _ = execute!(stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// stderr goes to memory: logs and a panic's message would be drawn over.
struct HeldStderr {
    real: OwnedFd,
    held: File,
}

impl HeldStderr {
    /// `None` where stderr is no terminal, and so not in the way.
    fn hold() -> io::Result<Option<Self>> {
        if !stderr().is_terminal() {
            return Ok(None);
        }
        let real = stderr().as_fd().try_clone_to_owned()?;
        let held = File::from(memfd_create("stderr", MemfdFlags::CLOEXEC)?);
        dup2_stderr(&held)?;
        Ok(Some(Self { real, held }))
    }
}

impl Drop for HeldStderr {
    fn drop(&mut self) {
        // Nobody is left to tell where this fails.
        let _ = dup2_stderr(&self.real);
        let _ = self.held.rewind().and_then(|()| io::copy(&mut self.held, &mut stderr()));
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Run by the test below, in a terminal.
    #[test]
    #[ignore = "it panics, in a terminal that another test gives it"]
    fn panics() {
        let mut screen = Screen::open().unwrap();
        screen.draw(|frame| frame.render_widget("drawn", frame.area())).unwrap();
        eprintln!("logged");
        panic!("something went wrong");
    }

    #[test]
    fn a_panic_gives_the_terminal_back_and_is_shown() {
        let program = std::env::current_exe().unwrap();
        let panics = "top::terminal::tests::panics";
        let test = format!("{} --ignored --nocapture --exact {panics}", program.display());
        let run = format!("stty rows 24 cols 80; {test}; stty -a");
        let ran = Command::new("script").args(["-qec", &run, "/dev/null"]).output();
        let Ok(ran) = ran else {
            return eprintln!("skipped: `script` is not installed");
        };
        let said = String::from_utf8_lossy(&ran.stdout);
        let at = |text: &str| said.find(text).unwrap_or_else(|| panic!("no {text:?} in {said:?}"));
        assert!(at("\x1b[?1049h") < at("drawn") && at("drawn") < at("\x1b[?1049l"));
        assert!(at("\x1b[?1049l") < at("logged") && at("logged") < at("something went wrong"));
        assert!(said.contains(" icanon") && said.contains(" echo "), "{said}");
    }
}
