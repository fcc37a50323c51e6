//! `--merges`: how every word was merged from its bytes.

use std::io::Write as _;

use glass::tokens::{Special, Step, Tokenizer};
use serde_json::{Value, json};

use crate::draw::columns::{fit, width};
use crate::fail::Fail;
use crate::out::{Out, count, number};
use crate::printable::{VISIBLE, lossy, visible};

/// The longest word that is shown: every merge shows the whole word, so a longer one would fill the memory.
const LONGEST: usize = 256;
/// The columns before the picture, and those for the joined token after it.
const BEFORE: usize = 14;
const BEHIND: usize = 24;

/// Refuses words that are too long to be shown.
pub fn short(tokenizer: &Tokenizer, text: &[u8], special: Special) -> Result<(), Fail> {
    match tokenizer.words(text, special).into_iter().find(|word| word.len() > LONGEST) {
        Some(word) => Err(Fail::asked(format!(
            "--merges: a word of {} bytes is too long to be shown merge by merge; words of at most {LONGEST} bytes can be",
            number(word.len() as u64)
        ))),
        None => Ok(()),
    }
}

fn words<'t>(
    tokenizer: &'t Tokenizer,
    text: &'t [u8],
    special: Special,
) -> impl Iterator<Item = (Vec<u8>, Vec<Step>)> + use<'t> {
    tokenizer.words(text, special).into_iter().map(move |word| {
        let known = std::str::from_utf8(&word).ok().filter(|_| special == Special::Allowed);
        // A special token is not merged.
        let steps = match known.and_then(|word| tokenizer.special(word)) {
            Some(id) => vec![Step { tokens: vec![id], joined: None }],
            None => tokenizer.merges(&word),
        };
        (word, steps)
    })
}

/// `[{"word","steps":[[piece…]…]}]`
pub fn json(tokenizer: &Tokenizer, text: &[u8], special: Special) -> Value {
    let piece = |id: &u32| lossy(tokenizer.token(*id).unwrap_or_default());
    let words = words(tokenizer, text, special).map(|(word, steps)| {
        let steps: Vec<Vec<String>> =
            steps.iter().map(|step| step.tokens.iter().map(piece).collect()).collect();
        json!({"word": lossy(&word), "steps": steps})
    });
    words.collect()
}

/// A picture of every word: one line per merge, with the bytes of a token joined.
pub fn show(out: &mut Out, tokenizer: &Tokenizer, text: &[u8], special: Special) -> Result<(), Fail> {
    let (mut of, mut into) = (0, 0);
    for (word, steps) in words(tokenizer, text, special) {
        let tokens = steps.last().map_or(0, |last| last.tokens.len());
        (of, into) = (of + 1, into + tokens);
        let sizes = format!("{}, {}", count(word.len(), "byte"), count(tokens, "token"));
        writeln!(out, "{}  {}", out.bold(&visible(&word)), out.dim(&sizes))?;
        let picture =
            Picture { tokenizer, wide: wide(&word) + BEFORE + BEHIND <= out.columns(), word: &word };
        for step in &steps {
            if let Some(line) = picture.line(out, step) {
                writeln!(out, "{line}")?;
            }
        }
        writeln!(out, "{}\n", picture.tokens(out, &steps))?;
    }
    writeln!(out, "{}, {}, {}", count(of, "word"), count(text.len(), "byte"), count(into, "token"))?;
    let how = "merge 3 is the third that was learned; of all possible merges, the one learned first is applied first; ━ marks the join";
    out.prose(&out.dim(how))?;
    out.prose(&out.dim(VISIBLE))
}

struct Picture<'a> {
    tokenizer: &'a Tokenizer,
    word: &'a [u8],
    /// Whether the whole word fits on a line.
    wide: bool,
}

impl Picture<'_> {
    /// `merge 346   u n b e l i e v a━b l─e   ab`
    fn line(&self, out: &Out, step: &Step) -> Option<String> {
        let merge = step.joined.map(|(at, rank)| (at, u64::from(rank) + 1));
        let before = merge.map(|(_, rank)| format!("merge {rank}")).unwrap_or_default();
        let made = merge.map(|(at, _)| visible(self.bytes(step.tokens[at]))).unwrap_or_default();
        let before = out.dim(&format!("{before:<BEFORE$}"));
        match (self.wide, merge) {
            (true, _) => {
                Some(format!("{before}{}   {}", self.row(out, step), out.green(&fit(&made, BEHIND - 4))))
            }
            (false, Some(_)) => Some(format!("{before}{}", out.green(&made))),
            (false, None) => None,
        }
        .map(|line| line.trim_end().to_string())
    }

    /// The word's bytes; those of a token are joined.
    fn row(&self, out: &Out, step: &Step) -> String {
        let (mut row, mut place) = (String::new(), 0);
        for (at, id) in step.tokens.iter().enumerate() {
            let is_new = step.joined.is_some_and(|(new, _)| new == at);
            // If the word is a special token, its bytes are one piece.
            let length = self.bytes(*id).len().min(self.word.len() - place);
            let cells: Vec<String> =
                self.word[place..place + length].iter().map(|byte| cell(*byte)).collect();
            let piece = cells.join(if is_new { "━" } else { "─" });
            row.push_str(if at > 0 { " " } else { "" });
            row.push_str(&if is_new { out.green(&piece) } else { piece });
            place += length;
        }
        row
    }

    /// `tokens: un 403  bel 6667`
    fn tokens(&self, out: &Out, steps: &[Step]) -> String {
        let last = steps.last().map(|step| &step.tokens[..]).unwrap_or_default();
        let named = |id: &u32| format!("{} {}", visible(self.bytes(*id)), out.dim(&id.to_string()));
        let named: Vec<String> = last.iter().map(named).collect();
        format!("{}{}", out.dim(&format!("{:<BEFORE$}", "tokens")), named.join("   "))
    }

    fn bytes(&self, id: u32) -> &[u8] {
        self.tokenizer.token(id).unwrap_or_default()
    }
}

/// A byte as a character, or else as two hexadecimal digits.
fn cell(byte: u8) -> String {
    match byte {
        b' ' | b'\n' | b'\t' | b'!'..=b'~' => visible(&[byte]).replace("\\\\", "\\"),
        _ => format!("{byte:02x}"),
    }
}

fn wide(word: &[u8]) -> usize {
    word.iter().map(|byte| width(&cell(*byte)) + 1).sum()
}
