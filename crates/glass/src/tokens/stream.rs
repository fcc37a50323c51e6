//! Turns bytes that arrive piece by piece into text as soon as they form complete characters.

/// Holds back the bytes of an incomplete character: a token may end in the middle of one.
///
/// ```
/// # use glass::tokens::TextStream;
/// let mut stream = TextStream::default();
/// assert_eq!(stream.push(b"caf\xC3"), "caf");
/// assert_eq!(stream.push(b"\xA9!"), "é!");
/// assert_eq!(stream.finish(), "");
/// ```
#[derive(Clone, Debug, Default)]
pub struct TextStream {
    held: Vec<u8>,
    text: String,
}

impl TextStream {
    /// Takes bytes, and returns the text that is now complete, which may be empty. Bytes that can no longer become
    /// a character are returned as U+FFFD, one for each maximal subpart as the Unicode Standard (3.9) recommends.
    pub fn push(&mut self, bytes: &[u8]) -> &str {
        self.text.clear();
        self.held.extend(bytes);
        let mut done = 0;
        loop {
            let rest = &self.held[done..];
            let error = match std::str::from_utf8(rest) {
                Ok(whole) => {
                    self.text.push_str(whole);
                    done += rest.len();
                    break;
                }
                Err(error) => error,
            };
            // `from_utf8` found these bytes valid, so nothing is lost here.
            self.text.push_str(&String::from_utf8_lossy(&rest[..error.valid_up_to()]));
            done += error.valid_up_to();
            match error.error_len() {
                Some(wrong) => {
                    self.text.push(char::REPLACEMENT_CHARACTER);
                    done += wrong;
                }
                None => break,
            }
        }
        self.held.drain(..done);
        &self.text
    }

    /// The bytes held back: at most three.
    pub fn held(&self) -> &[u8] {
        &self.held
    }

    /// Ends the stream: an incomplete character is returned as U+FFFD. The stream can be used again.
    pub fn finish(&mut self) -> &str {
        self.text.clear();
        if !self.held.is_empty() {
            self.text.push(char::REPLACEMENT_CHARACTER);
        }
        self.held.clear();
        &self.text
    }
}
