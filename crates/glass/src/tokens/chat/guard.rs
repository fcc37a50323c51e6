//! Turns a conversation into tokens such that only the template writes special tokens: a message that spells one
//! stays text.
//!
//! Before rendering, every message is disarmed: in every text that could become a special token, one character is
//! replaced by a stand-in, a private-use character that occurs nowhere else. The rendered text is cut at its
//! special tokens, and the stand-ins between them are replaced by the original characters. Two kinds of text are
//! disarmed: special tokens spelled in full, and a message's first and last character if a special token could
//! reach across its edge (a message that ends in `<`). The same is done in a message's parts, its calls and its
//! other fields. Most messages hold nothing of the kind and stay unchanged, so a template that inspects them sees
//! the original text; if a stand-in would change what the template does, the conversation is refused.

use super::message::changed;
use super::{Message, Segment, Template, refused};
use crate::tokens::added::Piece;
use crate::tokens::{Special, Tokenizer};
use crate::{Error, Result};
use serde_json::{Map, Value as Json};

impl Template {
    /// The tokens of a whole conversation, and which of them are learned; see [`Template::segments`]. The text is
    /// cut at the special tokens, where learning begins and where it ends. Each piece is tokenised separately, as
    /// it is when the model answers a prompt. As in `transformers`, there is a start token only if the template
    /// writes one.
    pub fn tokens(&self, messages: &[Message], tokenizer: &Tokenizer) -> Result<(Vec<u32>, Vec<bool>)> {
        self.tokens_with(messages, &Map::new(), tokenizer)
    }

    /// Like [`Template::tokens`], with more variables for the template, such as `tools`. Special tokens spelled in
    /// these are allowed, as are those in the template.
    pub fn tokens_with(
        &self,
        messages: &[Message],
        variables: &Map<String, Json>,
        tokenizer: &Tokenizer,
    ) -> Result<(Vec<u32>, Vec<bool>)> {
        let guard = Guard::new(self, messages, &Map::new(), tokenizer)?;
        let segments =
            guard.render(messages, &Map::new(), |messages, _| self.segments_with(messages, variables))?;
        let (mut ids, mut learned) = (Vec::new(), Vec::new());
        for Segment { text, learned: flag } in &segments {
            guard.encode(text, &mut ids);
            learned.resize(ids.len(), *flag);
        }
        Ok((ids, learned))
    }

    /// The tokens of a running chat, up to the point where the assistant's answer begins.
    pub fn prompt(&self, messages: &[Message], tokenizer: &Tokenizer) -> Result<Vec<u32>> {
        self.prompt_with(messages, &Map::new(), tokenizer)
    }

    /// Like [`Template::prompt`], with more variables for the template: `tools`, `documents`, and switches such as
    /// `enable_thinking`. They are guarded as the messages are: a special token spelled in them stays text.
    pub fn prompt_with(
        &self,
        messages: &[Message],
        variables: &Map<String, Json>,
        tokenizer: &Tokenizer,
    ) -> Result<Vec<u32>> {
        self.guarded(messages, variables, tokenizer, |messages, variables| {
            self.render_with(messages, true, variables)
        })
    }

    /// The tokens of a whole conversation, guarded as a prompt is. The text is cut at the special tokens only.
    pub fn conversation_with(
        &self,
        messages: &[Message],
        variables: &Map<String, Json>,
        tokenizer: &Tokenizer,
    ) -> Result<Vec<u32>> {
        self.guarded(messages, variables, tokenizer, |messages, variables| {
            self.render_with(messages, false, variables)
        })
    }

    /// The tokens of what `render` writes for the messages and variables.
    pub(super) fn guarded(
        &self,
        messages: &[Message],
        variables: &Map<String, Json>,
        tokenizer: &Tokenizer,
        render: impl Fn(&[Message], &Map<String, Json>) -> Result<String>,
    ) -> Result<Vec<u32>> {
        let guard = Guard::new(self, messages, variables, tokenizer)?;
        let text = guard.render(messages, variables, |messages, variables| {
            Ok(vec![Segment { text: render(messages, variables)?, learned: false }])
        })?;
        let mut ids = Vec::new();
        text.iter().for_each(|segment| guard.encode(&segment.text, &mut ids));
        Ok(ids)
    }
}

/// The stand-ins of one conversation.
struct Guard<'a> {
    tokenizer: &'a Tokenizer,
    /// A character that is replaced, and its stand-in.
    stand_ins: Vec<(char, char)>,
    /// The messages as they are passed to the template.
    disarmed: Vec<Message>,
    /// The other variables as they are passed to the template.
    variables: Map<String, Json>,
}

