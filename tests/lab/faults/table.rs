//! A line of the table.

use crate::scene::Ran;

/// What a fault led to, as far as xenmig says it.
pub struct Row {
    fault: String,
    when: String,
    status: i32,
    pub said: String,
}

impl Row {
    /// Fails unless `ran` ended with `status` and said all of `says`.
    #[track_caller]
    pub fn of(fault: &str, when: &str, ran: &Ran, status: i32, says: &[&str]) -> Self {
        let said = message(ran);
        assert_eq!(ran.status, status, "{fault}, {when}: {said}");
        for words in says {
            assert!(said.contains(words), "{fault}, {when}: no `{words}` in: {said}");
        }
        Self { fault: fault.to_owned(), when: when.to_owned(), status, said }
    }

    /// In Markdown.
    pub fn line(&self, guest: &str, log: &str, cap: &str) -> String {
        let Self { fault, when, status, said } = self;
        let said = said.replace('|', "\\|");
        format!("| {fault} | {when} | {status} | {said} | {guest} | {log} | {cap} |")
    }
}

/// What a run said in the end, without its progress, what it measured, and what others said.
fn message(ran: &Ran) -> String {
    const HEADS: [&str; 5] = ["MOVED", "STAYED", "STUCK", "GONE", "UNKNOWN"];
    let all = format!("{}{}", ran.stdout, ran.stderr);
    let begins = |line: &&str| {
        let head = line.split_whitespace().next();
        head.is_some_and(|head| HEADS.contains(&head)) || line.starts_with("error: ")
    };
    let lines: Vec<_> = match all.lines().any(|line| begins(&line)) {
        true => all.lines().skip_while(|line| !begins(line)).collect(),
        false => all.lines().collect(),
    };
    let is_over =
        |line: &&&str| line.starts_with("The transport said") || line.starts_with("round");
    let mut text: Vec<_> = lines.iter().take_while(|line| !is_over(line)).copied().collect();
    if text.first().is_some_and(|line| line.starts_with("MOVED")) {
        // Of what it took only who decided is of interest.
        text.retain(|line| line.starts_with("MOVED") || line.starts_with("Policy"));
    }
    paragraphs(&text)
}

/// Undoes the wrapping: a line that had room for the first word of the next one ended a paragraph.
fn paragraphs(lines: &[&str]) -> String {
    const WIDTH: usize = 80;
    let mut text = String::new();
    let mut room = 0;
    for line in lines.iter().filter(|line| !line.trim().is_empty()) {
        let words: Vec<_> = line.split_whitespace().collect();
        let first = words[0].chars().count();
        let ended = first < room || words[0] == "hint:";
        text += match text.is_empty() {
            true => "",
            false if ended => "<br>",
            false => " ",
        };
        text += &words.join(" ");
        room = WIDTH.saturating_sub(line.trim_end().chars().count());
    }
    text
}
