//! The data of a run as tokens.

use std::path::PathBuf;

use glass::backend::Cpu;
use glass::tokens::{Special, Tokenizer};
use glass::train::card::{Card, Share, Split};
use glass::train::chats::{self, Cut, Entry, Told};
use glass::train::corpus::Dropped;
use glass::train::learner::Learner;
use glass::train::mix::{Amount, Mix};
use glass::train::prepare::{Encoding, Prepared};
use glass::train::reference::refer;
use glass::train::set::{Samples, Set};
use glass::train::{ids, shards};

use super::data::{Raw, told};
use super::subject::Subject;
use super::{mixture, pairs};
use crate::args::TrainArgs;
use crate::fail::{Fail, say};
use crate::out::{count, number};

/// How many near-duplicates are named.
const SHOWN: usize = 2;

/// The sets of a run.
pub struct Sets {
    /// For training.
    pub train: Set,
    /// For validation.
    pub validation: Option<Set>,
    /// Statistics of both.
    pub card: Card,
}

impl Sets {
    /// Asks the model, as it is before the run, how probable it finds the answers of pairs.
    pub fn refer(&mut self, learner: &mut Learner<Cpu>, batch: usize) -> Result<(), Fail> {
        let pairs = self.train.documents + self.validation.as_ref().map_or(0, |set| set.documents);
        say(&format!("the reference, the model as it is now, reads {}", count(pairs, "pair")));
        let validation = self.validation.iter_mut();
        for set in [&mut self.train].into_iter().chain(validation) {
            refer(learner, set, batch)?;
        }
        Ok(())
    }

    /// Tokenises data for a model.
    pub fn new(raw: Raw, args: &TrainArgs, subject: &Subject) -> Result<Sets, Fail> {
        let Prepared { train, validation, card } = match raw {
            Raw::Mix { sources, validation } => mixed(sources, validation, args, subject)?,
            raw => one(raw, args, subject)?,
        };
        let validation = Some(validation).filter(|set| set.learned() > 0);
        if validation.is_none() && (args.data.val_fraction > 0.0 || !args.data.val.is_empty()) {
            say("there is too little data to set any aside for validation");
        }
        if args.data.pack {
            say(&packing(&train, subject.config.context));
        }
        Ok(Sets { train, validation, card })
    }
}

/// Tokenises the sources of a mixture.
fn mixed(
    mut sources: Vec<(String, Amount, Raw)>,
    mut held_out: Vec<Raw>,
    args: &TrainArgs,
    subject: &Subject,
) -> Result<Prepared, Fail> {
    let context = subject.config.context;
    let is_compared = |raw: &Raw| if let Raw::Text(text) = raw { text.is_compared() } else { true };
    if !sources.iter().map(|(.., raw)| raw).chain(&held_out).all(is_compared) {
        mixture::compare(sources.iter_mut().map(|(.., raw)| raw), held_out.iter_mut())?;
    }
    let (mut train, mut validation, mut cards) = (Vec::new(), Vec::new(), Vec::new());
    for (number, raw) in (1..).zip(held_out) {
        let Prepared { train, card, .. } = one(raw, args, subject)?;
        validation.push((format!("validation {number}"), train, Amount::default()));
        cards.push((None, card));
    }
    for (name, amount, raw) in sources {
        let Prepared { train: learned, validation: share, card } = one(raw, args, subject)?;
        learned.check(&name, context)?;
        train.push((name.clone(), learned, amount));
        if share.learned() > 0 {
            validation.push((name.clone(), share, Amount::default()));
        }
        cards.push((Some(name), card));
    }
    let train = Set::of_mix(Mix::new(train, context)?);
    let validation = match validation.is_empty() {
        true => Set { samples: Samples::Chats(Vec::new()), documents: 0, bytes: None },
        false => Set::of_mix(Mix::new(validation, context)?),
    };
    Ok(Prepared { card: Card::of_mixture(cards, &train, &validation), train, validation })
}

