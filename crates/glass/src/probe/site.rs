//! The places where numbers can be seen, and their names.

use std::fmt::{Display, Formatter};
use std::str::FromStr;

use crate::config::{Config, Positions};
use crate::{Error, Result};

/// A place in the pass where numbers can be seen, in the order of the flow. Names as in `block.3.attention.query`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Site {
    /// The token's vector.
    Token,
    /// The position's vector.
    Position,
    /// Token and position, added: what enters the first block.
    Embedding,
    /// Inside a block.
    Block(usize, Part),
    /// The residual stream after the last block.
    Residual,
    /// After the last norm.
    Norm,
    /// The logits.
    Logits,
}

/// A place inside a block, in the order of the flow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Part {
    /// The residual stream before the block.
    Residual,
    /// The input of attention.
    AttentionNorm,
    /// Queries of all heads.
    Query,
    /// Queries after their norm, where they have one.
    QueryNorm,
    /// Queries after their rotation, where positions are rotary.
    QueryRotated,
    /// Keys of all heads.
    Key,
    /// Keys after their norm.
    KeyNorm,
    /// Keys after their rotation.
    KeyRotated,
    /// Values of all heads (through the value-down half).
    Value,
    /// Every query times every key, before scaling: `[heads][queries][keys]`.
    Scores,
    /// The scores after scale and cap, and −∞ for keys that the query does not see.
    Masked,
    /// The attention pattern: the softmax of the masked scores.
    Pattern,
    /// Each head's output (`z`): values weighted by its pattern, before `value_up`.
    Z,
    /// What each head adds to the residual (`z` through `value_up`, without its bias), `[rows][heads × width]`. It
    /// is computed separately and can only be read; to change it, edit `z`.
    Contribution,
    /// What `value_up` gives, where a norm stands on it.
    AttentionUnnormed,
    /// What attention adds to the residual.
    AttentionOut,
    /// The residual stream between attention and MLP.
    ResidualMiddle,
    /// The input of the MLP.
    MlpNorm,
    /// The MLP's hidden layer before the activation.
    Hidden,
    /// What the activated hidden layer is multiplied by, where it is gated.
    Up,
    /// The MLP's hidden layer after the activation, times [`Up`](Part::Up) where it is gated.
    Active,
    /// What `down` gives, where a norm stands on it.
    MlpUnnormed,
    /// What the MLP adds to the residual.
    MlpOut,
}

impl Part {
    /// All of them, in the order of the flow.
    pub const ALL: [Part; 23] = [
        Part::Residual,
        Part::AttentionNorm,
        Part::Query,
        Part::QueryNorm,
        Part::QueryRotated,
        Part::Key,
        Part::KeyNorm,
        Part::KeyRotated,
        Part::Value,
        Part::Scores,
        Part::Masked,
        Part::Pattern,
        Part::Z,
        Part::Contribution,
        Part::AttentionUnnormed,
        Part::AttentionOut,
        Part::ResidualMiddle,
        Part::MlpNorm,
        Part::Hidden,
        Part::Up,
        Part::Active,
        Part::MlpUnnormed,
        Part::MlpOut,
    ];

    /// Whether a row is one vector of a head's size after the other, each of another head.
    pub fn is_of_heads(self) -> bool {
        matches!(
            self,
            Part::Query
                | Part::QueryNorm
                | Part::QueryRotated
                | Part::Key
                | Part::KeyNorm
                | Part::KeyRotated
                | Part::Value
                | Part::Z
        )
    }

    /// Its name after `block.3.`.
    pub fn name(self) -> &'static str {
        match self {
            Part::Residual => "residual",
            Part::AttentionNorm => "attention.norm",
            Part::Query => "attention.query",
            Part::QueryNorm => "attention.query_norm",
            Part::QueryRotated => "attention.query_rotated",
            Part::Key => "attention.key",
            Part::KeyNorm => "attention.key_norm",
            Part::KeyRotated => "attention.key_rotated",
            Part::Value => "attention.value",
            Part::Scores => "attention.scores",
            Part::Masked => "attention.masked",
            Part::Pattern => "attention.pattern",
            Part::Z => "attention.z",
            Part::Contribution => "attention.contribution",
            Part::AttentionUnnormed => "attention.unnormed",
            Part::AttentionOut => "attention.out",
            Part::ResidualMiddle => "residual_middle",
            Part::MlpNorm => "mlp.norm",
            Part::Hidden => "mlp.hidden",
            Part::Up => "mlp.up",
            Part::Active => "mlp.active",
            Part::MlpUnnormed => "mlp.unnormed",
            Part::MlpOut => "mlp.out",
        }
    }
}

