//! Bytes that arrive piece by piece become text as soon as, and only when, they form characters.

/// Holds back the bytes of a character that is not whole yet: a token may end in the middle of one.
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
    /// Takes bytes; gives the text that is now certain, which may be empty. Bytes that no later ones can make a
    /// character are given as U+FFFD, one for each maximal part as the Unicode Standard (3.9) recommends.
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
            // Valid by what `from_utf8` said: nothing is lost here.
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

    /// The bytes held back now: at most three.
    pub fn held(&self) -> &[u8] {
        &self.held
    }

    /// The end: a character that was begun and never came is given as U+FFFD. The stream can be used again.
    pub fn finish(&mut self) -> &str {
        self.text.clear();
        if !self.held.is_empty() {
            self.text.push(char::REPLACEMENT_CHARACTER);
        }
        self.held.clear();
        &self.text
    }
}
