//! Reads questions: from an edited line on a terminal, otherwise from plain lines.

use std::io::{self, BufRead as _, IsTerminal as _};

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use crate::fail::Fail;

/// A source of lines.
pub struct Lines {
    editor: Option<DefaultEditor>,
    /// Whether the previous line was dropped with Ctrl-C.
    dropped: bool,
}

impl Lines {
    /// Reads from a terminal with editing and history, or else from standard input.
    pub fn new() -> Result<Lines, Fail> {
        let editor = match io::stdin().is_terminal() && io::stdout().is_terminal() {
            true => Some(DefaultEditor::new().map_err(unreadable)?),
            false => None,
        };
        Ok(Lines { editor, dropped: false })
    }

    /// Whether the lines come from a terminal.
    pub fn is_terminal(&self) -> bool {
        self.editor.is_some()
    }

    /// The next line; `None` at the end. Ctrl-C drops a line, and a second one in a row ends the input.
    pub fn next(&mut self) -> Result<Option<String>, Fail> {
        match &mut self.editor {
            Some(editor) => typed(editor, &mut self.dropped),
            None => plain(),
        }
    }
}

fn typed(editor: &mut DefaultEditor, dropped: &mut bool) -> Result<Option<String>, Fail> {
    let line = editor.readline("> ");
    let again = std::mem::replace(dropped, matches!(line, Err(ReadlineError::Interrupted)));
    match line {
        Ok(line) => {
            // A line that cannot be added to the history is still used.
            let _ = editor.add_history_entry(line.as_str());
            Ok(Some(line))
        }
        Err(ReadlineError::Interrupted) if !again => Ok(Some(String::new())),
        Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(None),
        Err(error) => Err(unreadable(error)),
    }
}

fn plain() -> Result<Option<String>, Fail> {
    let mut line = Vec::new();
    let read = io::stdin().lock().read_until(b'\n', &mut line).map_err(unreadable)?;
    Ok((read > 0).then(|| String::from_utf8_lossy(&line).into_owned()))
}

fn unreadable(error: impl std::fmt::Display) -> Fail {
    Fail::failed(format!("cannot read standard input: {error}"))
}