/// The naming scheme of sites.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Names {
    /// Glass's: `block.3.attention.pattern`.
    #[default]
    Glass,
    /// TransformerLens's: `blocks.3.attn.hook_pattern`.
    TransformerLens,
}

impl Part {
    /// Its name in TransformerLens after `blocks.3.`; `None` where that library has no such hook.
    fn hook(self) -> Option<&'static str> {
        Some(match self {
            Part::Residual => "hook_resid_pre",
            Part::AttentionNorm => "ln1.hook_out",
            Part::Query => "attn.hook_q",
            Part::QueryRotated => "attn.hook_rot_q",
            Part::Key => "attn.hook_k",
            Part::KeyRotated => "attn.hook_rot_k",
            Part::Value => "attn.hook_v",
            // That library's norms of queries and keys have the heads before the positions, or no heads.
            Part::Scores | Part::QueryNorm | Part::KeyNorm => return None,
            Part::Masked => "attn.hook_attn_scores",
            Part::Pattern => "attn.hook_pattern",
            Part::Z => "attn.hook_z",
            Part::Contribution => "attn.hook_result",
            Part::AttentionUnnormed => "attn.hook_out",
            Part::AttentionOut => "hook_attn_out",
            Part::ResidualMiddle => "hook_resid_mid",
            Part::MlpNorm => "ln2.hook_out",
            Part::Hidden => "mlp.hook_pre",
            Part::Up => "mlp.hook_pre_linear",
            Part::Active => "mlp.hook_post",
            Part::MlpUnnormed => "mlp.hook_out",
            Part::MlpOut => "hook_mlp_out",
        })
    }
}

