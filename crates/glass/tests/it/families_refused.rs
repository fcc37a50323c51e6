//! Configurations that ask for what the model does not have: each is refused by name and value, with a sentence.

use glass::Config;
use serde_json::{Value, json};

/// A family's usual file with some fields changed.
fn with(model_type: &str, fields: Value) -> Vec<u8> {
    let mut all = json!({
        "model_type": model_type, "vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 24, "max_position_embeddings": 64,
        "num_layers": 2, "num_heads": 2, "attention_types": [[["global", "local"], 1]],
    });
    if model_type == "gptj" {
        all = json!({
            "model_type": "gptj", "vocab_size": 32, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64,
            "rotary_dim": 4,
        });
    }
    if model_type != "gpt_neo" {
        ["num_layers", "num_heads", "attention_types"]
            .iter()
            .for_each(|name| drop(all.as_object_mut().unwrap().remove(*name)));
    }
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    all.to_string().into_bytes()
}

/// The sentence that a file is refused with.
fn refused(model_type: &str, fields: &Value) -> String {
    match Config::from_json("config.json", &with(model_type, fields.clone())) {
        Ok(config) => panic!("{model_type} {fields} is read as {config:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn without_the_change_they_are_read() {
    for model_type in [
        "llama",
        "mistral",
        "qwen2",
        "qwen3",
        "gemma",
        "gemma2",
        "gemma3_text",
        "phi3",
        "granite",
        "olmo2",
        "olmo3",
        "smollm3",
        "stablelm",
        "gpt_neox",
        "gpt_neo",
        "gptj",
        "nanochat",
    ] {
        let read = Config::from_json("config.json", &with(model_type, json!({})));
        read.unwrap_or_else(|error| panic!("{model_type}: {error}"));
    }
}

#[test]
fn what_is_not_there_is_refused_by_name_and_value() {
    let yarn = |more: Value| {
        let mut all = json!({"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"rope_parameters": all})
    };
    let cases: Vec<(&str, Value, &[&str])> = vec![
        (
            "llama",
            json!({"rope_parameters": {"rope_type": "mrope"}}),
            &["rope_type is \"mrope\"", "llama3, yarn"],
        ),
        ("llama", json!({"rope_scaling": {"type": "su", "factor": 4.0}}), &["type is \"su\"", "longrope"]),
        ("llama", json!({"rope_parameters": {"rope_type": "linear"}}), &["factor is missing"]),
        ("llama", json!({"rope_parameters": {"rope_type": "linear", "factor": -2.0}}), &["factor is -2"]),
        (
            "llama",
            json!({"rope_parameters": {"rope_type": "llama3", "factor": 8.0}}),
            &["low_freq_factor is missing"],
        ),
        (
            "qwen2",
            json!({"rope_parameters": {"rope_type": "default", "mrope_section": [1, 2]}}),
            &["mrope_section"],
        ),
        ("llama", yarn(json!({"truncate": 3})), &["truncate is 3", "true or false"]),
        ("llama", json!({"partial_rotary_factor": 0.5}), &["partial_rotary_factor is 0.5"]),
        ("stablelm", json!({"partial_rotary_factor": 0.4}), &["partial_rotary_factor 0.4", "even"]),
        (
            "phi3",
            json!({"rope_parameters": {"rope_type": "linear", "factor": 2.0}}),
            &["rope_type is \"linear\""],
        ),
        (
            "phi3",
            json!({"rope_scaling": {"type": "longrope", "short_factor": [1.0], "long_factor": [1.0, 1.0, 1.0, 1.0]}}),
            &["short_factor", "4"],
        ),
        ("llama", json!({"hidden_act": "xielu"}), &["hidden_act is \"xielu\"", "one of gelu_new"]),
        ("mistral", json!({"attention_bias": true}), &["attention_bias is true"]),
        ("qwen3", json!({"mlp_bias": true}), &["mlp_bias is true"]),
        ("llama", json!({"num_local_experts": 8}), &["num_local_experts is 8"]),
        ("qwen3", json!({"num_experts": 128}), &["num_experts is 128"]),
        ("olmo2", json!({"clip_qkv": 8.0}), &["clip_qkv is 8"]),
        ("stablelm", json!({"qk_layernorm": true}), &["qk_layernorm is true"]),
        ("stablelm", json!({"use_parallel_residual": true}), &["use_parallel_residual is true"]),
        ("llama", json!({"use_qk_norm": true}), &["use_qk_norm is true"]),
        ("llama", json!({"kv_lora_rank": 512}), &["kv_lora_rank is 512"]),
        ("gemma", json!({"use_bidirectional_attention": true}), &["use_bidirectional_attention is true"]),
        ("gemma3_text", json!({"attn_logit_softcapping": 50.0}), &["attn_logit_softcapping is 50"]),
        ("llama", json!({"final_logit_softcapping": 30.0}), &["final_logit_softcapping is 30"]),
        ("llama", json!({"layer_types": ["full_attention", "sliding_attention"]}), &["layer_types"]),
        (
            "qwen3",
            json!({"layer_types": ["full_attention", "linear_attention"]}),
            &["layer_types", "linear_attention"],
        ),
        ("qwen3", json!({"layer_types": ["full_attention"]}), &["layer_types", "1", "2"]),
        ("gemma2", json!({"sliding_window": null}), &["sliding_window"]),
        ("mistral", json!({"sliding_window": 0}), &["sliding_window is 0"]),
        ("mistral", json!({"sliding_window": 2.5}), &["sliding_window is 2.5"]),
        ("llama", json!({"quantization_config": {"quant_method": "gptq"}}), &["quant_method is \"gptq\""]),
        ("llama", json!({"num_key_value_heads": 3}), &["3", "query heads"]),
        ("llama", json!({"hidden_size": 15, "head_dim": null}), &["15"]),
        ("gptj", json!({"rotary_dim": null}), &["rotary_dim is null"]),
        ("gptj", json!({"rotary_dim": 16}), &["rotary_dim is 16"]),
        ("gpt_neo", json!({"attention_types": [[["global", "sparse"], 1]]}), &["attention_types"]),
        ("gpt_neo", json!({"attention_types": [[["global"], 3]]}), &["attention_types", "2"]),
        ("smollm3", json!({"no_rope_layers": [1]}), &["no_rope_layers"]),
        ("llama", json!({"architectures": ["LlamaForVision"]}), &["LlamaForVision", "LlamaForCausalLM"]),
        ("qwen3_moe", json!({}), &["model_type is \"qwen3_moe\"", "qwen3"]),
        ("gemma3", json!({}), &["text_config is missing"]),
        (
            "gemma3",
            json!({"text_config": {"model_type": "t5"}}),
            &["text_config: model_type is \"t5\"", "gemma3_text"],
        ),
        (
            "mistral3",
            json!({"architectures": ["Mistral3Other"], "text_config": {}}),
            &["Mistral3Other", "Mistral3ForConditionalGeneration"],
        ),
    ];
    assert!(cases.len() >= 20);
    let (mut wrong, mut listed) = (Vec::new(), String::new());
    for (model_type, fields, expected) in cases {
        let sentence = refused(model_type, &fields);
        listed += &format!("{model_type} {fields}\n    {sentence}\n");
        if !(sentence.starts_with("config.json") && expected.iter().all(|part| sentence.contains(part))) {
            wrong.push((model_type, fields, expected, sentence));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let doc = std::fs::read_to_string("../../docs/families.md").unwrap();
    assert!(doc.contains(&listed), "docs/families.md has other sentences than these:\n{listed}");
}

#[test]
fn fields_that_change_nothing_are_passed_over() {
    let neutral = json!({
        "use_cache": false, "initializer_range": 0.1, "pretraining_tp": 1, "torch_dtype": "bfloat16", "rope_interleaved": false,
        "is_llama_config": true, "transformers.js_config": {"dtype": "q4"}, "_name_or_path": "x", "unsloth_fixed": true,
        "attention_dropout": 0.0, "sliding_window": null, "rope_scaling": null, "pad_token_id": 0, "num_experts": 0,
        "partial_rotary_factor": 1.0, "layer_types": null, "quantization_config": null,
    });
    let [plain, more] =
        [json!({}), neutral].map(|fields| Config::from_json("config.json", &with("llama", fields)).unwrap());
    assert_eq!(plain, more);
}
