//! `--lora`: the model that stays as it is, and the adapter that is learned.

use std::path::Path;
use std::sync::Arc;

use glass::Config;
use glass::backend::Cpu;
use glass::model::Gpt;
use glass::weights::Frozen;
use glass::weights::adapter::AdapterPlan;
use glass::weights::adapter::file::LoraConfig;
use glass::weights::folder::Folder;

use crate::args::{LoraArgs, Matrices};
use crate::fail::Fail;
use crate::model_arg;

/// The model that an adapter changes, and how that is made.
pub struct Lora {
    /// Its weights, as they are stored.
    pub base: Arc<Frozen<Cpu>>,
    /// Which matrices are changed.
    pub adapter: AdapterPlan,
    /// What its files say of it.
    pub about: LoraConfig,
}

impl Lora {
    /// Opens the model `folder`, which was given as `from`; `config` is that of the model to train.
    pub fn open(
        args: &LoraArgs,
        from: &str,
        folder: &Folder,
        config: &Config,
        cpu: &Cpu,
    ) -> Result<Option<Lora>, Fail> {
        let Some(rank) = args.lora else { return Ok(None) };
        if folder.adapter().is_some() {
            return Err(Fail::asked(format!(
                "--from: {from} is an adapter already; merge it first (glass convert {from} MERGED), or name the model that it changes"
            )));
        }
        if config.vocabulary != folder.config().vocabulary {
            return Err(Fail::asked(format!(
                "--lora: the chat template needs {} new tokens, and an adapter has no rows for them; take a model that was made to \
                 chat, or train without --lora",
                config.vocabulary - folder.config().vocabulary
            )));
        }
        let (_, plan) = Gpt::plan(config);
        folder.check(&plan)?;
        let about = LoraConfig {
            base: named(from),
            rank: rank as usize,
            alpha: args.lora_alpha.unwrap_or(2.0 * f64::from(rank)),
            dropout: args.lora_dropout.unwrap_or(0.0),
        };
        let is_chosen = |name: &str| args.lora_on.is_empty() || args.lora_on.iter().any(|on| on.is(name));
        let adapter = AdapterPlan::new(&plan, about.dropout, |spec| {
            is_chosen(&spec.name).then(|| (about.rank, about.scale()))
        });
        for on in &args.lora_on {
            if !plan.specs.iter().any(|spec| on.is(&spec.name)) {
                let which = match on {
                    Matrices::Gate => "its MLP has no gate",
                    _ => "the model has no such matrix",
                };
                return Err(Fail::asked(format!("--lora-on: {which}; leave it out")));
            }
        }
        let base = Arc::new(Frozen::open(cpu, &plan, folder)?);
        Ok(Some(Lora { base, adapter, about }))
    }
}

/// The model's name as the adapter's files have it: a folder by its whole path, so that it is found from anywhere.
fn named(from: &str) -> String {
    let path = model_arg::located(from, false).ok().filter(|_| Path::new(from).exists());
    let whole = path.and_then(|path| std::path::absolute(path).ok());
    whole.map_or_else(|| from.to_string(), |path| path.display().to_string())
}