impl<'a> Guard<'a> {
    fn new(
        template: &Template,
        messages: &[Message],
        variables: &Map<String, Json>,
        tokenizer: &'a Tokenizer,
    ) -> Result<Self> {
        let added = || tokenizer.0.added.iter();
        let specials: Vec<&str> = added().filter(|token| token.special).map(|token| &*token.text).collect();
        for (turn, message) in messages.iter().enumerate() {
            check_role(turn, message.role())?;
        }
        let mut written: Vec<String> =
            messages.iter().map(|message| Json::from(message.fields().clone()).to_string()).collect();
        written.push(Json::from(variables.clone()).to_string());
        let taken = |c: char| {
            template.source.contains(c)
                || template.tokens.iter().any(|(_, token)| token.contains(c))
                || written.iter().any(|message| message.contains(c))
                || added().any(|token| token.text.contains(c))
        };
        let mut free = ('\u{e000}'..='\u{f8ff}').chain('\u{f0000}'..='\u{ffffd}').filter(|&c| !taken(c));
        let mut guard =
            Guard { tokenizer, stand_ins: Vec::new(), disarmed: Vec::new(), variables: Map::new() };
        for message in messages {
            let message = message.changed(&mut |text| guard.disarmed_text(text, &specials, &mut free))?;
            guard.disarmed.push(message);
        }
        for (name, value) in variables {
            let value = changed(value, &mut |text| guard.disarmed_text(text, &specials, &mut free))?;
            guard.variables.insert(name.clone(), value);
        }
        Ok(guard)
    }

    /// A text with stand-ins wherever a special token could be formed.
    fn disarmed_text(
        &mut self,
        text: &str,
        specials: &[&str],
        free: &mut impl Iterator<Item = char>,
    ) -> Result<String> {
        let mut disarmed = String::with_capacity(text.len());
        let mut places = places(text, specials).into_iter().peekable();
        for (at, c) in text.char_indices() {
            let replaced = places.next_if_eq(&at).is_some();
            disarmed.push(if replaced { self.stand_in(c, free)? } else { c });
        }
        Ok(disarmed)
    }

    fn stand_in(&mut self, c: char, free: &mut impl Iterator<Item = char>) -> Result<char> {
        if let Some(&(_, stand_in)) = self.stand_ins.iter().find(|(real, _)| *real == c) {
            return Ok(stand_in);
        }
        let stand_in =
            free.next().ok_or_else(|| refused("they hold every private-use character there is"))?;
        self.stand_ins.push((c, stand_in));
        Ok(stand_in)
    }

    /// Puts the original characters back.
    fn restore(&self, text: &str) -> String {
        let real =
            |c: char| self.stand_ins.iter().find(|(_, stand_in)| *stand_in == c).map_or(c, |(real, _)| *real);
        text.chars().map(real).collect()
    }

    /// Renders the disarmed messages, and checks that the result is the same as for the original messages.
    fn render(
        &self,
        messages: &[Message],
        variables: &Map<String, Json>,
        render: impl Fn(&[Message], &Map<String, Json>) -> Result<Vec<Segment>>,
    ) -> Result<Vec<Segment>> {
        let plain = render(messages, variables)?;
        if self.stand_ins.is_empty() {
            return Ok(plain);
        }
        let guarded = render(&self.disarmed, &self.variables).map_err(|_| looks_inside())?;
        let same = |(plain, guarded): (&Segment, &Segment)| {
            plain.learned == guarded.learned && plain.text == self.restore(&guarded.text)
        };
        if plain.len() != guarded.len() || !plain.iter().zip(&guarded).all(same) {
            return Err(looks_inside());
        }
        Ok(guarded)
    }

    /// Appends the tokens of a text that may hold stand-ins.
    fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        for piece in self.tokenizer.0.added.pieces(text.as_bytes(), Special::Allowed) {
            match piece {
                Piece::Token(id) => ids.push(id),
                Piece::Text(text) => {
                    let text = self.restore(&String::from_utf8_lossy(text));
                    self.tokenizer.encode_after(text.as_bytes(), Special::Plain, ids);
                }
            }
        }
    }
}

fn looks_inside() -> Error {
    refused(
        "a message or a variable spells a special token, and the chat template handles such messages differently, so the two \
         cannot be told apart; take the special token out of it",
    )
}

/// Checks a role: the template writes it next to special tokens, so it must not be able to spell one.
fn check_role(turn: usize, role: &str) -> Result<()> {
    let letters = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    if !role.is_empty() && role.chars().all(letters) {
        return Ok(());
    }
    let turn = turn + 1;
    Err(refused(format!(
        "message {turn} has the role {role:?}; a role is one word of letters, digits, _ and -"
    )))
}

/// Where a message must be disarmed, in ascending order: the first character of every special token spelled in it,
/// and its first or last character if a special token could begin before it or end after it.
fn places(content: &str, specials: &[&str]) -> Vec<usize> {
    let mut places = Vec::new();
    let core = content.trim();
    let start = content.len() - content.trim_start().len();
    for special in specials {
        let spelled =
            content.char_indices().map(|(at, _)| at).filter(|&at| content[at..].starts_with(special));
        places.extend(spelled);
        let inside = special.char_indices().map(|(at, _)| at).skip(1);
        let mut inside = inside.filter(|_| !core.is_empty());
        if inside.clone().any(|at| core.starts_with(&special[at..]))
            || special.contains(core) && !core.is_empty()
        {
            places.push(start);
        }
        if inside.any(|at| core.ends_with(&special[..at])) {
            places.extend(core.char_indices().next_back().map(|(at, _)| start + at));
        }
    }
    places.sort_unstable();
    places.dedup();
    places
}
