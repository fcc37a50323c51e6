//! How two configurations differ, in words.

use crate::Config;
use crate::config::Positions;

/// What `config` has and `other` has not.
pub(crate) fn differences(config: &Config, other: &Config) -> Vec<String> {
    let Config { heads, .. } = config;
    let mut found = Vec::new();
    let mut differ = |differs: bool, what: &str| {
        if differs {
            found.push(what.to_string());
        }
    };
    differ(
        (config.vocabulary, config.context, config.width, config.layers)
            != (other.vocabulary, other.context, other.width, other.layers),
        "its sizes are others",
    );
    differ(heads.query != other.heads.query, "it has another number of heads");
    differ(heads.key != other.heads.key, "groups of query heads share keys and values");
    differ(heads.size != other.heads.size, "the heads together are not as wide as the residual stream");
    differ(config.mlp_width != other.mlp_width, "its MLP has another width");
    differ(config.positions != other.positions, "positions are encoded in another way");
    let attention =
        |config: &Config| (0..config.layers).map(|l| config.attention_of(l).clone()).collect::<Vec<_>>();
    if attention(config) != attention(other) {
        let keys = |config: &Config| (0..config.layers).map(|l| config.keys_of(l)).collect::<Vec<_>>();
        differ(keys(config) != keys(other), "layers read the keys and values of others");
        let turned =
            |config: &Config| attention(config).into_iter().map(|layer| layer.rotary).collect::<Vec<_>>();
        let windows =
            |config: &Config| attention(config).iter().map(|layer| layer.window).collect::<Vec<_>>();
        match windows(config) == windows(other) {
            true => differ(turned(config) != turned(other), "queries and keys are rotated in another way"),
            false if config.positions == Positions::Learned => {
                differ(true, "layers alternate dense and locally banded attention");
            }
            false => differ(true, "layers have windows, or not"),
        }
    }
    differ(config.scores != other.scores, "scores are scaled or capped");
    differ(config.query_key_norm != other.query_key_norm, "queries and keys are normalised in another way");
    differ(config.sinks != other.sinks, "attention has sinks");
    differ(config.norm != other.norm, "its norms are of another kind");
    differ(config.placement != other.placement, "norms stand elsewhere");
    differ(config.branches != other.branches, "attention and MLP read the residual in another way");
    differ(config.activation != other.activation, "its non-linearity is another one");
    differ(config.gated != other.gated, "the MLP is gated or not");
    differ(config.bias != other.bias, "other layers have biases");
    differ(config.factors != other.factors, "embedding, branches or logits have factors or a cap");
    differ(config.embedding_norm != other.embedding_norm, "the embedding is normalised");
    differ(config.tied != other.tied, "the unembedding is tied or not");
    found
}
