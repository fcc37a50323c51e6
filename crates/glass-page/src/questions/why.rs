//! Why a token follows: every word is hidden in turn, and every head that reads the strongest of them is cut off from it.

use std::ops::Range;

use glass::backend::Cpu;
use glass::inspect::{Edit, Edits};
use glass::next_token::{logprob, most_probable};
use glass::probe::{Part, Site};
use glass::text_model::TextModel;
use glass::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::change::follows;
use super::heads::five;
use crate::json::{token, token_with};
use crate::seen::Seen;
use crate::{Page, Tell};

/// Why a token follows a text; by default the most probable one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Why {
    ids: Vec<u32>,
    token: Option<u32>,
    #[serde(default = "five")]
    top: usize,
}

/// Rows of a pass: more would make a frame come late.
const ROWS: usize = 512;

/// Heads that are tried: those that look at the word most.
const HEADS: usize = 24;

/// Tokens of the text that is said without the strongest word.
const FOLLOWING: usize = 12;

/// A word, and what follows without it.
struct Hidden {
    at: Range<usize>,
    logprob: f64,
    likeliest: u32,
    likeliest_logprob: f64,
}

/// A head, and what follows if it cannot see the word.
struct Cut {
    block: usize,
    head: usize,
    logprob: f64,
}

impl Why {
    pub(crate) fn answer(&self, page: &mut Page<'_>, tell: &mut Tell<'_>) -> Result<Value> {
        let model = page.model;
        let seen = page.see(&self.ids, &[])?;
        let logits = seen.logits(self.ids.len() - 1)?;
        let asked = self.token.unwrap_or_else(|| most_probable(&logits));
        if asked as usize >= logits.len() {
            let why = format!("{asked} is not in the model's vocabulary of {} tokens", logits.len());
            return Err(Error::invalid_argument("token", why));
        }
        let whole = logprob(&logits, asked);
        let words = words(model, &self.ids);
        let mut hidden = self.hide(model, &words, asked, tell)?;
        hidden.sort_by(|a, b| a.logprob.total_cmp(&b.logprob));
        let strongest = hidden.first().map(|hidden| hidden.at.clone());
        let (mut cuts, mut instead) = (Vec::new(), None);
        if let Some(word) = &strongest {
            cuts = self.cut(seen, word, asked, tell)?;
            cuts.sort_by(|a, b| a.logprob.total_cmp(&b.logprob));
            let edits = hide(model.config().layers, word, model.config().context);
            instead = Some(follows(model, &self.ids, edits, FOLLOWING)?);
        }
        hidden.truncate(self.top);
        cuts.truncate(self.top);
        let told = |hidden: &Hidden| {
            json!({"from": hidden.at.start, "to": hidden.at.end, "text": text(model, &self.ids[hidden.at.clone()]),
                   "without_logprob": hidden.logprob,
                   "without_top": token_with(model, hidden.likeliest, "logprob", hidden.likeliest_logprob)})
        };
        let sentence = self.sentence(model, asked, whole, &hidden, &cuts, instead.as_ref());
        let heads = cuts.iter().map(|cut| {
            json!({"block": cut.block, "head": cut.head, "without_logprob": cut.logprob,
                   "from": strongest.clone().map(|word| [word.start, word.end])})
        });
        Ok(json!({
            "token": token(model, asked), "logprob": whole, "sentence": sentence,
            "words": hidden.iter().map(told).collect::<Vec<_>>(), "heads": heads.collect::<Vec<_>>(),
            "instead": instead.map(|(ids, text)| json!({"ids": ids, "text": text})),
        }))
    }

    /// Hides every word from all later positions, in all blocks.
    fn hide(
        &self,
        model: &TextModel<Cpu>,
        words: &[Range<usize>],
        asked: u32,
        tell: &mut Tell<'_>,
    ) -> Result<Vec<Hidden>> {
        let (len, config) = (self.ids.len(), model.config());
        let together = (ROWS / len).max(1);
        let mut inspector = glass::inspect::Inspector::new(model, together * len, together)?;
        let mut found = Vec::new();
        for some in words.chunks(together) {
            let edits = (some.iter().enumerate()).flat_map(|(slot, word)| {
                hide(config.layers, word, len).into_iter().map(move |edit| (slot, edit))
            });
            inspector.run(&vec![&self.ids[..]; some.len()], &mut Edits(edits.collect()))?;
            let all = inspector.next_logits();
            for (word, logits) in some.iter().zip(all.chunks_exact(config.vocabulary)) {
                let likeliest = most_probable(logits);
                found.push(Hidden {
                    at: word.clone(),
                    logprob: logprob(logits, asked),
                    likeliest,
                    likeliest_logprob: logprob(logits, likeliest),
                });
            }
            if tell(json!({"done": found.len(), "of": words.len()})).is_break() {
                return Err(Error::invalid_argument("question", "it was ended"));
            }
        }
        Ok(found)
    }

