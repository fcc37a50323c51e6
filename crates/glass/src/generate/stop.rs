//! Stop texts: a stop text is not part of the output, so text that may become one is held back.

/// Generated text, searched for stop texts.
pub struct StopText {
    stops: Vec<String>,
    text: String,
    certain: usize,
    stopped: bool,
}

impl StopText {
    /// With memory for `room` bytes. Empty stop texts are ignored: they would end everything at once.
    pub fn new(stops: &[String], room: usize) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        StopText { stops, text: String::with_capacity(room), certain: 0, stopped: false }
    }

    /// Adds text; returns true when a stop text is complete. What follows it is dropped.
    pub fn push(&mut self, more: &str) -> bool {
        if self.stopped {
            return true;
        }
        self.text.push_str(more);
        let found = self.stops.iter().filter_map(|stop| self.text[self.certain..].find(stop.as_str())).min();
        if let Some(at) = found {
            self.text.truncate(self.certain + at);
            self.certain = self.text.len();
            self.stopped = true;
        } else {
            self.certain = self.text.len() - self.held();
        }
        self.stopped
    }

    /// Bytes at the end that may be the start of a stop text.
    fn held(&self) -> usize {
        let tail = &self.text[self.certain..];
        let starts = tail.char_indices().map(|(at, _)| &tail[at..]);
        let mut may_stop = starts.filter(|rest| self.stops.iter().any(|stop| stop.starts_with(rest)));
        may_stop.next().map_or(0, str::len)
    }

    /// The text that cannot be part of a stop text.
    pub fn certain(&self) -> &str {
        &self.text[..self.certain]
    }

    /// All of the text; nothing more follows.
    pub fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (Vec<String>, bool, String) {
        let mut text = StopText::new(&stops.iter().map(|s| s.to_string()).collect::<Vec<_>>(), 0);
        let mut stopped = false;
        let shown = pieces.iter().map(|piece| {
            stopped = text.push(piece);
            text.certain().to_string()
        });
        let shown = shown.collect();
        (shown, stopped, text.finish())
    }

    #[test]
    fn what_may_become_a_stop_text_is_held_back() {
        let (shown, stopped, all) = run(&["\nUser:"], &["Hi", "\nUs", "ual", "\nUser", ": more"]);
        assert_eq!(shown, ["Hi", "Hi", "Hi\nUsual", "Hi\nUsual", "Hi\nUsual"]);
        assert!(stopped);
        assert_eq!(all, "Hi\nUsual");
    }

    #[test]
    fn the_earliest_of_several_counts_and_the_rest_is_given_at_the_end() {
        assert_eq!(run(&["b", "ab"], &["xab"]).2, "x");
        assert_eq!(run(&["abc"], &["xab"]).2, "xab");
        assert_eq!(run(&["", "é!"], &["é", "é!"]).2, "é");
    }
}