/// Tokenises data that are not mixed.
fn one(raw: Raw, args: &TrainArgs, subject: &Subject) -> Result<Prepared, Fail> {
    let split = Split { fraction: args.data.val_fraction, seed: args.run.seed };
    let split = (!raw.has_validation()).then_some(split);
    let card = |files, dropped, train: &Set, validation: &Set| {
        Card::new(train.fingerprint(), files, dropped, split, train, validation)
    };
    let Prepared { train, validation, card } = match raw {
        Raw::Text(text) => {
            let (tokenizer, vocabulary) = (known(subject)?, subject.config.vocabulary);
            text.prepare(Encoding { tokenizer, vocabulary })?
        }
        Raw::Chats { mut train, validation, own, files } => {
            let before = train.len();
            let twins = chats::twins(&mut train, &validation, args.data.near_duplicates.near());
            let near = (before - train.len()) as u64;
            let (train, left_out) = conversations("--chat", &train, subject)?;
            let (validation, more) = match own {
                true => conversations("--val", &validation, subject)?,
                false => drawn(&validation, subject)?,
            };
            let dropped = Dropped { empty: (left_out + more) as u64, near, ..Dropped::default() };
            let card = Card { near_duplicates: twins, ..card(files, dropped, &train, &validation) };
            Prepared { card, train, validation }
        }
        Raw::Pairs { train, validation, files, .. } => {
            let (train, validation) = (pairs::set(&train, subject)?, pairs::set(&validation, subject)?);
            let empty = (train.left_out + validation.left_out) as u64;
            let dropped = Dropped { empty, ..Dropped::default() };
            let (train, validation) = (train.set, validation.set);
            Prepared { card: card(files, dropped, &train, &validation), train, validation }
        }
        Raw::Shards { train, validation, width } => {
            let files = train.len() + validation.len();
            let (train, validation) = shard_sets(args, subject, &train, &validation, width)?;
            Prepared { card: card(files, Dropped::default(), &train, &validation), train, validation }
        }
        Raw::Mix { .. } => return Err(Fail::failed("a mixture cannot be in a mixture")),
    };
    let arranged = |set: Set| arranged(set, args, subject);
    Ok(Prepared { train: arranged(train)?, validation: arranged(validation)?, card })
}

impl Sets {
    /// The most sequences that a sample consists of.
    pub fn most_sequences(&self, context: usize) -> usize {
        let sets = std::iter::once(&self.train).chain(&self.validation);
        sets.map(|set| set.most_sequences(context)).max().unwrap_or(1)
    }

    /// The mean rows of a sequence to learn from: of conversations their own, otherwise the whole context.
    pub fn mean_rows(&self, context: usize) -> usize {
        let chats = self.train.samples.each_chat().count();
        (self.train.tokens() - chats).checked_div(chats).map_or(context, |rows| rows.clamp(1, context))
    }
}

/// A summary of the data card.
pub fn describe(card: &Card) -> String {
    let share = |share: &Share| {
        let documents = share.documents.map(|documents| count(documents as usize, "document") + ", ");
        format!("{}{} tokens", documents.unwrap_or_default(), number(share.tokens))
    };
    let mut said = format!("{}: {}", count(card.files, "file"), share(&card.train));
    said += &format!(" for training; {} for validation", share(&card.validation));
    if let Some(bytes) = card.bytes_per_token {
        said += &format!("; {bytes:.2} bytes per token");
    }
    let Dropped { duplicates, validating, empty, near } = card.dropped;
    let copies = if duplicates == 1 { "duplicate" } else { "duplicates" };
    let almost = if near == 1 { "near-duplicate" } else { "near-duplicates" };
    let kinds = [(duplicates, copies), (near, almost), (validating, "that validate"), (empty, "empty")];
    let dropped = kinds.iter().filter(|(number, _)| *number > 0);
    let dropped: Vec<_> = dropped.map(|(documents, kind)| format!("{} {kind}", number(*documents))).collect();
    if !dropped.is_empty() {
        said += &format!("; dropped: {}", dropped.join(", "));
    }
    said
}

