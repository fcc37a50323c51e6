//! A large JSON object from a file, member by member, without a tree: nothing of it is kept but what the caller keeps. A
//! name or value is handed over as it is written; whoever needs what it means reads it.

use std::borrow::Cow;

type Result<T> = std::result::Result<T, String>;

/// No value that is passed over nests deeper.
const DEEPEST: usize = 32;

/// No name of a tensor or file has more bytes.
const LONGEST_NAME: usize = 4096;

/// A place in a JSON text.
pub(super) struct Members<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Members<'a> {
    /// In front of a text.
    pub fn new(text: &'a str) -> Self {
        Members { text, at: 0 }
    }

    /// Calls `each` with the name, in its quotes, and the value of every member of an object.
    pub fn object(&mut self, each: &mut dyn FnMut(&'a str, &'a str) -> Result<()>) -> Result<()> {
        self.members(0, each)
    }

    /// Nothing but white space may follow.
    pub fn end(&mut self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.wrong("the end")),
        }
    }

    /// The text that begins here, in its quotes.
    pub fn string(&mut self) -> Result<&'a str> {
        if self.peek() != Some(b'"') {
            return Err(self.wrong("a text"));
        }
        let (from, bytes) = (self.at, self.text.as_bytes());
        self.at += 1;
        loop {
            match bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(0..0x20) => return Err(self.wrong("a text without control characters")),
                Some(_) => self.at += 1,
                None => return Err("ends within a text".into()),
            }
        }
        self.at += 1;
        Ok(&self.text[from..self.at])
    }

    fn escape(&mut self) -> Result<()> {
        let rest = &self.text.as_bytes()[self.at + 1..];
        let length = match rest.first() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 1,
            Some(b'u') if rest.len() > 4 && rest[1..5].iter().all(u8::is_ascii_hexdigit) => 5,
            _ => return Err(self.wrong("an escape that JSON has")),
        };
        self.at += 1 + length;
        Ok(())
    }

    fn members(&mut self, depth: usize, each: &mut dyn FnMut(&'a str, &'a str) -> Result<()>) -> Result<()> {
        self.expect(b'{', "an object")?;
        if self.takes(b'}') {
            return Ok(());
        }
        loop {
            let name = self.string()?;
            self.expect(b':', "a colon")?;
            let value = self.value(depth + 1)?;
            each(name, value)?;
            if !self.takes(b',') {
                return self.expect(b'}', "a comma or the object's end");
            }
        }
    }

    /// Passes over a value.
    fn value(&mut self, depth: usize) -> Result<&'a str> {
        if depth > DEEPEST {
            return Err(format!("nests deeper than {DEEPEST} levels"));
        }
        let first = self.peek();
        let from = self.at;
        match first {
            Some(b'"') => drop(self.string()?),
            Some(b'{') => self.members(depth, &mut |_, _| Ok(()))?,
            Some(b'[') => {
                self.at += 1;
                if !self.takes(b']') {
                    self.value(depth + 1)?;
                    while self.takes(b',') {
                        self.value(depth + 1)?;
                    }
                    self.expect(b']', "a comma or the list's end")?;
                }
            }
            _ => {
                let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
                self.at += self.text.as_bytes()[from..].iter().take_while(|byte| is_part(byte)).count();
                if self.at == from {
                    return Err(self.wrong("a value"));
                }
            }
        }
        Ok(&self.text[from..self.at])
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| b" \t\r\n".contains(byte)).count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn takes(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, what: &str) -> Result<()> {
        match self.takes(byte) {
            true => Ok(()),
            false => Err(self.wrong(what)),
        }
    }

    fn wrong(&self, expected: &str) -> String {
        match self.at < self.text.len() {
            true => format!("{expected} was expected at byte {}", self.at),
            false => format!("ends too early, where {expected} was expected"),
        }
    }
}

/// What a text in its quotes says; one that is too long for a name is refused.
pub(super) fn name(quoted: &str) -> Result<Cow<'_, str>> {
    if quoted.len() > LONGEST_NAME {
        return Err(format!("has a name of {} bytes; at most {LONGEST_NAME} were expected", quoted.len()));
    }
    match quoted.contains('\\') {
        false => Ok(Cow::Borrowed(quoted.trim_matches('"'))),
        true => serde_json::from_str(quoted).map(Cow::Owned).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<(&str, &str)>> {
        let mut found = Vec::new();
        let mut members = Members::new(text);
        members.object(&mut |name, value| {
            found.push((name, value));
            Ok(())
        })?;
        members.end().map(|()| found)
    }

    /// What is accepted is what `serde_json` accepts, but for numbers and words, which the caller reads.
    #[test]
    fn members_are_found_as_they_are_written() {
        let text = "\n{ \"a\\\"\\u00e9\" : [1, {\"b\":\"}\"}, []] ,\t\"é\":{},\"c\":-1.5e3 }\r\n";
        assert_eq!(
            all(text).unwrap(),
            [("\"a\\\"\\u00e9\"", "[1, {\"b\":\"}\"}, []]"), ("\"é\"", "{}"), ("\"c\"", "-1.5e3")]
        );
        assert_eq!(all("{}").unwrap(), []);
        assert_eq!(name("\"a\\\"\\u00e9\"").unwrap(), "a\"é");
        assert_eq!(name("\"é\"").unwrap(), "é");
        let valid = "{\"a\":[1,\"x\\n\\u1234\",{\"b\":null}],\"c\":{\"d\":[]}}";
        assert!(all(valid).is_ok());
        for (at, byte) in (0..valid.len()).flat_map(|at| b"{}[],:\"\\x \n".map(|byte| (at, byte))) {
            let mut bytes = valid.as_bytes().to_vec();
            bytes[at] = byte;
            let text = std::str::from_utf8(&bytes).unwrap();
            let read = |value: &str| serde_json::from_str::<serde_json::Value>(value).is_ok();
            let accepted =
                all(text).is_ok_and(|all| all.iter().all(|(name, value)| read(name) && read(value)));
            assert_eq!(accepted, read(text), "{text}");
        }
        for (text, part) in [
            ("[]", "an object"),
            ("{\"a\":1", "ends too early"),
            ("{\"a", "ends within a text"),
            ("{\"a\":}", "a value"),
            ("{\"a\":1,}", "a text"),
            ("{\"a\":1}{", "the end was expected"),
            ("{\"a\\x\":1}", "an escape"),
            ("{\"a\\u12g4\":1}", "an escape"),
            ("{\"a\n\":1}", "control characters"),
        ] {
            let error = all(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(all(&deep).unwrap_err().contains("nests deeper"));
        assert!(name(&format!("\"{}\"", "a".repeat(5000))).unwrap_err().contains("a name of 5002 bytes"));
    }
}
