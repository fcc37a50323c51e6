//! The data of a run as tokens.

use std::path::PathBuf;

use glass::backend::Cpu;
use glass::tokens::{Special, Tokenizer};
use glass::train::card::{Card, Share, Split};
use glass::train::chats::{self, Entry, Told};
use glass::train::corpus::Dropped;
use glass::train::learner::Learner;
use glass::train::prepare::{Encoding, Prepared};
use glass::train::reference::refer;
use glass::train::set::Set;
use glass::train::{ids, shards};

use super::data::{Raw, told};
use super::pairs;
use super::subject::Subject;
use crate::args::TrainArgs;
use crate::fail::{Fail, say};
use crate::out::{count, number};

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
            Raw::Chats { train, validation, files, .. } => {
                let ((train, left_out), (validation, more)) =
                    (conversations(&train, subject)?, conversations(&validation, subject)?);
                let dropped = Dropped { empty: (left_out + more) as u64, ..Dropped::default() };
                Prepared { card: card(files, dropped, &train, &validation), train, validation }
            }
            Raw::Pairs { train, validation, files, .. } => {
                let (train, validation) = (pairs::set(&train, subject)?, pairs::set(&validation, subject)?);
                let empty = (train.left_out + validation.left_out) as u64;
                let dropped = Dropped { empty, duplicates: 0, validating: 0 };
                let (train, validation) = (train.set, validation.set);
                Prepared { card: card(files, dropped, &train, &validation), train, validation }
            }
            Raw::Shards { train, validation, width } => {
                let files = train.len() + validation.len();
                let (train, validation) = shard_sets(args, subject, &train, &validation, width)?;
                Prepared { card: card(files, Dropped::default(), &train, &validation), train, validation }
            }
        };
        let validation = Some(validation).filter(|set| set.learned() > 0);
        if validation.is_none() && (args.data.val_fraction > 0.0 || !args.data.val.is_empty()) {
            say("there is too little data to set any aside for validation");
        }
        Ok(Sets { train, validation, card })
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
    let Dropped { duplicates, validating, empty } = card.dropped;
    let copies = if duplicates == 1 { "duplicate" } else { "duplicates" };
    let kinds = [(duplicates, copies), (validating, "that validate"), (empty, "empty")];
    let dropped = kinds.iter().filter(|(number, _)| *number > 0);
    let dropped: Vec<_> = dropped.map(|(documents, kind)| format!("{} {kind}", number(*documents))).collect();
    if !dropped.is_empty() {
        said += &format!("; dropped: {}", dropped.join(", "));
    }
    said
}

pub fn known(subject: &Subject) -> Result<&Tokenizer, Fail> {
    subject.tokenizer.as_ref().ok_or_else(|| {
        Fail::asked(
            "--from: the model has no tokenizer.json, so it cannot learn from text; give ids with --bin",
        )
    })
}

/// The conversations as a set, and how many are left out.
fn conversations(conversations: &[Entry], subject: &Subject) -> Result<(Set, usize), Fail> {
    let tokenizer = known(subject)?;
    let template =
        subject.template.as_ref().ok_or_else(|| Fail::asked("--chat: there is no chat template"))?;
    let encode = |told: &Told| match told {
        Told::Conversation(talk) => talk.tokens(template, tokenizer),
        Told::Text(text) => {
            let mut ids = tokenizer.encode_prompt(text.as_bytes(), Special::Plain);
            ids.extend(subject.end_of_text());
            let learned = vec![true; ids.len()];
            Ok((ids, learned))
        }
    };
    let length = length(tokenizer);
    let (set, cut) = chats::set(conversations, subject.config.context, &encode, Some(&length))?;
    if cut.shortened > 0 {
        say(&format!("{} conversations are longer than the context; their ends are cut off", cut.shortened));
    }
    if cut.left_out > 0 {
        say(&format!(
            "{} conversations hold nothing to learn within the context and are left out",
            cut.left_out
        ));
    }
    Ok((set, cut.left_out))
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
