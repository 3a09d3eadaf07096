//! What the terminal can show: colour and characters beyond ASCII.

use std::env::var_os;
use std::io::IsTerminal;

use clap::builder::styling::{AnsiColor, Style as Ansi};

/// How to decorate text for one stream.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Colour is shown and wanted.
    pub colour: bool,
    /// Characters beyond ASCII are shown as they should be.
    pub unicode: bool,
}

impl Style {
    pub fn stdout() -> Self {
        Self::of(std::io::stdout().is_terminal())
    }

    pub fn stderr() -> Self {
        Self::of(std::io::stderr().is_terminal())
    }

    /// Colour only on a terminal, and not against the user's will (no-color.org).
    fn of(terminal: bool) -> Self {
        let set = |name| var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = var_os("TERM").is_some_and(|term| term == "dumb");
        Self { colour: terminal && !set("NO_COLOR") && !dumb, unicode: locale_is_utf8() }
    }

    /// The same without colour.
    pub const fn plain(self) -> Self {
        Self { colour: false, ..self }
    }

    /// No decoration at all.
    pub const PLAIN: Self = Self { colour: false, unicode: false };

    pub fn good(self, text: &str) -> String {
        self.paint(text, AnsiColor::Green.on_default().bold())
    }

    pub fn warning(self, text: &str) -> String {
        self.paint(text, AnsiColor::Yellow.on_default().bold())
    }

    pub fn bad(self, text: &str) -> String {
        self.paint(text, AnsiColor::Red.on_default().bold())
    }

    pub fn strong(self, text: &str) -> String {
        self.paint(text, Ansi::new().bold())
    }

    pub fn faint(self, text: &str) -> String {
        self.paint(text, Ansi::new().dimmed())
    }

    pub fn bar(self, text: &str) -> String {
        self.paint(text, AnsiColor::Cyan.on_default())
    }

    fn paint(self, text: &str, ansi: Ansi) -> String {
        if self.colour && !text.is_empty() {
            format!("{ansi}{text}{ansi:#}")
        } else {
            text.to_owned()
        }
    }
}

/// As POSIX has it: the first of these that is set decides.
fn locale_is_utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(var_os);
    let decides = locale.into_iter().find(|value| !value.is_empty()).unwrap_or_default();
    let name = decides.to_string_lossy().to_ascii_lowercase();
    name.ends_with("utf-8") || name.ends_with("utf8")
}
