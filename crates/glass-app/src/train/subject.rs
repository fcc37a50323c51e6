//! The model to train: its configuration, its vocabulary, and possibly initial weights.

use glass::Config;
use glass::config::preset::Preset;
use glass::plan::{Plan, Spec};
use glass::tokens::chat::{DEFAULT_SPECIALS, Template, default_template};
use glass::tokens::{END_OF_TEXT, Learn, Tokenizer};
use glass::weights::dtype::Dtype;
use glass::weights::folder::Folder;
use glass::weights::generation::GenerationConfig;
use glass::weights::save::Save;

use super::data::Raw;
use crate::args::{ShapeArgs, TrainArgs};
use crate::fail::{Fail, say};
use crate::model_arg;
use crate::out::number;

/// The size of a learned vocabulary, by default.
const VOCABULARY: usize = 4096;

/// Limits for sizes; a larger value is probably a typing error: option, value, limit.
type Limit = (&'static str, usize, usize);

/// The model to train.
pub struct Subject {
    /// The configuration.
    pub config: Config,
    /// The vocabulary, if there is one.
    pub tokenizer: Option<Tokenizer>,
    /// The chat template, if conversations are learned or the model had one.
    pub template: Option<Template>,
    /// The initial weights.
    pub from: Option<Folder>,
    /// The model that is learned from besides the data.
    pub teacher: Option<Folder>,
    /// The advice for generating.
    pub generation: Option<GenerationConfig>,
}

impl Subject {
    /// Reads the data, and opens or learns a vocabulary for it.
    pub fn and_data(args: &TrainArgs) -> Result<(Subject, Raw), Fail> {
        let shape = &args.shape;
        sizes(shape)?;
        let open =
            |name: &Option<String>| name.as_deref().map(|name| model_arg::folder(Some(name))).transpose();
        let (from, teacher) = (open(&shape.from)?, open(&args.distil.teacher)?);
        // What is not said about the vocabulary is as in this model.
        let like = from.as_ref().or(teacher.as_ref());
        let mut tokenizer = match (&from, &shape.tokenizer) {
            (Some(folder), _) => folder.tokenizer()?,
            (None, Some(name)) => Some(model_arg::vocabulary("--tokenizer", name)?),
            (None, None) if let Some(teacher) = &teacher => teacher.tokenizer()?,
            (None, None) if shape.preset.is_some() && shape.vocab.is_none() => Some(Tokenizer::gpt2()),
            (None, None) => None,
        };
        let mut raw = Raw::read(args)?;
        if tokenizer.is_none() && like.is_none() && !raw.is_ids() {
            tokenizer = Some(vocabulary(shape, &mut raw)?);
        }
        let chats = raw.has_messages();
        let own = like.map(Folder::template).transpose()?.flatten();
        if chats && own.is_none() {
            tokenizer = tokenizer.map(|tokenizer| tokenizer.with_specials(&DEFAULT_SPECIALS)).transpose()?;
        }
        if !raw.is_ids() {
            tokenizer = tokenizer.map(starting).transpose()?;
        }
        let config = match (&from, &tokenizer) {
            (Some(folder), Some(tokenizer)) if chats => grown(folder.config(), tokenizer),
            (Some(folder), _) => folder.config().clone(),
            (None, tokenizer) => {
                let teacher = teacher.as_ref().filter(|_| shape.tokenizer.is_none());
                let rows = teacher.map(|teacher| teacher.config().vocabulary);
                config(shape, tokenizer.as_ref(), rows)?
            }
        };
        let template = match own {
            None if chats => Some(default(tokenizer.as_ref())?),
            own => own,
        };
        let generation = generation(from.as_ref(), tokenizer.as_ref(), template.as_ref().filter(|_| chats))?;
        let subject = Subject { config, tokenizer, template, from, teacher, generation };
        subject.fits()?;
        Ok((subject, raw))
    }

    /// The token between documents.
    pub fn end_of_text(&self) -> Option<u32> {
        self.tokenizer.as_ref().and_then(Tokenizer::end_of_text)
    }

    /// The contents of the model's files apart from the weights.
    pub fn save<'a>(&'a self, plan: &'a Plan, dtype: Dtype) -> Save<'a> {
        Save {
            config: &self.config,
            plan,
            dtype,
            tokenizer: self.tokenizer.as_ref(),
            template: self.template.as_ref().map(Template::source),
            end_of_text: self.end_of_text(),
            generation: self.generation.as_ref(),
        }
    }

    fn fits(&self) -> Result<(), Fail> {
        let tokens = self.tokenizer.as_ref().map_or(0, Tokenizer::vocabulary_size);
        if tokens <= self.config.vocabulary {
            return Ok(());
        }
        Err(Fail::asked(format!(
            "vocabulary: {} rows are too small for the tokenizer's {tokens} tokens; give --vocab {tokens} or more, or a \
             tokenizer that belongs to the model",
            self.config.vocabulary
        )))
    }
}

/// The tokenizer of a model whose documents begin with a token, as they do here: the one that the vocabulary calls
/// `bos_token`, or else the token between documents.
fn starting(tokenizer: Tokenizer) -> glass::Result<Tokenizer> {
    match tokenizer.role("bos_token").or(tokenizer.end_of_text()) {
        Some(start) if tokenizer.start().is_empty() => tokenizer.with_start(&[start]),
        _ => Ok(tokenizer),
    }
}

/// The advice for generating: as before; after training on conversations, also the token that closes an answer.
fn generation(
    from: Option<&Folder>,
    tokenizer: Option<&Tokenizer>,
    chats: Option<&Template>,
) -> Result<Option<GenerationConfig>, Fail> {
    let before = from.map(|folder| folder.generation().clone());
    let (Some(tokenizer), Some(template)) = (tokenizer, chats) else { return Ok(before) };
    let end = tokenizer.end_of_text();
    let mut advice = before.unwrap_or(GenerationConfig { bos: end, ..GenerationConfig::default() });
    if advice.eos.is_empty() {
        advice.eos.extend(end);
    }
    let closes = tokenizer.special(&template.closing()?);
    advice.eos.extend(closes.filter(|id| !advice.eos.contains(id)));
    Ok(Some(advice))
}

/// The configuration with rows for the chat tokens, if the model has too few.
fn grown(config: &Config, tokenizer: &Tokenizer) -> Config {
    let (rows, tokens) = (config.vocabulary, tokenizer.vocabulary_size());
    if tokens > rows {
        let new = tokens - rows;
        say(&format!(
            "the model has no chat tokens: {new} tokens are added to its vocabulary of {}",
            number(rows as u64)
        ));
    }
    Config { vocabulary: rows.max(tokens), ..config.clone() }
}

/// Reads a parameter of the initial model, whose own plan is `known`. Rows for tokens that it does not have become
/// the mean of all others, so that these are neither very probable nor impossible at first (Hewitt 2021,
/// "Initializing New Word Embeddings").
pub fn read(folder: &Folder, known: &Plan, spec: &Spec, into: &mut [f32]) -> glass::Result<()> {
    let of_file = known.specs.iter().find(|known| known.name == spec.name).unwrap_or(spec);
    let (old, new) = into.split_at_mut(of_file.rows * of_file.cols);
    folder.read(of_file, old)?;
    for row in new.chunks_mut(spec.cols) {
        for (j, value) in row.iter_mut().enumerate() {
            let column = old.iter().skip(j).step_by(spec.cols);
            *value = (column.map(|&x| f64::from(x)).sum::<f64>() / of_file.rows as f64) as f32;
        }
    }
    Ok(())
}

/// ChatML, for a vocabulary that has its special tokens.
fn default(tokenizer: Option<&Tokenizer>) -> Result<Template, Fail> {
    let Some(tokenizer) = tokenizer else {
        return Err(Fail::asked(
            "--from: the model has no vocabulary, and conversations are text; put its tokenizer.json into the same folder",
        ));
    };
    let end = tokenizer.end_of_text().map(|_| END_OF_TEXT);
    Ok(Template::new(default_template(), end, end)?)
}

fn sizes(shape: &ShapeArgs) -> Result<(), Fail> {
    let limits: [Limit; 5] = [
        ("--layers", shape.layers, 1024),
        ("--heads", shape.heads, 1024),
        ("--width", shape.width, 65_536),
        ("--context", shape.context.unwrap_or(256), 1 << 20),
        ("--vocab", shape.vocab.unwrap_or(256), 1 << 22),
    ];
    for (option, value, most) in limits {
        if value == 0 || value > most {
            let most = number(most as u64);
            return Err(Fail::asked(format!("{option}: {value} was given, but it must be from 1 to {most}")));
        }
    }
    if !shape.width.is_multiple_of(shape.heads) {
        let (width, heads) = (shape.width, shape.heads);
        return Err(Fail::asked(format!(
            "--heads: a width of {width} cannot be divided by {heads} heads; choose a multiple of the heads"
        )));
    }
    Ok(())
}

/// The configuration of a new model; `rows` are the tokens of its teacher.
fn config(shape: &ShapeArgs, tokenizer: Option<&Tokenizer>, rows: Option<usize>) -> Result<Config, Fail> {
    let vocabulary = match (shape.vocab.or(rows), tokenizer) {
        (Some(rows), Some(tokenizer)) if shape.tokenizer.is_none() => rows.max(tokenizer.vocabulary_size()),
        (Some(rows), _) => rows,
        (None, Some(tokenizer)) => tokenizer.vocabulary_size(),
        (None, None) => {
            return Err(Fail::asked("--vocab: give the vocabulary size of the shards' ids, or --tokenizer"));
        }
    };
    let Some(name) = &shape.preset else {
        return super::switches::config(shape, vocabulary);
    };
    let preset = Preset::named(name).ok_or_else(|| model_arg::unknown("--preset", name, "not a preset"))?;
    let config = preset.config();
    Ok(Config { vocabulary, context: shape.context.unwrap_or(config.context), ..config })
}

/// Learns merges from the texts. The chat tokens are reserved from the start, so that the model can be tuned to
/// chat later.
fn vocabulary(shape: &ShapeArgs, raw: &mut Raw) -> Result<Tokenizer, Fail> {
    let specials = std::iter::once(END_OF_TEXT).chain(DEFAULT_SPECIALS).map(String::from).collect();
    let settings = Learn { vocabulary: shape.vocab.unwrap_or(VOCABULARY), specials, ..Learn::default() };
    let asked = settings.vocabulary;
    let tokenizer = raw.vocabulary(settings)?;
    let found = tokenizer.vocabulary_size();
    if found < asked {
        say(&format!("the data only has pairs for {found} tokens, not {asked}; the vocabulary has {found}"));
    }
    Ok(tokenizer)
}
