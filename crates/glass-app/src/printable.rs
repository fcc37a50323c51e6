//! The bytes of tokens as text that can be printed.

/// Bytes as text; a byte that is not part of a character becomes U+FFFD.
pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Bytes in quotes, on one line: `" world\n"`; a byte that is not part of a character is written as `\xE2`.
pub fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", escaped(bytes))
}

/// Text of several lines, of which no character moves the cursor: those that would are escaped, as `\r`.
pub fn lines(text: &str) -> String {
    let is_plain = |c: char| c == '\n' || c == '\t' || !c.is_control();
    text.chars().flat_map(|c| if is_plain(c) { vec![c] } else { c.escape_default().collect() }).collect()
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            // Quotes and accents are shown unchanged; characters that would move the cursor are escaped.
            match c {
                '\n' | '\r' | '\t' | '\\' => text.extend(c.escape_default()),
                c if c.is_control() => text.extend(c.escape_default()),
                c => text.push(c),
            }
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02X}")));
    }
    text
}

/// A legend for [`visible`].
pub const VISIBLE: &str = "· is a space, ↵ a new line, ⇥ a tab, \\xE6 a byte that is not a whole character";

/// Bytes without quotes, on one line, with visible spaces: `·world↵`. The dot is a sign that every font has, so it is the same in
/// terminals and in pictures.
pub fn visible(bytes: &[u8]) -> String {
    on_one_line(bytes).replace(' ', "·")
}

/// Bytes without quotes, on one line: ` world↵`.
pub fn on_one_line(bytes: &[u8]) -> String {
    escaped(bytes).replace("\\n", "↵").replace("\\t", "⇥")
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_do_not_steer_the_terminal() {
        assert_eq!(
            super::lines("a\0b\rc\u{1b}[2Jd\u{9b}\n\té \"q\" \\"),
            "a\\u{0}b\\rc\\u{1b}[2Jd\\u{9b}\n\té \"q\" \\"
        );
    }
}
