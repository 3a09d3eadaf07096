//! Check lists: `doctor`, `recover`.

use xenmig::host::{Finding, Health, Recovered};

use crate::output::style::Style;
use crate::output::table::wrap;

/// Column at which what was found begins.
const INDENT: usize = 23;

/// One line per finding, advice below those that need it.
pub fn doctor(findings: &[Finding], style: Style) -> String {
    let mut out = String::new();
    for finding in findings {
        let (mark, what) = (mark(finding.state, style), finding.what);
        out += &format!("{mark} {what:<15}{}\n", hang(&finding.found));
        if let Some(advice) = &finding.advice {
            out += &format!("{:INDENT$}{}\n", "", hang(advice));
        }
    }
    let worst = findings.iter().map(|finding| finding.state).max();
    out += match worst.unwrap_or(Health::Good) {
        Health::Good => "\nThis host can do all that xenmig needs.\n",
        Health::Limited => "\nThis host can do what xenmig needs, with the limits above.\n",
        Health::Bad => "\nThis host cannot do what xenmig needs.\n",
    };
    out
}

/// One line per domain that was cleaned.
pub fn recover(recovered: &[Recovered], style: Style) -> String {
    if recovered.is_empty() {
        return "Nothing to clean up.\n".to_owned();
    }
    let line = |recovered: &Recovered| {
        let state = if recovered.clean { Health::Good } else { Health::Bad };
        let what = format!("domain {}", recovered.domid);
        format!("{} {what:<15}{}\n", mark(state, style), hang(&recovered.what))
    };
    recovered.iter().map(line).collect()
}

fn mark(state: Health, style: Style) -> String {
    match state {
        Health::Good => style.good("good   "),
        Health::Limited => style.warning("limited"),
        Health::Bad => style.bad("bad    "),
    }
}

/// `text` at [`INDENT`], broken where the line ends.
fn hang(text: &str) -> String {
    wrap(text, INDENT).join(&format!("\n{:INDENT$}", ""))
}
