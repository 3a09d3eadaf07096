//! Columns that line up, numbers with separators, text that wraps.

/// Widest line that is printed.
pub const WIDTH: usize = 80;

/// Rows of cells as lines, each with `indent` spaces before it and two between the columns. The
/// first `left` columns are flush left, the others right. Cells may have colour.
pub fn align(rows: &[Vec<String>], indent: usize, left: usize) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| visible(cell)).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, width))| {
            let space = " ".repeat(width - visible(cell));
            if at < left { format!("{cell}{space}") } else { format!("{space}{cell}") }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        format!("{:indent$}{}", "", line.trim_end())
    };
    rows.iter().map(line).collect()
}

/// Characters of `cell` that take a place on the screen: all but the sequences for colour.
fn visible(cell: &str) -> usize {
    let mut sequence = false;
    let counts = |character: char| {
        let begins = character == '\x1b';
        let counts = !begins && !sequence;
        sequence = begins || (sequence && character != 'm');
        counts
    };
    cell.chars().map(counts).filter(|counts| *counts).count()
}

/// `text` broken at spaces, so that with `indent` spaces before it no line is wider than
/// [`WIDTH`].
pub fn wrap(text: &str, indent: usize) -> Vec<String> {
    let width = WIDTH.saturating_sub(indent);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line > 0 && line + 1 + word.chars().count() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// A whole number with separators: `1,044,480`.
pub fn count(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A share as per cent.
pub fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators() {
        let shown = [0.0, 999.0, 1000.0, 1_044_480.0].map(count);
        assert_eq!(shown, ["0", "999", "1,000", "1,044,480"]);
    }

    #[test]
    fn lines_stay_within_the_width() {
        let text = "word ".repeat(60);
        let lines = wrap(&text, 8);
        assert!(lines.len() > 1 && lines.iter().all(|line| line.len() <= WIDTH - 8), "{lines:?}");
        assert_eq!(lines.join(" "), text.trim());
        assert_eq!(wrap("", 0), [""]);
    }

    #[test]
    fn columns_line_up() {
        let rows = [["µs", "1"], ["a", "22"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(align(&rows, 1, 1), [" µs   1", " a   22"]);
    }

    #[test]
    fn colour_takes_no_room() {
        assert_eq!(visible("\x1b[1m\x1b[31mred\x1b[0m"), 3);
        assert_eq!(visible("plain"), 5);
    }
}
