//! Turns what toml and serde say about a bad file into an error that names the key, the line and
//! the nearest known key.

use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use crate::error::{Error, Kind};

/// How alike two keys must be for one to be meant by the other (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.8;

/// The error for `text`, read from `path`.
pub(super) fn explain(text: &str, path: &Path, error: &toml::de::Error) -> Error {
    let line = error.span().map(|span| 1 + text[..span.start].matches('\n').count());
    let place = match line {
        Some(line) => format!("{}, line {line}", path.display()),
        None => path.display().to_string(),
    };
    let key = error.span().and_then(|span| {
        let document = DeTable::parse(text).ok()?;
        find(document.get_ref(), &span)
    });
    if let Some((unknown, known)) = unknown_key(error.message()) {
        let key = key.unwrap_or_else(|| unknown.to_owned());
        let wrong = Error::new(Kind::Usage, format!("{place}: there is no key `{key}`"));
        return match nearest(unknown, &known) {
            Some(near) => {
                let near = format!("{}{near}", key.strip_suffix(unknown).unwrap_or_default());
                wrong.hint(format!("did you mean `{near}`?"))
            }
            None => wrong.hint(format!("known here: {}", known.join(", "))),
        };
    }
    let what = error.message().trim_end();
    match key {
        Some(key) => Error::new(Kind::Usage, format!("{place}: `{key}`: {what}")),
        None => Error::new(Kind::Usage, format!("{place}: {what}")),
    }
}

/// Takes serde's message about an unknown field apart: the field, and those it knows.
fn unknown_key(message: &str) -> Option<(&str, Vec<&str>)> {
    // As serde writes it: unknown field `a`, expected one of `b`, `c`
    let mut quoted = message.strip_prefix("unknown field `")?.split('`');
    let unknown = quoted.next()?;
    Some((unknown, quoted.skip(1).step_by(2).collect()))
}

/// The known key that `unknown` is most like.
fn nearest<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    let likeness = |key: &&str| strsim::jaro_winkler(unknown, key);
    let near = known.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(&near) >= ALIKE).then_some(near)
}

/// The full path of the innermost key that `span` lies at, or whose value it lies in.
fn find(table: &DeTable<'_>, span: &Range<usize>) -> Option<String> {
    let within = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    table.iter().find_map(|(key, value)| {
        let name = key.get_ref();
        if within(key.span()) {
            return Some(name.to_string());
        }
        let deeper = match value.get_ref() {
            DeValue::Table(inner) => find(inner, span),
            DeValue::Array(items) => items.iter().find_map(|item| match item.get_ref() {
                DeValue::Table(inner) => find(inner, span),
                _ => None,
            }),
            _ => None,
        };
        match deeper {
            Some(inner) => Some(format!("{name}.{inner}")),
            None => within(value.span()).then(|| name.to_string()),
        }
    })
}