impl Site {
    /// Sites outside of blocks that TransformerLens has, with its names.
    const HOOKS: [(Site, &'static str); 4] = [
        (Site::Token, "hook_embed"),
        (Site::Position, "hook_pos_embed"),
        (Site::Norm, "ln_final.hook_out"),
        (Site::Logits, "unembed.hook_out"),
    ];

    /// Sites before and after the blocks.
    const AROUND: [(Site, &'static str); 6] = [
        (Site::Token, "embedding.token"),
        (Site::Position, "embedding.position"),
        (Site::Embedding, "embedding"),
        (Site::Residual, "residual"),
        (Site::Norm, "norm"),
        (Site::Logits, "logits"),
    ];

    /// All sites of a model, in the order of the flow.
    pub fn all(config: &Config) -> Vec<Site> {
        let blocks = (0..config.layers).flat_map(|layer| Part::ALL.map(|part| Site::Block(layer, part)));
        let (before, after) = Site::AROUND.split_at(3);
        let site = |&(site, _): &(Site, &str)| site;
        let all = before.iter().map(site).chain(blocks).chain(after.iter().map(site));
        all.filter(|site| site.is_in(config)).collect()
    }

    /// Whether a model has it: a gate, a rotation or a norm of queries is not in every one.
    pub fn is_in(self, config: &Config) -> bool {
        let rotary = |layer| layer < config.layers && config.attention_of(layer).rotary.is_some();
        match self {
            Site::Position => config.positions == Positions::Learned,
            Site::Block(layer, part) => match part {
                Part::QueryNorm => config.query_key_norm.is_some(),
                Part::QueryRotated => rotary(layer),
                Part::Key | Part::Value => config.has_keys(layer),
                Part::KeyNorm => config.query_key_norm.is_some() && config.has_keys(layer),
                Part::KeyRotated => rotary(layer) && config.has_keys(layer),
                Part::Up => config.gated,
                Part::AttentionUnnormed | Part::MlpUnnormed => config.placement.is_after(),
                _ => true,
            },
            _ => true,
        }
    }

    /// The site with a given name in a model with this many blocks. Both Glass's and TransformerLens's names are
    /// accepted; `blocks.N.hook_resid_post` is the input of the next block.
    ///
    /// # Errors
    /// If there is no such site.
    pub fn named(name: &str, layers: usize) -> Result<Site> {
        let site: Site =
            match name.strip_prefix("blocks.").and_then(|rest| rest.strip_suffix(".hook_resid_post")) {
                Some(layer) => layer
                    .parse()
                    .ok()
                    .filter(|&layer: &usize| layer < layers)
                    .map_or_else(|| Err(no_such_site(name)), |layer| Ok(Site::residual(layer + 1, layers)))?,
                None => name.parse()?,
            };
        match site {
            Site::Block(layer, _) if layer >= layers => {
                let blocks = if layers == 1 { "block" } else { "blocks" };
                let why =
                    format!("{name:?} is in block {layer}; the model has {layers} {blocks}, counted from 0");
                Err(Error::invalid_argument("site", why))
            }
            _ => Ok(site),
        }
    }

    /// Its name in a model with this many blocks. Sites for which TransformerLens has no hook keep Glass's name.
    pub fn name(self, names: Names, layers: usize) -> String {
        let hook = match (names, self) {
            (Names::Glass, _) => None,
            (_, Site::Block(layer, part)) => part.hook().map(|hook| format!("blocks.{layer}.{hook}")),
            (_, Site::Residual) if layers > 0 => Some(format!("blocks.{}.hook_resid_post", layers - 1)),
            _ => Site::HOOKS.iter().find(|(site, _)| *site == self).map(|(_, hook)| (*hook).to_string()),
        };
        hook.unwrap_or_else(|| self.to_string())
    }

    /// The length of a row; at a [square](Site::is_square) site, for `keys` positions.
    pub fn cols(self, config: &Config, keys: usize) -> usize {
        let heads = config.heads;
        match self {
            Site::Logits => config.vocabulary,
            Site::Block(_, part) => match part {
                Part::Query | Part::QueryNorm | Part::QueryRotated | Part::Z => heads.query * heads.size,
                Part::Key | Part::KeyNorm | Part::KeyRotated | Part::Value => heads.key * heads.size,
                Part::Scores | Part::Masked | Part::Pattern => keys,
                Part::Contribution => heads.query * config.width,
                Part::Hidden | Part::Up | Part::Active => config.mlp_width,
                _ => config.width,
            },
            _ => config.width,
        }
    }

    /// Whether its numbers are a square for every head, queries × keys.
    pub fn is_square(self) -> bool {
        matches!(self, Site::Block(_, Part::Scores | Part::Masked | Part::Pattern))
    }

    /// Queries of a block as attention compares them with keys: after their norm and rotation, where they have them.
    pub fn query(config: &Config, layer: usize) -> Site {
        Site::compared(config, layer, [Part::Query, Part::QueryNorm, Part::QueryRotated])
    }

    /// Keys of a block as attention compares them with queries: of the layer whose it reads.
    pub fn key(config: &Config, layer: usize) -> Site {
        Site::compared(config, config.keys_of(layer), [Part::Key, Part::KeyNorm, Part::KeyRotated])
    }

    /// Values of a block: of the layer whose it reads.
    pub fn value(config: &Config, layer: usize) -> Site {
        Site::Block(config.keys_of(layer), Part::Value)
    }

    fn compared(config: &Config, layer: usize, [linear, normed, rotated]: [Part; 3]) -> Site {
        let norm_is_last = config.query_key_norm.is_some_and(|norm| norm.after_rotation);
        let last = if norm_is_last { [normed, rotated] } else { [rotated, normed] };
        let mut sites = last.into_iter().map(|part| Site::Block(layer, part));
        sites.find(|site| site.is_in(config)).unwrap_or(Site::Block(layer, linear))
    }

    /// The residual stream that enters block `layer`; for the number of layers, the output of the last block.
    pub fn residual(layer: usize, layers: usize) -> Site {
        if layer < layers { Site::Block(layer, Part::Residual) } else { Site::Residual }
    }
}

impl Display for Site {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        if let Site::Block(layer, part) = self {
            return write!(f, "block.{layer}.{}", part.name());
        }
        let name = Site::AROUND.iter().find(|(site, _)| site == self).map(|(_, name)| *name);
        f.write_str(name.unwrap_or_default())
    }
}

impl FromStr for Site {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let inside = |name: &str| {
            let (layer, part) = name.strip_prefix("block.")?.split_once('.')?;
            let part = Part::ALL.into_iter().find(|known| known.name() == part)?;
            Some(Site::Block(layer.parse().ok()?, part))
        };
        let hooked = |name: &str| {
            let (layer, hook) = name.strip_prefix("blocks.")?.split_once('.')?;
            let part = Part::ALL.into_iter().find(|known| known.hook() == Some(hook))?;
            Some(Site::Block(layer.parse().ok()?, part))
        };
        let mut around = Site::AROUND.iter().chain(&Site::HOOKS);
        let around = around.find(|(_, known)| *known == name).map(|(site, _)| *site);
        around.or_else(|| inside(name)).or_else(|| hooked(name)).ok_or_else(|| no_such_site(name))
    }
}

fn no_such_site(name: &str) -> Error {
    let around: Vec<&str> = Site::AROUND.iter().map(|(_, name)| *name).collect();
    let parts: Vec<&str> = Part::ALL.into_iter().map(Part::name).collect();
    let why = format!(
        "{name:?} is not a site; the sites are {}, and in every block, after block.N.: {}; TransformerLens's names, as in \
         blocks.3.attn.hook_pattern, are accepted too",
        around.join(", "),
        parts.join(", ")
    );
    Error::invalid_argument("site", why)
}
