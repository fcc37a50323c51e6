//! Where numbers can be seen, and what each place is called.

use std::fmt::{Display, Formatter};
use std::str::FromStr;

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
    /// What attention reads.
    AttentionNorm,
    /// Queries of all heads.
    Query,
    /// Keys of all heads.
    Key,
    /// Values of all heads (through the value-down half).
    Value,
    /// Every query by every key, before the scaling: `[heads][queries][keys]`.
    Scores,
    /// The scores by 1 / √size, and −∞ where a key comes after its query.
    Masked,
    /// The attention pattern: what the softmax makes of them.
    Pattern,
    /// Each head's mixed values.
    Mixed,
    /// What each head adds to the residual (its mixed values through the value-up half, without its bias), `[rows][heads × width]`.
    /// It is computed beside and can only be looked at; to change it, edit the mixed values.
    Contribution,
    /// What attention adds to the residual.
    AttentionOut,
    /// The residual stream between attention and MLP.
    ResidualMiddle,
    /// What the MLP reads.
    MlpNorm,
    /// The MLP's hidden layer before the activation.
    Hidden,
    /// The MLP's hidden layer after the activation.
    Active,
    /// What the MLP adds to the residual.
    MlpOut,
}

impl Part {
    /// All of them, in the order of the flow.
    pub const ALL: [Part; 16] = [
        Part::Residual,
        Part::AttentionNorm,
        Part::Query,
        Part::Key,
        Part::Value,
        Part::Scores,
        Part::Masked,
        Part::Pattern,
        Part::Mixed,
        Part::Contribution,
        Part::AttentionOut,
        Part::ResidualMiddle,
        Part::MlpNorm,
        Part::Hidden,
        Part::Active,
        Part::MlpOut,
    ];

    /// Its name behind `block.3.`.
    pub fn name(self) -> &'static str {
        match self {
            Part::Residual => "residual",
            Part::AttentionNorm => "attention.norm",
            Part::Query => "attention.query",
            Part::Key => "attention.key",
            Part::Value => "attention.value",
            Part::Scores => "attention.scores",
            Part::Masked => "attention.masked",
            Part::Pattern => "attention.pattern",
            Part::Mixed => "attention.mixed",
            Part::Contribution => "attention.contribution",
            Part::AttentionOut => "attention.out",
            Part::ResidualMiddle => "residual_middle",
            Part::MlpNorm => "mlp.norm",
            Part::Hidden => "mlp.hidden",
            Part::Active => "mlp.active",
            Part::MlpOut => "mlp.out",
        }
    }
}

impl Site {
    /// Before all blocks, and after.
    const AROUND: [(Site, &'static str); 6] = [
        (Site::Token, "embedding.token"),
        (Site::Position, "embedding.position"),
        (Site::Embedding, "embedding"),
        (Site::Residual, "residual"),
        (Site::Norm, "norm"),
        (Site::Logits, "logits"),
    ];

    /// All sites of a model with so many blocks, in the order of the flow.
    pub fn all(layers: usize) -> Vec<Site> {
        let blocks = (0..layers).flat_map(|layer| Part::ALL.map(|part| Site::Block(layer, part)));
        let (before, after) = Site::AROUND.split_at(3);
        let site = |&(site, _): &(Site, &str)| site;
        before.iter().map(site).chain(blocks).chain(after.iter().map(site)).collect()
    }

    /// Whether its numbers are a square for every head, queries × keys.
    pub fn is_square(self) -> bool {
        matches!(self, Site::Block(_, Part::Scores | Part::Masked | Part::Pattern))
    }

    /// The residual stream that enters block `layer`; behind the last block, what leaves it.
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
        let around = Site::AROUND.iter().find(|(_, known)| *known == name).map(|(site, _)| *site);
        around.or_else(|| inside(name)).ok_or_else(|| {
            let around: Vec<&str> = Site::AROUND.iter().map(|(_, name)| *name).collect();
            let parts: Vec<&str> = Part::ALL.into_iter().map(Part::name).collect();
            let why = format!(
                "{name:?} is none; there are {}, and behind block.N.: {}",
                around.join(", "),
                parts.join(", ")
            );
            Error::asked("site", why)
        })
    }
}
