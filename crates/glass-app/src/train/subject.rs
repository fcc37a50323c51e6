//! Who learns: a shape, a vocabulary, and perhaps weights to begin with.

use glass::Config;
use glass::config::preset::Preset;
use glass::plan::{Plan, Spec};
use glass::tokens::chat::{DEFAULT_SPECIALS, Template, default_template};
use glass::tokens::{END_OF_TEXT, Learn, Tokenizer};
use glass::weights::dtype::Dtype;
use glass::weights::folder::Folder;
use glass::weights::generation::GenerationConfig;
use glass::weights::save::Save;

use super::data::{Raw, Sets};
use crate::args::{ShapeArgs, TrainArgs};
use crate::fail::{Fail, say};
use crate::model_arg;
use crate::out::number;

/// Tokens that are learned where nobody says how many.
const VOCABULARY: usize = 4096;

/// Larger sizes are a slip of the hand: option, value, most.
type Limit = (&'static str, usize, usize);

/// Who learns.
pub struct Subject {
    /// The shape.
    pub config: Config,
    /// The vocabulary, where there is one.
    pub tokenizer: Option<Tokenizer>,
    /// The chat template, where conversations are learned or the model had one.
    pub template: Option<Template>,
    /// The weights to begin with.
    pub from: Option<Folder>,
    /// What generating is advised.
    pub generation: Option<GenerationConfig>,
}

impl Subject {
    /// Reads the data, and finds or learns a vocabulary for it.
    pub fn and_data(args: &TrainArgs) -> Result<(Subject, Sets), Fail> {
        let shape = &args.shape;
        sizes(shape)?;
        let from = shape.from.as_deref().map(|name| model_arg::folder(Some(name))).transpose()?;
        let mut tokenizer = match (&from, &shape.tokenizer) {
            (Some(folder), _) => folder.tokenizer()?,
            (None, Some(name)) => Some(model_arg::vocabulary("--tokenizer", name)?),
            (None, None) if shape.preset.is_some() && shape.vocab.is_none() => Some(Tokenizer::gpt2()),
            (None, None) => None,
        };
        let mut raw = Raw::read(args)?;
        if tokenizer.is_none() && from.is_none() && !raw.is_ids() {
            tokenizer = Some(vocabulary(shape, &mut raw)?);
        }
        let chats = !args.data.chat.is_empty();
        let own = from.as_ref().map(Folder::template).transpose()?.flatten();
        if chats && own.is_none() {
            tokenizer = tokenizer.map(|tokenizer| tokenizer.with_specials(&DEFAULT_SPECIALS)).transpose()?;
        }
        if !raw.is_ids() {
            tokenizer = tokenizer.map(starting).transpose()?;
        }
        let config = match (&from, &tokenizer) {
            (Some(folder), Some(tokenizer)) if chats => grown(folder.config(), tokenizer),
            (Some(folder), _) => folder.config().clone(),
            (None, tokenizer) => config(shape, tokenizer.as_ref())?,
        };
        let template = match own {
            None if chats => Some(default(tokenizer.as_ref())?),
            own => own,
        };
        let generation = generation(from.as_ref(), tokenizer.as_ref(), template.as_ref().filter(|_| chats))?;
        let subject = Subject { config, tokenizer, template, from, generation };
        subject.fits()?;
        let sets = raw.sets(args, &subject)?;
        Ok((subject, sets))
    }

    /// The token between documents.
    pub fn end_of_text(&self) -> Option<u32> {
        self.tokenizer.as_ref().and_then(Tokenizer::end_of_text)
    }

    /// What the model's files hold besides the weights.
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

/// The tokenizer of a model whose documents begin at a token, as they do here: the one that the vocabulary names for it
/// (`bos_token`), or else the end of the text before.
fn starting(tokenizer: Tokenizer) -> glass::Result<Tokenizer> {
    match tokenizer.role("bos_token").or(tokenizer.end_of_text()) {
        Some(start) if tokenizer.start().is_empty() => tokenizer.with_start(&[start]),
        _ => Ok(tokenizer),
    }
}

/// What generating is advised: as before, and after conversations that an answer ends with the token that closes it.
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

/// The shape with room for the marks of conversations, where the model's rows are too few for them.
fn grown(config: &Config, tokenizer: &Tokenizer) -> Config {
    let (rows, tokens) = (config.vocabulary, tokenizer.vocabulary_size());
    if tokens > rows {
        let new = tokens - rows;
        say(&format!(
            "the model knows no marks of conversations: {new} tokens are added to its vocabulary of {}",
            number(rows as u64)
        ));
    }
    Config { vocabulary: rows.max(tokens), ..config.clone() }
}

/// A parameter of the model to begin with, whose own plan is `known`. Rows for tokens that it does not know become the mean of all others, so that
/// at first they are neither probable nor impossible (Hewitt 2021, "Initializing New Word Embeddings").
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

/// ChatML, for a vocabulary that has its marks.
fn default(tokenizer: Option<&Tokenizer>) -> Result<Template, Fail> {
    let Some(tokenizer) = tokenizer else {
        return Err(Fail::asked(
            "--from: the model has no vocabulary, and conversations are text; put its tokenizer.json beside it",
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
            return Err(Fail::asked(format!("{option}: {value} was given, but 1 to {most} is possible")));
        }
    }
    if !shape.width.is_multiple_of(shape.heads) {
        let (width, heads) = (shape.width, shape.heads);
        return Err(Fail::asked(format!(
            "--heads: a width of {width} cannot be divided by {heads} heads; choose numbers that divide"
        )));
    }
    Ok(())
}

fn config(shape: &ShapeArgs, tokenizer: Option<&Tokenizer>) -> Result<Config, Fail> {
    let vocabulary = match (shape.vocab, tokenizer) {
        (Some(rows), Some(tokenizer)) if shape.tokenizer.is_none() => rows.max(tokenizer.vocabulary_size()),
        (Some(rows), _) => rows,
        (None, Some(tokenizer)) => tokenizer.vocabulary_size(),
        (None, None) => {
            return Err(Fail::asked(
                "--vocab: how many tokens the shards' ids belong to must be said, or --tokenizer",
            ));
        }
    };
    let Some(name) = &shape.preset else {
        let context = shape.context.unwrap_or(256);
        return Ok(Config::gpt2(vocabulary, context, shape.width, shape.layers, shape.heads));
    };
    let preset = Preset::named(name).ok_or_else(|| model_arg::unknown("--preset", name, "not a preset"))?;
    let config = preset.config();
    Ok(Config { vocabulary, context: shape.context.unwrap_or(config.context), ..config })
}

/// Learns merges from the texts. The marks of conversations have their place from the start, so that the model can be
/// tuned to chat later.
fn vocabulary(shape: &ShapeArgs, raw: &mut Raw) -> Result<Tokenizer, Fail> {
    let specials = std::iter::once(END_OF_TEXT).chain(DEFAULT_SPECIALS).map(String::from).collect();
    let settings = Learn { vocabulary: shape.vocab.unwrap_or(VOCABULARY), specials, ..Learn::default() };
    let asked = settings.vocabulary;
    let tokenizer = raw.vocabulary(settings)?;
    let found = tokenizer.vocabulary_size();
    if found < asked {
        say(&format!(
            "the data has pairs for {found} tokens only, not {asked}; the vocabulary is that small"
        ));
    }
    Ok(tokenizer)
}
