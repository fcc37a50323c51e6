//! Rotary positions in `config.json`: `rope_parameters` of `transformers` 5, `rope_theta` and `rope_scaling` of 4.

use serde_json::{Map, Value, json};

use super::read::Fields;
use crate::config::object::Object;
use crate::config::{Pairs, PositionScale, Rotary, Scaling};
use crate::{Config, Result};

/// What a class takes where fields are absent, and which of them it reads.
#[derive(Clone, Copy)]
pub(crate) struct Habits {
    /// The default base.
    pub base: f64,
    /// The default share of a head that is rotated, where the class can rotate a part; absent if it rotates all.
    pub share: Option<f64>,
    /// The older name of that share.
    pub old_share: &'static str,
    /// The older name of the base.
    pub old_base: &'static str,
    /// Whether the original context has a field of its own outside.
    pub is_original_outside: bool,
}

/// Llama's.
pub(super) const HABITS: Habits = Habits {
    base: 10_000.0,
    share: None,
    old_share: "partial_rotary_factor",
    old_base: "rope_theta",
    is_original_outside: false,
};

/// Fields of the rotation that are read, or change nothing where they are.
const KNOWN: [&str; 18] = [
    "rope_type",
    "type",
    "rope_theta",
    "partial_rotary_factor",
    "factor",
    "original_max_position_embeddings",
    "low_freq_factor",
    "high_freq_factor",
    "beta_fast",
    "beta_slow",
    "attention_factor",
    "mscale",
    "mscale_all_dim",
    "truncate",
    "short_factor",
    "long_factor",
    "llama_4_scaling_beta",
    "max_position_embeddings",
];

/// What the rotation's scaling is computed with.
struct Scale<'a> {
    fields: &'a Fields<'a>,
    inner: &'a Object,
    habits: Habits,
    context: usize,
}

impl Fields<'_> {
    /// The rotation of all layers, for heads of this size.
    pub fn rotary(&self, config: &Config, habits: Habits) -> Result<Rotary> {
        let inner = self.rotation()?;
        self.rotary_of(config, habits, &inner)
    }

    /// The object that describes the rotation, empty if there is none.
    pub fn rotation(&self) -> Result<Object> {
        let empty = || Object::of("rope_parameters", Map::new());
        let found = match self.object("rope_parameters")? {
            Some(found) => Some(found),
            None => self.object("rope_scaling")?,
        };
        Ok(found.unwrap_or_else(empty))
    }

    /// The rotation that `inner` describes.
    pub fn rotary_of(&self, config: &Config, habits: Habits, inner: &Object) -> Result<Rotary> {
        if let Some(name) = inner.names().find(|name| !KNOWN.contains(name)) {
            let why =
                format!("{name:?} is unknown; it may change the rotation, which Glass would not follow");
            return Err(inner.error(why));
        }
        let base = match (inner.number("rope_theta")?, self.number(habits.old_base)?) {
            (Some(base), _) => base,
            (None, Some(base)) => base,
            (None, None) => self.number("rope_theta")?.unwrap_or(habits.base),
        };
        let size = config.heads.size;
        let share = inner.number("partial_rotary_factor")?;
        let share = share.or(self.number(habits.old_share)?).or(self.number("partial_rotary_factor")?);
        let share = match (share, habits.share) {
            (share, Some(usual)) => share.unwrap_or(usual),
            (None | Some(1.0), None) => 1.0,
            (Some(share), None) => {
                let why = "1, since this family rotates whole heads,";
                return Err(self.wrong(habits.old_share, &json!(share), why));
            }
        };
        let width = (size as f64 * share) as usize;
        if !width.is_multiple_of(2) || width == 0 || width > size {
            let why = format!(
                "partial_rotary_factor {share} rotates {width} of the {size} numbers of a head; an even number from 2 to \
                 {size} was expected"
            );
            return Err(self.error(why));
        }
        let scale = Scale { fields: self, inner, habits, context: config.context };
        let scaling = scale.scaling(width)?;
        Ok(Rotary { base, width, pairs: Pairs::Halves, reversed: false, scaling })
    }

    /// The factor of queries by position, where the rotation's object has one.
    pub fn position_scale(&self, inner: &Object) -> Result<Option<PositionScale>> {
        let Some(beta) = inner.number("llama_4_scaling_beta")? else { return Ok(None) };
        let original = inner.needed_size("original_max_position_embeddings")?;
        Ok(Some(PositionScale { beta, original }))
    }
}

