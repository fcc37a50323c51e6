//! What a `config.json` may ask for and a family does not have: refused by name, never guessed.

use serde_json::{Value, json};

use super::read::Fields;
use crate::Result;

/// The value of a field that asks for nothing.
#[derive(Clone, Copy)]
enum Neutral {
    /// `false`.
    No,
    /// `true`.
    Yes,
    /// 0.
    Zero,
    /// 1.
    One,
    /// An empty list or object.
    Empty,
    /// Nothing but null.
    Null,
}

use Neutral::{Empty, No, Null, One, Yes, Zero};

/// Fields that change what layers compute, in some family; null asks for nothing either.
const CHOICES: [(&str, Neutral); 50] = [
    ("add_cross_attention", No),
    ("alibi", No),
    ("attention_bias", No),
    ("attention_chunk_size", Null),
    ("attention_multiplier", One),
    ("attention_types", Empty),
    ("attn_logit_softcapping", Null),
    ("clip_qkv", Null),
    ("embedding_multiplier", One),
    ("embedding_size", Null),
    ("final_logit_softcapping", Null),
    ("first_k_dense_replace", Null),
    ("hidden_size_per_layer_input", Zero),
    ("kv_lora_rank", Null),
    ("layer_types", Empty),
    ("local_rope_theta", Null),
    ("logit_scale", One),
    ("logits_scaling", One),
    ("mlp_bias", No),
    ("moe_intermediate_size", Null),
    ("n_routed_experts", Zero),
    ("no_rope_layers", Empty),
    ("num_experts", Zero),
    ("num_kv_shared_layers", Zero),
    ("num_local_experts", Zero),
    ("parallel_attn", No),
    ("partial_rotary_factor", One),
    ("q_lora_rank", Null),
    ("qk_layernorm", No),
    ("query_pre_attn_scalar", Null),
    ("residual_multiplier", One),
    ("rope_local_base_freq", Null),
    ("rope_parameters", Null),
    ("rope_scaling", Null),
    ("rotary_dim", Null),
    ("rotary_emb_base", Null),
    ("rotary_pct", Null),
    ("scale_attn_by_inverse_layer_idx", No),
    ("scale_attn_weights", Yes),
    ("sliding_window", Null),
    ("sliding_window_pattern", Null),
    ("use_alibi", No),
    ("use_bidirectional_attention", No),
    ("use_double_wide_mlp", No),
    ("use_parallel_residual", No),
    ("use_qk_norm", No),
    ("use_qkv_bias", No),
    ("use_sliding_window", No),
    ("vision_config", Null),
    ("window_size", Null),
];

/// Refuses a field that asks for what this family does not have; `knows` are those that its reader decides on.
pub(crate) fn unknown_choices(fields: &Fields<'_>, knows: &[&str], family: &str) -> Result<()> {
    for (name, neutral) in CHOICES {
        let Some(value) = fields.get(name).filter(|_| !knows.contains(&name)) else { continue };
        let (is_neutral, expected) = match neutral {
            No => (value == &json!(false), "false"),
            Yes => (value == &json!(true), "true"),
            Zero => (value.as_f64() == Some(0.0), "0"),
            One => (value.as_f64() == Some(1.0), "1"),
            // What all layers of such a family are.
            Empty => {
                (value.as_array().is_some_and(|all| all.iter().all(|one| one == "full_attention")), "nothing")
            }
            Null => (false, "nothing"),
        };
        if !is_neutral && value != &Value::Null {
            let expected = format!("{expected}, since {family} models have no such choice in Glass,");
            return Err(fields.wrong(name, value, &expected));
        }
    }
    Ok(())
}
