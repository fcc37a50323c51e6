//! The architectures of GGUF that are read: a table of tensors and the configuration of each, as llama.cpp's converter writes
//! them.

mod choices;

use glass_kernels::attend::Heads;

use super::{Fields, short};
use crate::config::{LayerAttention, Norm, Rotary, Scaling};
use crate::families::Family;
use crate::families::names::{self, Named, Rows, named};
use crate::families::rotary::growth;
use crate::weights::names::Place;
use crate::{Config, Error, Result};
use choices::{
    gemma, gemma2, gemma3, gpt2, gptneox, granite, llama, mistral3, olmo2, phi3, qwen2, qwen3, smollm3,
    stablelm,
};

/// An architecture.
pub(in crate::weights) struct Architecture {
    /// Its name in `general.architecture`, with which its fields begin.
    pub name: &'static str,
    /// The family whose form it is.
    pub family: Family,
    /// Which tensor holds which parameter.
    pub names: &'static [Named],
    /// Whether gains are stored as 1 + w.
    pub ones: bool,
    /// The choices that its fields do not tell.
    choices: fn(&Sizes<'_>, Config) -> Result<Config>,
}

/// The one that tells how far YaRN's usual factor of cosine and sine is taken back.
pub(super) const MISTRAL3: &str = "mistral3";

/// All that are read.
const ALL: [Architecture; 14] = [
    Architecture { name: "gpt2", family: Family::Gpt2, names: &JOINED, ones: false, choices: gpt2 },
    Architecture { name: "llama", family: Family::Llama, names: &PAIRED, ones: false, choices: llama },
    Architecture {
        name: MISTRAL3,
        family: Family::Ministral3,
        names: &PAIRED,
        ones: false,
        choices: mistral3,
    },
    Architecture { name: "qwen2", family: Family::Qwen2, names: &STRAIGHT, ones: false, choices: qwen2 },
    Architecture { name: "qwen3", family: Family::Qwen3, names: &STRAIGHT, ones: false, choices: qwen3 },
    Architecture { name: "gemma", family: Family::Gemma, names: &STRAIGHT, ones: true, choices: gemma },
    Architecture { name: "gemma2", family: Family::Gemma2, names: &STRAIGHT, ones: true, choices: gemma2 },
    Architecture { name: "gemma3", family: Family::Gemma3, names: &STRAIGHT, ones: true, choices: gemma3 },
    Architecture { name: "phi3", family: Family::Phi3, names: &PHI3, ones: false, choices: phi3 },
    Architecture { name: "granite", family: Family::Granite, names: &PAIRED, ones: false, choices: granite },
    Architecture { name: "olmo2", family: Family::Olmo2, names: &STRAIGHT, ones: false, choices: olmo2 },
    Architecture { name: "smollm3", family: Family::SmolLm3, names: &PAIRED, ones: false, choices: smollm3 },
    Architecture {
        name: "stablelm",
        family: Family::StableLm,
        names: &STRAIGHT,
        ones: false,
        choices: stablelm,
    },
    Architecture { name: "gptneox", family: Family::GptNeoX, names: &JOINED, ones: false, choices: gptneox },
];

const fn paired(ours: &'static str, theirs: &'static str) -> Named {
    Named { ours, theirs, rows: Rows::Pairs }
}

const STRAIGHT: [Named; 17] = table(
    named("block.N.attention.query", "blk.N.attn_q"),
    named("block.N.attention.key", "blk.N.attn_k"),
    named("block.N.attention.value_down", "blk.N.attn_v"),
    "blk.N.ffn_gate",
);

/// Neighbours are rotated together, where the other files have halves.
const PAIRED: [Named; 17] = table(
    paired("block.N.attention.query", "blk.N.attn_q"),
    paired("block.N.attention.key", "blk.N.attn_k"),
    named("block.N.attention.value_down", "blk.N.attn_v"),
    "blk.N.ffn_gate",
);

const JOINED: [Named; 17] = table(
    named("block.N.attention.query", "blk.N.attn_qkv"),
    named("block.N.attention.key", "blk.N.attn_qkv"),
    named("block.N.attention.value_down", "blk.N.attn_qkv"),
    "blk.N.ffn_gate",
);

/// Gate and up are joined too.
const PHI3: [Named; 17] = table(JOINED[3], JOINED[4], JOINED[5], "blk.N.ffn_up");

const fn table(query: Named, key: Named, value: Named, gate: &'static str) -> [Named; 17] {
    [
        named("embedding.token", "token_embd"),
        named("embedding.position", "position_embd"),
        named("block.N.attention.norm", "blk.N.attn_norm"),
        query,
        key,
        value,
        named("block.N.attention.value_up", "blk.N.attn_output"),
        named("block.N.attention.query_norm", "blk.N.attn_q_norm"),
        named("block.N.attention.key_norm", "blk.N.attn_k_norm"),
        named("block.N.attention.norm_after", "blk.N.post_attention_norm"),
        named("block.N.mlp.norm", "blk.N.ffn_norm"),
        named("block.N.mlp.gate", gate),
        named("block.N.mlp.up", "blk.N.ffn_up"),
        named("block.N.mlp.down", "blk.N.ffn_down"),
        named("block.N.mlp.norm_after", "blk.N.post_ffw_norm"),
        named("norm", "output_norm"),
        named("unembedding", "output"),
    ]
}

/// The architecture of a family's files.
pub(in crate::weights) fn of_family(family: Family) -> Option<&'static Architecture> {
    static TABLE: [Architecture; ALL.len()] = ALL;
    // What llama.cpp does not distinguish.
    let family = match family {
        Family::Mistral | Family::Ministral => Family::Llama,
        Family::Olmo3 => Family::Olmo2,
        family => family,
    };
    TABLE.iter().find(|one| one.family == family)
}

