//! The bytes of tokens as text that can be printed.

/// Bytes as characters; a byte that is not part of one becomes U+FFFD.
pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Bytes in quotes, on one line: `" world\n"`; a byte that is not part of a character as `\xE2`.
pub fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", escaped(bytes))
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            // Quotes and accents are shown as they are; characters that would move the cursor are escaped.
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
