//! Looking inside: a probe is called with the numbers of every site it wants, on any pass.
//!
//! `()` is the probe that is not there; with it the lines in the model compile away.

/// A place in the pass where numbers can be seen. Names as in `block.3.attention.query`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Site {
    /// Token and position, added: what enters the first block.
    Embedding,
    /// The residual stream before a block.
    Residual(usize),
    /// The residual stream between attention and MLP.
    ResidualMiddle(usize),
    /// What attention reads.
    AttentionNorm(usize),
    /// Queries of all heads.
    Query(usize),
    /// Keys of all heads.
    Key(usize),
    /// Values of all heads (through the value-down half).
    Value(usize),
    /// The attention pattern: for each sequence `[heads][queries][keys]`.
    Pattern(usize),
    /// Each head's mixed values.
    Mixed(usize),
    /// What attention adds to the residual.
    AttentionOut(usize),
    /// What the MLP reads.
    MlpNorm(usize),
    /// The MLP's hidden layer before the activation.
    MlpHidden(usize),
    /// The MLP's hidden layer after the activation.
    MlpActive(usize),
    /// What the MLP adds to the residual.
    MlpOut(usize),
    /// The residual stream after the last block.
    ResidualLast,
    /// After the last norm.
    Norm,
    /// The logits.
    Logits,
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use Site::*;
        match self {
            Embedding => write!(f, "embedding"),
            Residual(l) => write!(f, "block.{l}.residual"),
            ResidualMiddle(l) => write!(f, "block.{l}.residual_middle"),
            AttentionNorm(l) => write!(f, "block.{l}.attention.norm"),
            Query(l) => write!(f, "block.{l}.attention.query"),
            Key(l) => write!(f, "block.{l}.attention.key"),
            Value(l) => write!(f, "block.{l}.attention.value"),
            Pattern(l) => write!(f, "block.{l}.attention.pattern"),
            Mixed(l) => write!(f, "block.{l}.attention.mixed"),
            AttentionOut(l) => write!(f, "block.{l}.attention.out"),
            MlpNorm(l) => write!(f, "block.{l}.mlp.norm"),
            MlpHidden(l) => write!(f, "block.{l}.mlp.hidden"),
            MlpActive(l) => write!(f, "block.{l}.mlp.active"),
            MlpOut(l) => write!(f, "block.{l}.mlp.out"),
            ResidualLast => write!(f, "residual"),
            Norm => write!(f, "norm"),
            Logits => write!(f, "logits"),
        }
    }
}

/// What a probe wants of a site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// Nothing.
    No,
    /// To see it. Looking never changes a bit of the result.
    Look,
    /// To see it and perhaps to change it.
    Edit,
}

/// What a probe did with the numbers it was shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Did {
    /// They are as they were.
    Looked,
    /// They were changed and count from here on.
    Edited,
}

/// Someone who looks.
pub trait Probe {
    /// False only for a probe that is never called.
    const ACTIVE: bool = true;

    /// Whether the site is wanted; asked once per site and pass.
    fn wants(&self, site: Site) -> Want;

    /// The numbers of a wanted site, `rows` × `cols`, row-major.
    fn at(&mut self, site: Site, rows: usize, cols: usize, values: &mut [f32]) -> Did;
}

impl Probe for () {
    const ACTIVE: bool = false;

    fn wants(&self, _: Site) -> Want {
        Want::No
    }

    fn at(&mut self, _: Site, _: usize, _: usize, _: &mut [f32]) -> Did {
        Did::Looked
    }
}

impl<P: Probe + ?Sized> Probe for &mut P {
    const ACTIVE: bool = true;

    fn wants(&self, site: Site) -> Want {
        (**self).wants(site)
    }

    fn at(&mut self, site: Site, rows: usize, cols: usize, values: &mut [f32]) -> Did {
        (**self).at(site, rows, cols, values)
    }
}
