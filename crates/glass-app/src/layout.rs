//! Wraps help, errors and other prose at words, to the width of the terminal.

use unicode_width::UnicodeWidthStr as _;

/// The narrowest text: on a narrower terminal, lines may be too long.
const NARROWEST: usize = 30;

/// Wraps one line at spaces to `width` columns. Following lines begin with `indent` spaces. A word that does not
/// fit on a line of its own is broken after a comma, which is possible in JSON and in lists without spaces.
pub fn wrap(line: &str, width: usize, indent: usize) -> String {
    wrap_with(line, width, indent, "")
}

/// The same, with `tail` at the end of every line except the last.
fn wrap_with(line: &str, width: usize, indent: usize, tail: &str) -> String {
    let width = width.max(NARROWEST);
    if visible_width(line) <= width {
        return line.into();
    }
    let indent = if indent + NARROWEST / 2 > width { 2 } else { indent };
    let room = width.saturating_sub(tail.len());
    let own = line.len() - line.trim_start().len();
    let (mut wrapped, mut used, mut begins) = (line[..own].to_string(), own, true);
    for (gap, piece) in pieces(&line[own..], room - indent) {
        let wide = visible_width(piece);
        if !begins && used + gap.len() + wide > room {
            wrapped.push_str(tail);
            wrapped.push('\n');
            wrapped.push_str(&" ".repeat(indent));
            used = indent;
        } else {
            wrapped.push_str(gap);
            used += gap.len();
        }
        wrapped.push_str(piece);
        used += wide;
        begins = false;
    }
    wrapped
}

/// The words of a line, each with the preceding spaces. Words wider than `room` are split after commas.
fn pieces(line: &str, room: usize) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = line.trim_end();
    while !rest.is_empty() {
        let word = rest.trim_start_matches(' ');
        let gap = &rest[..rest.len() - word.len()];
        let (word, after) = word.split_at(word.find(' ').unwrap_or(word.len()));
        rest = after;
        if visible_width(word) <= room {
            found.push((gap, word));
            continue;
        }
        for (place, piece) in word.split_inclusive(',').enumerate() {
            found.push((if place == 0 { gap } else { "" }, piece));
        }
    }
    found
}

/// Wraps every line that is too wide, with following lines indented to the column where its text begins.
pub fn fit(text: &str, width: usize) -> String {
    let lines: Vec<String> = text.lines().map(|line| wrap(line.trim_end(), width, hanging(line))).collect();
    lines.join("\n")
}

/// Lays out help text: paragraphs are filled, `  name  meaning` is an entry whose meaning has a hanging indent, and
/// a command that is too long is continued after a backslash.
pub fn lay_out(text: &str, width: usize) -> String {
    let mut laid_out: Vec<String> = Vec::new();
    for block in text.split("\n\n") {
        let lines: Vec<String> = joined(block).iter().map(|line| entry(line, width)).collect();
        laid_out.push(lines.join("\n"));
    }
    laid_out.join("\n\n")
}

fn entry(line: &str, width: usize) -> String {
    if !["  glass ", "  cat "].iter().any(|start| line.starts_with(start)) {
        return wrap(line, width, hanging(line));
    }
    let explained = line.trim_start().split_once("  ").filter(|_| visible_width(line) > width);
    match explained {
        Some((command, meaning)) => [format!("  {command}"), format!("      {}", meaning.trim_start())]
            .map(|line| wrap_with(&line, width, 6, ""))
            .join("\n"),
        None => wrap_with(line, width, 4, " \\"),
    }
}

/// The logical lines of a block: consecutive lines of prose are joined, and an entry is joined with lines that are
/// indented further.
fn joined(block: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in block.lines() {
        let indent = line.len() - line.trim_start().len();
        let goes_on = lines.last().is_some_and(|last: &String| {
            let before = last.len() - last.trim_start().len();
            if before == 0 { indent == 0 } else { indent > before }
        });
        match lines.last_mut().filter(|_| goes_on) {
            Some(last) => {
                let in_json = last.ends_with(',') && line.trim_start().starts_with(['"', '{']);
                last.push_str(if in_json { "" } else { " " });
                last.push_str(line.trim_start());
            }
            None => lines.push(line.into()),
        }
    }
    lines
}

/// Where the meaning of an entry begins: after two or more spaces within the line; otherwise at the start of the
/// line.
fn hanging(line: &str) -> usize {
    let own = line.len() - line.trim_start().len();
    if own == 0 {
        return 0;
    }
    let text = &line[own..];
    let gap = text.find("  ").map(|at| at + text[at..].len() - text[at..].trim_start().len());
    own + gap.map_or(0, |at| visible_width(&text[..at]))
}

/// Columns of a text on a terminal, without its colours.
pub fn visible_width(text: &str) -> usize {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().width();
    first + parts.map(|part| part.split_once('m').map_or(0, |(_, shown)| shown.width())).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::{fit, lay_out, visible_width};

    const HELP: &str = "\
A paragraph that stands on two lines of the source
and is filled anew.

JSON: {\"alpha\",\"beta\",
\"gamma\"}
  alpha  what the first letter of the alphabet means, at
         some length
  beta   the second

Examples:
  glass look --record 'block.*.attention.pattern' --out patterns.safetensors \"The dog\"";

    #[test]
    fn help_fits_and_loses_no_word() {
        for width in [40, 60, 120] {
            let shown = lay_out(HELP, width);
            assert!(shown.lines().all(|line| visible_width(line) <= width), "{width}:\n{shown}");
            let squeezed = |text: &str| text.replace(" \\\n", "").replace([' ', '\n'], "");
            assert_eq!(squeezed(&shown), squeezed(HELP));
        }
        let shown = lay_out(HELP, 60);
        assert!(
            shown.starts_with("A paragraph that stands on two lines of the source and is\nfilled anew."),
            "{shown}"
        );
        assert!(shown.contains("JSON: {\"alpha\",\"beta\",\"gamma\"}\n"), "{shown}");
        assert!(
            shown.contains("\n         alphabet means, at some length\n") || shown.contains("\n         "),
            "{shown}"
        );
        assert!(shown.contains(" \\\n    "), "a long command is continued after a backslash: {shown}");
    }

    #[test]
    fn colours_take_no_room() {
        assert_eq!(visible_width("\x1b[1mbold\x1b[0m"), 4);
        assert_eq!(fit("\x1b[1mone\x1b[0m two", 30), "\x1b[1mone\x1b[0m two");
    }

    #[test]
    fn a_word_without_spaces_breaks_after_commas() {
        let word = "{\"one\",\"two\",\"three\",\"four\",\"five\",\"six\"}";
        assert_eq!(fit(word, 30), "{\"one\",\"two\",\"three\",\"four\",\n\"five\",\"six\"}");
    }
}