    /// Cuts single heads off from a word: those that look at it most.
    fn cut(
        &self,
        seen: &mut Seen<'_>,
        word: &Range<usize>,
        asked: u32,
        tell: &mut Tell<'_>,
    ) -> Result<Vec<Cut>> {
        let (config, len) = (seen.config(), self.ids.len());
        let mut looks = Vec::new();
        for block in 0..config.layers {
            let pattern = seen.site(Site::Block(block, Part::Pattern))?;
            for head in 0..config.heads.query {
                let share: f32 = (word.end..len)
                    .map(|query| pattern.row(head * len + query)[word.clone()].iter().sum::<f32>())
                    .sum();
                looks.push((share, block, head));
            }
        }
        looks.sort_by(|a, b| b.0.total_cmp(&a.0));
        looks.truncate(HEADS);
        let of = looks.len();
        let mut found = Vec::new();
        for (_, block, head) in looks {
            let one = |key: usize| Edit::cut(block, word.end..len, key).columns(head..head + 1);
            let edits: Vec<Edit> = word.clone().map(one).collect();
            let logits = super::change::changed(seen, Some(block), &edits)?;
            found.push(Cut { block, head, logprob: logprob(&logits, asked) });
            if tell(json!({"done": found.len(), "of": of})).is_break() {
                return Err(Error::invalid_argument("question", "it was ended"));
            }
        }
        Ok(found)
    }

    fn sentence(
        &self,
        model: &TextModel<Cpu>,
        asked: u32,
        whole: f64,
        hidden: &[Hidden],
        cuts: &[Cut],
        instead: Option<&(Vec<u32>, String)>,
    ) -> String {
        let named = |text: String| format!("“{}”", text.trim());
        let mut said = format!("{} follows with {}.", named(text(model, &[asked])), percent(whole));
        let weaker: Vec<String> = hidden
            .iter()
            .filter(|hidden| hidden.logprob < whole)
            .take(2)
            .map(|hidden| {
                let word = named(text(model, &self.ids[hidden.at.clone()]));
                format!("{word} (hidden from all later words: {})", percent(hidden.logprob))
            })
            .collect();
        match weaker.is_empty() {
            true => said += " No single word of the text makes it more probable.",
            false => said += &format!(" It depends most on {}.", weaker.join(" and ")),
        }
        if let Some(cut) = cuts.iter().find(|cut| cut.logprob < whole).filter(|_| !weaker.is_empty()) {
            let (block, head) = (cut.block, cut.head);
            said += &format!(
                " The head that matters most for it is head {head} of block {block}: if it alone cannot see the word, {}.",
                percent(cut.logprob)
            );
        }
        if let Some((_, text)) = instead.filter(|(ids, _)| !ids.is_empty() && !weaker.is_empty()) {
            said += &format!(" Without the word, the text would go on: “{}”", text.trim());
        }
        said
    }
}

/// Keeps a word from all positions after it, up to `end`.
fn hide(layers: usize, word: &Range<usize>, end: usize) -> Vec<Edit> {
    let block = |block| word.clone().map(move |key| Edit::cut(block, word.end..end, key));
    (0..layers).flat_map(block).collect()
}

/// The words of a text as positions: a token that begins with a space, or is no letter or digit, begins a new one. The start token
/// is no word, and the last word is not hidden: its own position predicts.
fn words(model: &TextModel<Cpu>, ids: &[u32]) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    for (at, &id) in ids.iter().enumerate() {
        let special = model.tokenizer.as_ref().is_some_and(|tokenizer| tokenizer.is_special(id));
        let continues =
            model.bytes(id).first().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80);
        match words.last_mut() {
            _ if special => {}
            Some(word) if continues && word.end == at => word.end = at + 1,
            _ => words.push(at..at + 1),
        }
    }
    words.retain(|word| word.end < ids.len());
    words
}

fn text(model: &TextModel<Cpu>, ids: &[u32]) -> String {
    let bytes: Vec<u8> = ids.iter().flat_map(|&id| model.bytes(id)).copied().collect();
    match bytes.is_empty() {
        true => ids.iter().map(|id| format!("token {id}")).collect::<Vec<_>>().join(" "),
        false => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// A probability: `43 %`, `0.02 %`.
fn percent(logprob: f64) -> String {
    match 100.0 * logprob.exp() {
        share if share >= 9.95 => format!("{share:.0} %"),
        share if share >= 0.095 => format!("{share:.1} %"),
        share if share >= 0.00095 => format!("{share:.3} %"),
        _ => "less than 0.001 %".into(),
    }
}
