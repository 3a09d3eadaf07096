//! A terminal that tests can type in and look at: a detached session of tmux.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::Place;

/// How long something may take to show.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal of 80 by 24 with a shell in it. Gone when dropped.
pub struct Tmux {
    socket: PathBuf,
}

impl Tmux {
    /// `None`, and said so, where tmux is not installed.
    pub fn start(place: &Place) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            eprintln!("skipped: tmux is not installed");
            return None;
        }
        let tmux = Self { socket: place.path("tmux") };
        let mut new = tmux.command(&["new-session", "-d", "-x", "80", "-y", "24", "sh"]);
        new.current_dir(place.path("."));
        new.env("LC_ALL", "C.UTF-8").env("PS1", "$ ").env_remove("NO_COLOR").env_remove("RUST_LOG");
        let ran = new.output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        Some(tmux)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-f", "/dev/null", "-u", "-S"]).arg(&self.socket).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let ran = self.command(arguments).output().unwrap();
        assert!(ran.status.success(), "{arguments:?}: {ran:?}");
        ran
    }

    /// Presses keys, by tmux's names for them.
    pub fn press(&self, keys: &[&str]) {
        self.run(&[&["send-keys"], keys].concat());
    }

    /// Types a line.
    pub fn line(&self, text: &str) {
        self.run(&["send-keys", "-l", text]);
        self.press(&["Enter"]);
    }

    /// Makes it another size.
    pub fn resize(&self, width: u16, height: u16) {
        let (width, height) = (width.to_string(), height.to_string());
        self.run(&["resize-window", "-x", &width, "-y", &height]);
    }

    /// Takes it away from everybody in it.
    pub fn hang_up(&self) {
        self.run(&["kill-server"]);
    }

    /// What is on the screen.
    pub fn screen(&self) -> String {
        String::from_utf8(self.run(&["capture-pane", "-p"]).stdout).unwrap()
    }

    /// What a format of tmux says of it.
    pub fn says(&self, format: &str) -> String {
        let said = self.run(&["display-message", "-p", format]).stdout;
        String::from_utf8(said).unwrap().trim().to_owned()
    }

    /// Waits until the screen is as `wanted`; gives it.
    #[track_caller]
    pub fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            assert!(begun.elapsed() < PATIENCE, "no {what} in:\n{screen}");
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Waits until `text` is on the screen; gives the screen.
    #[track_caller]
    pub fn shows(&self, text: &str) -> String {
        self.until(&format!("`{text}`"), |screen| screen.contains(text))
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.command(&["kill-server"]).output();
    }
}
