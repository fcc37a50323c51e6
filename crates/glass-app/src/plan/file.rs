//! Reads a file of machines.

use std::path::Path;

use glass::train::machines::Cluster;

use crate::fail::Fail;

/// The machines in a TOML file.
pub fn read(path: &Path) -> Result<Cluster, Fail> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Fail::asked(format!("--machines: cannot read {}: {}", path.display(), glass::reason(&error)))
    })?;
    toml::from_str(&text).map_err(|error| {
        let line = error.span().map(|span| text[..span.start.min(text.len())].lines().count().max(1));
        let place = line.map(|line| format!(", line {line}")).unwrap_or_default();
        Fail::failed(format!(
            "{}{place}: {}; see `glass plan --help`",
            path.display(),
            hinted(error.message())
        ))
    })
}

/// An error about a value of the file, with its name.
pub fn placed(path: &Path, error: glass::Error) -> Fail {
    match error {
        glass::Error::Invalid { what, why } => Fail::failed(format!("{}: {what}: {why}", path.display())),
        other => other.into(),
    }
}

/// A message with the name that was probably meant: of an unknown one, or a value that is none of those known.
fn hinted(message: &str) -> String {
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = message.starts_with("unknown ").then(|| quoted.next()).flatten();
    let near = unknown.and_then(|unknown| {
        let distance = |known: &&str| strsim::damerau_levenshtein(known, unknown);
        quoted.min_by_key(distance).filter(|known| distance(known) <= 3)
    });
    match near {
        Some(near) => format!("{message} (did you mean {near}?)"),
        None => message,
    }
}
