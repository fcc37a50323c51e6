//! Text in columns of a terminal, in which some characters take two and some none.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The columns that a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// `text` in exactly so many columns: filled up with spaces, or cut with `…`.
pub fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return format!("{text}{}", " ".repeat(columns - width(text)));
    }
    let (mut cut, mut taken) = (String::new(), 0);
    for letter in text.chars() {
        taken += letter.width().unwrap_or(0);
        if taken >= columns {
            break;
        }
        cut.push(letter);
    }
    if columns > 0 {
        cut.push('…');
    }
    let missing = columns.saturating_sub(width(&cut));
    format!("{cut}{}", " ".repeat(missing))
}

/// A bar of so many columns, `share` (0 to 1) of it filled, to an eighth of a column.
pub fn bar(share: f64, columns: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let filled = (share.clamp(0.0, 1.0) * 8.0 * columns as f64).round() as usize;
    fit(&format!("{}{}", "█".repeat(filled / 8), EIGHTHS[filled % 8]), columns)
}

/// The last `columns` values as a line of blocks, from the least of them to the greatest.
pub fn spark(values: impl ExactSizeIterator<Item = f64> + Clone, columns: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let last = values.clone().skip(values.len().saturating_sub(columns));
    let (low, high) = last
        .clone()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    // What hardly moves is a line in the middle, not noise blown up.
    let span = (high - low).max(0.02 * high.abs()).max(f64::MIN_POSITIVE);
    let middle = f64::midpoint(low, high);
    let block = |value: f64| BLOCKS[(((value - middle) / span + 0.5) * 7.0).round().clamp(0.0, 7.0) as usize];
    last.map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_letters_and_long_texts_keep_the_columns() {
        for text in ["", "a", "日本語", "e\u{301}tude", "a very long word", "日本語日本語日本語"]
        {
            assert!((0..12).all(|columns| width(&fit(text, columns)) == columns), "{text}");
        }
        assert_eq!(fit("日本語", 4), "日… ");
        assert_eq!(fit("abc", 2), "a…");
    }

    #[test]
    fn bars_and_sparks() {
        assert_eq!([bar(0.0, 2), bar(0.5, 2), bar(0.55, 2), bar(1.0, 2)], ["  ", "█ ", "█▏", "██"]);
        assert_eq!(spark([9.0, 0.0, 1.0, 2.0].into_iter(), 3), "▁▅█");
        assert_eq!(spark([5.0, 5.0].into_iter(), 8), "▅▅");
    }
}
