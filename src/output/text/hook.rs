//! `hook`: what is installed, and the environment for a shell.

use std::path::Path;

use xenmig::migrate::installed::Parts;

use super::field;
use crate::output::style::Style;
use crate::output::table::wrap;

/// Column at which what follows a heading begins.
const INDENT: usize = 2;

/// Where the parts are, and what to do with them.
pub fn hook(parts: &Parts, style: Style) -> String {
    let show = |path: &Option<_>| {
        path.as_deref().map_or_else(|| "none".to_owned(), |path: &Path| path.display().to_string())
    };
    let mut out = field("Wrapper", &show(&parts.wrapper), style);
    out += &field("Library", &show(&parts.library), style);
    out += &field("Helper", &show(&parts.stock), style);
    out += &match parts.trouble() {
        None => format!(
            "\n{}\n  env=$(xenmig hook --print-env --downtime 300ms) && eval \"$env\" &&\n    \
             xl migrate DOMAIN HOST\n",
            style.good("Saves can be steered:")
        ),
        Some(trouble) => {
            let lines = wrap(&trouble, INDENT).join(&format!("\n{:INDENT$}", ""));
            let what = style.warning("Saves follow Xen's own policy:");
            format!("\n{what}\n{:INDENT$}{lines}\n", "")
        }
    };
    out
}

/// The environment as commands for a POSIX shell.
pub fn exports(environment: &[(&str, String)]) -> String {
    let quoted = |value: &str| format!("'{}'", value.replace('\'', r"'\''"));
    environment.iter().map(|(name, value)| format!("export {name}={}\n", quoted(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_values_as_they_are() {
        let environment = [("XENMIG_TELEMETRY", "/tmp/it's $HOME".to_owned())];
        assert_eq!(exports(&environment), "export XENMIG_TELEMETRY='/tmp/it'\\''s $HOME'\n");
    }
}
