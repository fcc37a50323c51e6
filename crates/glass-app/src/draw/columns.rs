//! Text in the columns of a terminal, where some characters take two columns and some none.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The width of a text in columns.
pub fn width(text: &str) -> usize {
    text.width()
}

/// `text` in exactly this many columns: padded with spaces, or cut with `…`.
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

/// A bar of this many columns, with `share` (0 to 1) of it filled, to an eighth of a column.
pub fn bar(share: f64, columns: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let filled = (share.clamp(0.0, 1.0) * 8.0 * columns as f64).round() as usize;
    fit(&format!("{}{}", "█".repeat(filled / 8), EIGHTHS[filled % 8]), columns)
}

/// Columns for bars in lines of which `used` columns are taken: at most `most`, none where a bar would be too short to be read.
pub fn bar_room(columns: usize, used: usize, most: usize) -> usize {
    match columns.saturating_sub(used) {
        0..4 => 0,
        room => room.min(most),
    }
}

/// A bar from a line in the middle: to the right above zero, to the left below.
pub fn signed_bar(share: f64, columns: usize) -> String {
    if columns == 0 {
        return String::new();
    }
    let side = columns.saturating_sub(1) / 2;
    let halves = (share.abs().min(1.0) * 2.0 * side as f64).round() as usize;
    let below = format!("{}{}", "▐".repeat(halves % 2), "█".repeat(halves / 2));
    match share < 0.0 {
        true => format!("{below:>side$}│{:side$}", ""),
        false => format!("{:side$}│{}", "", bar(share, side)),
    }
}

/// Values as bars, relative to the largest: from the left, or from the middle if some are below zero.
pub fn bars(values: impl Iterator<Item = f64> + Clone, columns: usize) -> impl Fn(f64) -> String {
    let most = values.clone().fold(f64::MIN_POSITIVE, |most, value| most.max(value.abs()));
    let both = values.clone().any(|value| value < 0.0);
    move |value| if both { signed_bar(value / most, columns) } else { bar(value / most, columns) }
}

/// `+1.50`, `-0.25`; a value that rounds to zero has no sign.
pub fn signed(value: f64, digits: usize) -> String {
    let text = format!("{value:+.digits$}");
    match text.bytes().any(|byte| matches!(byte, b'1'..=b'9') || byte.is_ascii_alphabetic()) {
        true => text,
        false => text[1..].into(),
    }
}

/// A share in seven columns: ` 97.8 %`.
pub fn percent(share: f64) -> String {
    // −0 becomes 0.
    format!("{:5.1} %", 100.0 * share.max(0.0))
}

/// The last `columns` values as a line of block characters, scaled from the smallest to the largest.
#[cfg_attr(not(feature = "display"), allow(dead_code))]
pub fn spark(values: impl ExactSizeIterator<Item = f64> + Clone, columns: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let last = values.clone().skip(values.len().saturating_sub(columns));
    let (low, high) = last
        .clone()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    // Values that hardly change give a line in the middle, not magnified noise.
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
    fn what_is_below_zero_looks_it() {
        assert_eq!([signed_bar(0.5, 9), signed_bar(-0.5, 9)], ["    │██  ", "  ██│    "]);
        assert_eq!([signed_bar(-0.125, 9), signed_bar(0.0, 9)], ["   ▐│    ", "    │    "]);
        let values = [2.0, -1.0];
        let of = bars(values.into_iter(), 9);
        assert_eq!(values.map(of), ["    │████", "  ██│    "]);
        assert_eq!(bars([2.0].into_iter(), 4)(1.0), "██  ");
        assert_eq!(
            [signed(1.5, 2), signed(-0.25, 2), signed(-0.001, 2), signed(0.0, 1)],
            ["+1.50", "-0.25", "0.00", "0.0"]
        );
        assert_eq!([percent(-0.0), percent(0.978)], ["  0.0 %", " 97.8 %"]);
    }

    #[test]
    fn bars_and_sparks() {
        assert_eq!([bar(1.0, 0), signed_bar(1.0, 0)], ["", ""]);
        assert_eq!([bar_room(60, 57, 24), bar_room(60, 50, 24), bar_room(100, 50, 24)], [0, 10, 24]);
        assert_eq!([bar(0.0, 2), bar(0.5, 2), bar(0.55, 2), bar(1.0, 2)], ["  ", "█ ", "█▏", "██"]);
        assert_eq!(spark([9.0, 0.0, 1.0, 2.0].into_iter(), 3), "▁▅█");
        assert_eq!(spark([5.0, 5.0].into_iter(), 8), "▅▅");
    }
}