/// The set in the form that was asked for: conversations packed, documents that do not see each other.
fn arranged(set: Set, args: &TrainArgs, subject: &Subject) -> Result<Set, Fail> {
    let set = if args.data.pack { set.packed(subject.config.context, args.run.seed) } else { set };
    if !args.data.mask_documents {
        return Ok(set);
    }
    let Some(start) = subject.end_of_text() else {
        return Err(Fail::asked(
            "--mask-documents: the vocabulary has no token between documents, so it is not known where they end; leave it out",
        ));
    };
    Ok(set.documents_from(start))
}

/// How full the windows of packed conversations are.
fn packing(train: &Set, context: usize) -> String {
    let chats: usize = train.parts().iter().map(|(_, set)| set.samples.chats().len()).sum();
    let packed = train.parts().into_iter().filter(|(_, set)| !set.samples.chats().is_empty());
    let (rows, windows) = packed.fold((0, 0), |(rows, windows), (_, set)| {
        (rows + set.tokens() - set.samples.chats().len(), windows + set.samples_in(context))
    });
    format!(
        "{} packed into {}, {:.1} % full",
        count(chats, "conversation"),
        count(windows, "sample"),
        100.0 * rows as f64 / (windows * context).max(1) as f64
    )
}

/// How many documents are nearly the same as others, with examples.
pub fn similar(card: &Card) -> Option<String> {
    let twins = card.near_duplicates.as_ref()?;
    let kinds = [(twins.training, "others to train on"), (twins.validation, "validation data")];
    let kinds = kinds.iter().filter(|(number, _)| *number > 0);
    let kinds: Vec<String> = kinds
        .map(|(documents, of)| format!("{} nearly as {of}", count(*documents as usize, "document")))
        .collect();
    if kinds.is_empty() {
        return None;
    }
    let shown = twins.examples.iter().take(SHOWN).map(|twin| {
        let validates = if twin.validates { " (validates)" } else { "" };
        format!("{} and {}{validates}: {:.2}", twin.document, twin.other, twin.similarity)
    });
    let advice = match card.dropped.near {
        0 => "; --near-duplicates drop leaves them out",
        _ => "; they are left out",
    };
    let shown: Vec<String> = shown.collect();
    Some(format!(
        "{} (similarity of {} or more), as {}{advice}",
        kinds.join(", "),
        twins.threshold,
        shown.join("; ")
    ))
}

pub fn known(subject: &Subject) -> Result<&Tokenizer, Fail> {
    subject.tokenizer.as_ref().ok_or_else(|| {
        Fail::asked(
            "--from: the model has no tokenizer.json, so it cannot learn from text; give ids with --bin",
        )
    })
}

/// Ids, and which of them are learned.
type Encoded = glass::Result<(Vec<u32>, Vec<bool>)>;

/// What turns a conversation or a text into ids, and says which are learned.
pub fn encoder(subject: &Subject) -> Result<impl Fn(&Told) -> Encoded + Sync, Fail> {
    let tokenizer = known(subject)?;
    let template =
        subject.template.as_ref().ok_or_else(|| Fail::asked("--chat: there is no chat template"))?;
    Ok(move |told: &Told| match told {
        Told::Conversation(talk) => talk.tokens(template, tokenizer),
        Told::Text(text) => {
            let mut ids = tokenizer.encode_prompt(text.as_bytes(), Special::Plain);
            ids.extend(subject.end_of_text());
            let learned = vec![true; ids.len()];
            Ok((ids, learned))
        }
    })
}