impl Scale<'_> {
    fn original(&self) -> Result<usize> {
        let name = "original_max_position_embeddings";
        let outside = self.fields.size(name)?;
        let outside = outside.or(self.habits.is_original_outside.then_some(4096));
        Ok(outside.or(self.inner.size(name)?).unwrap_or(self.context))
    }

    fn needed(&self, name: &str) -> Result<f64> {
        let missing = || self.inner.error(format!("{name} is missing; a number was expected"));
        self.inner.number(name)?.ok_or_else(missing)
    }

    fn factor(&self) -> Result<f64> {
        let factor = self.needed("factor")?;
        match factor > 0.0 {
            true => Ok(factor),
            false => Err(self.inner.wrong("factor", &json!(factor), "a number above 0")),
        }
    }

    fn scaling(&self, width: usize) -> Result<Scaling> {
        let inner = self.inner;
        let (name, kind) = match inner.text("rope_type")? {
            Some(kind) => ("rope_type", kind),
            None => ("type", inner.text("type")?.unwrap_or("default")),
        };
        // Phi-3's class has one scaled kind, under three names.
        let kind =
            if self.habits.is_original_outside && ["su", "yarn"].contains(&kind) { "longrope" } else { kind };
        if self.habits.is_original_outside && !["default", "longrope"].contains(&kind) {
            return Err(inner.wrong(name, &json!(kind), "\"default\" or \"longrope\", in this family,"));
        }
        Ok(match kind {
            "default" => Scaling::None,
            "linear" => Scaling::Linear { factor: self.factor()? },
            "dynamic" => Scaling::Dynamic { factor: self.factor()?, original: self.context },
            "llama3" => Scaling::Llama3 {
                factor: self.factor()?,
                low: self.needed("low_freq_factor")?,
                high: self.needed("high_freq_factor")?,
                original: self.original()?,
            },
            "yarn" => self.yarn()?,
            "longrope" => self.long(width)?,
            other => {
                let known = "one of default, linear, dynamic, llama3, yarn, longrope";
                return Err(inner.wrong(name, &json!(other), known));
            }
        })
    }

    fn yarn(&self) -> Result<Scaling> {
        let (inner, factor) = (self.inner, self.factor()?);
        let nonzero = |name| Ok(inner.number(name)?.filter(|&m: &f64| m != 0.0));
        let amplitude =
            match (inner.number("attention_factor")?, nonzero("mscale")?, nonzero("mscale_all_dim")?) {
                (Some(given), ..) => given,
                (None, Some(mscale), Some(all)) => growth(factor, mscale) / growth(factor, all),
                _ => growth(factor, 1.0),
            };
        Ok(Scaling::Yarn {
            factor,
            fast: nonzero("beta_fast")?.unwrap_or(32.0),
            slow: nonzero("beta_slow")?.unwrap_or(1.0),
            truncate: inner.flag("truncate")?.unwrap_or(true),
            original: self.original()?,
            amplitude,
        })
    }

    fn long(&self, width: usize) -> Result<Scaling> {
        let (inner, original) = (self.inner, self.original()?);
        let divisors = |name: &str| {
            let missing = || inner.error(format!("{name} is missing; a list of numbers was expected"));
            let list = inner.numbers(name)?.ok_or_else(missing)?;
            match list.len() == width / 2 && list.iter().all(|&n| n > 0.0) {
                true => Ok(list),
                false => Err(inner.error(format!(
                    "{name} has {} numbers; {} above 0 were expected, one for every pair that is rotated",
                    list.len(),
                    width / 2
                ))),
            }
        };
        let longer = self.context as f64 / original as f64;
        let amplitude = match inner.number("attention_factor")? {
            Some(given) => given,
            None => usual_amplitude(inner.number("factor")?.unwrap_or(longer), original),
        };
        Ok(Scaling::LongRope {
            short: divisors("short_factor")?,
            long: divisors("long_factor")?,
            original,
            amplitude,
        })
    }
}

/// YaRN's factor of cosine and sine.
pub(crate) fn growth(factor: f64, mscale: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * mscale * factor.ln() + 1.0 }
}

/// LongRoPE's factor of cosine and sine.
fn usual_amplitude(factor: f64, original: usize) -> f64 {
    if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / (original as f64).ln()).sqrt() }
}

/// A rotation as `rope_parameters` has it.
pub(crate) fn write(rotary: &Rotary, config: &Config, habits: Habits) -> Map<String, Value> {
    let mut all = Map::new();
    let mut put = |name: &str, value: Value| {
        all.insert(name.into(), value);
    };
    put("rope_theta", number(rotary.base));
    if habits.share.is_some() {
        put("partial_rotary_factor", json!(rotary.width as f64 / config.heads.size as f64));
    }
    let kind = match &rotary.scaling {
        Scaling::None => "default",
        Scaling::Linear { factor } => {
            put("factor", json!(factor));
            "linear"
        }
        Scaling::Dynamic { factor, .. } => {
            put("factor", json!(factor));
            "dynamic"
        }
        &Scaling::Llama3 { factor, low, high, original } => {
            put("factor", json!(factor));
            put("low_freq_factor", json!(low));
            put("high_freq_factor", json!(high));
            put("original_max_position_embeddings", json!(original));
            "llama3"
        }
        &Scaling::Yarn { factor, fast, slow, truncate, original, amplitude } => {
            put("factor", json!(factor));
            put("beta_fast", json!(fast));
            put("beta_slow", json!(slow));
            put("original_max_position_embeddings", json!(original));
            if !truncate {
                put("truncate", json!(false));
            }
            if amplitude != growth(factor, 1.0) {
                put("attention_factor", json!(amplitude));
            }
            "yarn"
        }
        Scaling::LongRope { short, long, original, amplitude } => {
            put("short_factor", json!(short));
            put("long_factor", json!(long));
            // Its class has it outside.
            if !habits.is_original_outside {
                put("original_max_position_embeddings", json!(original));
            }
            let longer = config.context as f64 / *original as f64;
            if *amplitude != usual_amplitude(longer, *original) {
                put("attention_factor", json!(amplitude));
            }
            if !habits.is_original_outside {
                // The class asks for it; it has no effect beside an attention factor, and without one it is the default.
                put("factor", json!(longer));
            }
            "longrope"
        }
    };
    put("rope_type", json!(kind));
    all
}

/// A number as a float, as `transformers` writes it.
fn number(value: f64) -> Value {
    json!(value)
}
