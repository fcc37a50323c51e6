//! The names of the model's parts: Glass's, or TransformerLens's.

use glass::inspect::attribute::Component;
pub use glass::probe::Names;

/// A head, as in `block 3 head 5` or `L3H5`.
pub fn head(names: Names, layer: usize, head: usize) -> String {
    match names {
        Names::Glass => format!("block {layer} head {head}"),
        Names::TransformerLens => format!("L{layer}H{head}"),
    }
}

/// The same where room is scarce, as in `3.5` or `L3H5`.
pub fn short(names: Names, layer: usize, head: usize) -> String {
    match names {
        Names::Glass => format!("{layer}.{head}"),
        Names::TransformerLens => self::head(names, layer, head),
    }
}

/// A part that adds to the residual stream; TransformerLens's labels are those of its decompositions.
pub fn component(names: Names, component: Component) -> String {
    match (names, component) {
        (Names::Glass, component) => component.to_string(),
        (_, Component::Token) => "embed".into(),
        (_, Component::Position) => "pos_embed".into(),
        (_, Component::Head { layer, head }) => format!("L{layer}H{head}"),
        (_, Component::Mlp(layer)) => format!("{layer}_mlp_out"),
        (_, Component::AttentionBias(layer)) => format!("blocks.{layer}.attn.b_O"),
        (_, Component::AttentionChange(layer)) => format!("blocks.{layer}.hook_attn_out changed"),
        (_, Component::NormBias) => "ln_final.b".into(),
        (_, Component::LogitBias) => "unembed.b_U".into(),
        (_, Component::Cap) => "logits.cap".into(),
    }
}

/// The residual stream before a block, or after the last of `layers`.
pub fn stream(names: Names, layer: usize, layers: usize) -> String {
    match (names, layer) {
        (Names::Glass, 0) => "embedding".into(),
        (Names::Glass, _) => format!("after block {}", layer - 1),
        (_, _) if layer == layers => "final_post".into(),
        _ => format!("{layer}_pre"),
    }
}