/// The architecture of this name.
pub(super) fn named_by(name: &str, found: &str) -> Result<&'static Architecture> {
    static TABLE: [Architecture; ALL.len()] = ALL;
    TABLE.iter().find(|one| one.name == found).ok_or_else(|| {
        let known = TABLE.iter().map(|one| one.name).collect::<Vec<_>>().join(", ");
        Error::invalid(name, format!("has the architecture {}; only {known} can be read", short(found)))
    })
}

/// What the tensors say.
pub(super) struct Shapes {
    /// Rows of the embedding.
    pub vocabulary: usize,
    /// Whether there is no unembedding.
    pub tied: bool,
    /// Whether queries have biases.
    pub has_bias: bool,
    /// Divisors of the angles: for short contexts, and for long ones.
    pub divisors: [Option<Vec<f64>>; 2],
}

/// The fields of one architecture.
struct Sizes<'a> {
    fields: &'a Fields<'a>,
    name: &'static str,
    shapes: &'a Shapes,
}

impl Architecture {
    /// Where `parameter` is in its files.
    pub fn place(&self, config: &Config, parameter: &str) -> Option<Place> {
        let place = names::place(self.names, false, config, parameter)?;
        Some(if self.ones { names::with_ones(place, config, parameter) } else { place })
    }
}