/// The conversations as a set, and how many are left out. `option` gave them.
fn conversations(option: &str, conversations: &[Entry], subject: &Subject) -> Result<(Set, usize), Fail> {
    let (context, length) = (subject.config.context, length(known(subject)?));
    let (set, cut) = chats::set(conversations, context, &encoder(subject)?, Some(&length))?;
    if let Some(refused) = learns_nothing(option, &set, conversations.len(), cut, context) {
        return Err(refused);
    }
    if let Some(said) = cut_said(cut, context) {
        say(&said);
    }
    Ok((set, cut.left_out))
}

/// The same of a drawn share of the data, in which there may be nothing to learn.
fn drawn(share: &[Entry], subject: &Subject) -> Result<(Set, usize), Fail> {
    let length = length(known(subject)?);
    let (set, cut) = chats::set(share, subject.config.context, &encoder(subject)?, Some(&length))?;
    if let Some(said) = cut_said(cut, subject.config.context) {
        say(&format!("of the conversations for validation: {said}"));
    }
    Ok((set, cut.left_out))
}

/// What is cut off and left out.
pub fn cut_said(cut: Cut, context: usize) -> Option<String> {
    let Cut { shortened, left_out, beyond } = cut;
    let [whole, begun] = [left_out - beyond, beyond].map(|number| count(number, "conversation"));
    let parts = [
        (shortened, format!("{} longer than the context of {context}: the ends are cut off", are(shortened))),
        (left_out - beyond, format!("{whole} with nothing to learn left out")),
        (beyond, format!("{begun} left out whose answers begin after the context of {context}")),
    ];
    let parts: Vec<String> =
        parts.into_iter().filter(|(number, _)| *number > 0).map(|(_, said)| said).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn are(conversations: usize) -> String {
    let verb = if conversations == 1 { "is" } else { "are" };
    format!("{} {verb}", count(conversations, "conversation"))
}

/// Refuses conversations of which nothing would be learned, with the reasons.
pub fn learns_nothing(option: &str, set: &Set, all: usize, cut: Cut, context: usize) -> Option<Fail> {
    if set.learned() > 0 {
        return None;
    }
    let silent = cut.left_out - cut.beyond;
    let why = match (silent, cut.beyond) {
        (0, 0) => "there is none in it; give a file with {\"messages\":[…]} on each line".to_string(),
        (_, 0) => "none has a message of the assistant to learn from, with a \"weight\" other than 0; only those are learned, so give \
                   conversations with the role \"assistant\" in them"
            .into(),
        (0, _) => format!(
            "their answers begin after the context of {context} tokens; give shorter conversations, or a model with a longer context \
             (--context)"
        ),
        (silent, beyond) => format!(
            "{silent} of them have no message of the assistant to learn from, and the answers of {beyond} begin after the context of \
             {context} tokens; give other conversations, or a longer context (--context)"
        ),
    };
    let shows = if all > 0 && option == "--chat" { "; --show-mask prints how they are read" } else { "" };
    Some(Fail::failed(format!(
        "{option}: nothing would be learned from {}: {why}{shows}",
        count(all, "conversation")
    )))
}

/// The bytes of a token's text. A special token has none.
fn length(tokenizer: &Tokenizer) -> impl Fn(u32) -> usize {
    |id| if tokenizer.is_special(id) { 0 } else { tokenizer.token(id).map_or(0, <[u8]>::len) }
}

fn shard_sets(
    args: &TrainArgs,
    subject: &Subject,
    train: &[PathBuf],
    validation: &[PathBuf],
    width: ids::Width,
) -> Result<(Set, Set), Fail> {
    let vocabulary = subject.config.vocabulary;
    let ids = told(shards::read(train, width, vocabulary)?);
    let (ids, others) = match validation.is_empty() {
        true => Set::split_ids(ids, args.data.val_fraction),
        false => (ids, told(shards::read(validation, width, vocabulary)?)),
    };
    let length = subject.tokenizer.as_ref().map(length);
    let length = length.as_ref().map(|length| length as &dyn Fn(u32) -> usize);
    Ok((Set::of_ids(ids, length), Set::of_ids(others, length)))
}