impl Sizes<'_> {
    fn size(&self, field: &str) -> Result<usize> {
        self.fields.size(&format!("{}.{field}", self.name))
    }

    fn number(&self, field: &str) -> Result<Option<f64>> {
        self.fields.number(&format!("{}.{field}", self.name))
    }

    fn size_or(&self, field: &str, default: usize) -> Result<usize> {
        match self.number(field)? {
            None => Ok(default),
            Some(_) => self.size(field),
        }
    }

    /// The rotation that the fields tell.
    fn rotary(&self, config: &Config, base: f64) -> Result<Rotary> {
        let base = self.number("rope.freq_base")?.unwrap_or(base);
        let width = self.size_or("rope.dimension_count", config.heads.size)?;
        let key = |field: &str| format!("{}.rope.scaling.{field}", self.name);
        let factor = self.fields.number(&key("factor"))?.or(self.number("rope.scale_linear")?);
        let original = self.size_or("rope.scaling.original_context_length", config.context)?;
        let kind =
            self.fields.text(&key("type"))?.unwrap_or(if factor.is_some() { "linear" } else { "none" });
        let scaling = match (&self.shapes.divisors, kind) {
            ([short, long], _) if short.is_some() || long.is_some() => {
                let [short, long] = [short.as_ref().or(long.as_ref()), long.as_ref().or(short.as_ref())];
                let amplitude = self.fields.number(&key("attn_factor"))?.unwrap_or(1.0);
                let [short, long] = [short, long].map(|list| list.cloned().unwrap_or_default());
                Scaling::LongRope { short, long, original, amplitude }
            }
            (_, "none") => Scaling::None,
            (_, "linear") => match factor {
                Some(factor) if factor > 0.0 && factor != 1.0 => Scaling::Linear { factor },
                _ => Scaling::None,
            },
            (_, "yarn") => {
                let factor = factor.unwrap_or(1.0);
                let back = match self.name {
                    MISTRAL3 => self.fields.number(&key("yarn_log_multiplier"))?.unwrap_or(0.0),
                    _ => 0.0,
                };
                let usual = growth(factor, 1.0) / growth(factor, back);
                Scaling::Yarn {
                    factor,
                    fast: self.fields.number(&key("yarn_beta_fast"))?.unwrap_or(32.0),
                    slow: self.fields.number(&key("yarn_beta_slow"))?.unwrap_or(1.0),
                    truncate: true,
                    original,
                    amplitude: usual * self.fields.number(&key("attn_factor"))?.unwrap_or(1.0),
                }
            }
            (_, other) => {
                let why = format!("{} is {other:?}; none, linear or yarn was expected", key("type"));
                return Err(Error::invalid(self.fields.name, why));
            }
        };
        let pairs = width / 2;
        if let Scaling::LongRope { short, long, .. } = &scaling
            && (short.len() != pairs || long.len() != pairs)
        {
            let why = format!(
                "the factors of the angles are {} and {}, for {pairs} pairs",
                short.len(),
                long.len()
            );
            return Err(Error::invalid(self.fields.name, why));
        }
        Ok(Rotary { base, width, scaling, ..Rotary::new(base, config.heads.size) })
    }

    /// All layers alike.
    fn rotated(&self, config: Config, base: f64) -> Result<Config> {
        let rotary = Some(self.rotary(&config, base)?);
        Ok(Config { attention: vec![LayerAttention::new(None, rotary)], ..config })
    }

    /// One layer in `every` sees everything, the others what the window says.
    fn windowed(
        &self,
        config: Config,
        every: usize,
        local: Rotary,
        global: Rotary,
        window: usize,
    ) -> Result<Config> {
        let every = self.size_or("attention.sliding_window_pattern", every)?;
        let window = Some(self.size_or("attention.sliding_window", window)?);
        let mut attention = vec![LayerAttention::new(window, Some(local)); every];
        attention[every - 1] = LayerAttention::new(None, Some(global));
        Ok(Config { attention, ..config })
    }
}

/// The configuration of a file.
pub(super) fn config(
    fields: &Fields<'_>,
    architecture: &Architecture,
    layers: usize,
    shapes: &Shapes,
) -> Result<Config> {
    let sizes = Sizes { fields, name: architecture.name, shapes };
    let width = sizes.size("embedding_length")?;
    let query = sizes.size("attention.head_count")?;
    let key = sizes.size_or("attention.head_count_kv", query)?;
    let size = sizes.size_or("attention.key_length", width / query)?;
    if sizes.size_or("attention.value_length", size)? != size {
        let why = format!("{}.attention.value_length is not the length of keys, {size}", architecture.name);
        return Err(Error::invalid(fields.name, why));
    }
    if sizes.number("attention.key_length")?.is_none() && !width.is_multiple_of(query) {
        let why = format!("embedding_length {width} cannot be cut into {query} heads");
        return Err(Error::invalid(fields.name, why));
    }
    let experts = sizes.number("expert_count")?.unwrap_or(0.0);
    if experts > 0.0 {
        let why = format!("{}.expert_count is {experts}; experts are not supported", architecture.name);
        return Err(Error::invalid(fields.name, why));
    }
    let heads = Heads::new(query, key, size);
    let mut config = Config::llama(
        shapes.vocabulary,
        sizes.size("context_length")?,
        width,
        layers,
        heads,
        sizes.size("feed_forward_length")?,
    );
    config.tied = shapes.tied;
    config.family = architecture.family;
    let rms = sizes.number("attention.layer_norm_rms_epsilon")?;
    config.norm = match (rms, sizes.number("attention.layer_norm_epsilon")?) {
        (Some(epsilon), _) => Norm::rms(epsilon as f32),
        (None, epsilon) => Norm::layer(epsilon.unwrap_or(1e-5) as f32),
    };
    (architecture.choices)(&sizes, config)
}
