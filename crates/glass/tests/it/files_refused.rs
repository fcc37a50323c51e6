//! Model files that are damaged or of another kind: each is refused with a sentence that names what is wrong.

use std::fs;

use crate::files::{copy_of, edit, golden, open, refused};

#[test]
fn configs_that_are_something_else_are_refused_by_name() {
    let edits = [
        ("\"n_embd\": 8", "\"n_embd\": -8", "n_embd is -8"),
        ("\"n_embd\": 8", "\"n_embd\": 8.5", "n_embd is 8.5"),
        ("\"n_embd\": 8", "\"n_embd\": \"8\"", "n_embd is \"8\""),
        ("\"n_embd\": 8", "\"n_embd\": 99999999999999999999999", "n_embd is"),
        ("\"n_embd\": 8", "\"n_embd\": 9", "n_embd 9 cannot be cut"),
        ("\"n_embd\": 8", "\"n_embd\": 16", "wte.weight"),
        ("\"n_embd\": 8,", "", "n_embd is missing"),
        ("\"n_embd\": 8,", "\"n_embd\": 8, \"n_embd\": 8,", "\"n_embd\" is duplicated"),
        ("\"n_layer\": 2", "\"n_layer\": 0", "n_layer is 0"),
        ("\"n_layer\": 2", "\"n_layer\": 2147483648", "layers: is 2147483648"),
        ("\"n_layer\": 2", "\"n_layer\": 60000", "n_layer is 60000, but the weights have 2"),
        ("\"n_layer\": 2", "\"n_layer\": 1", "n_layer is 1, but the weights have 2"),
        ("\"n_head\": 2", "\"n_head\": 0", "n_head is 0"),
        ("\"n_positions\": 6", "\"n_positions\": 2147483648", "wpe.weight"),
        ("\"vocab_size\": 11", "\"vocab_size\": 2147483648", "wte.weight"),
        ("\"n_inner\": null", "\"n_inner\": 2147483648", "mlp.c_fc.weight"),
        ("1e-05", "1e999", "number out of range"),
        ("1e-05", "-1", "epsilon"),
        ("\"gpt2\"", "\"llama\"", "model_type is \"llama\""),
        ("GPT2LMHeadModel", "GPT2ForTranslation", "GPT2ForTranslation"),
        ("gelu_new", "mish", "activation_function is \"mish\""),
        ("\"add_cross_attention\": false", "\"add_cross_attention\": true", "add_cross_attention is true"),
        ("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false", "lm_head.weight\" is missing"),
        ("\"use_cache\"", "\"quantization_config\": {}, \"use_cache\"", "quantization_config"),
        ("\"use_cache\"", "\"glass\": {\"rope\": true}, \"use_cache\"", "\"rope\" is unknown"),
    ];
    for (from, to, named) in edits {
        let scratch = copy_of("f32");
        edit(&scratch, "config.json", from, to);
        refused(&scratch, &[scratch.path().to_str().unwrap(), named]);
    }
}

#[test]
fn damaged_weights_are_refused_by_name() {
    // Each edit keeps the header's length, so that only the intended part is wrong.
    let edits = [
        ("transformer.wpe.weight", "transformer.wpX.weight", "wpe.weight"),
        ("transformer.ln_f.bias", "transformer.ln_g.bias", "ln_f.bias"),
        ("\"F32\",\"shape\":[11,8]", "\"I32\",\"shape\":[11,8]", "I32"),
        ("\"F32\",\"shape\":[11,8]", "\"Q32\",\"shape\":[11,8]", "Q32"),
        ("\"F32\",\"shape\":[11,8]", "\"F16\",\"shape\":[11,8]", "wte.weight"),
        ("[11,8]", "[8,11]", "[8, 11]"),
        ("[0,96]", "[1,96]", "c_attn.bias"),
        ("[0,96]", "[0,97]", "c_attn.bias"),
        ("[0,96]", "[9,96]", "c_attn.bias"),
        ("[96,864]", "[95,863]", "overlaps"),
        ("[96,864]", "[97,865]", "gap"),
        ("h.1.ln_1.weight", "h.0.ln_1.weight", "h.0.ln_1.weight\\\" is duplicated"),
        ("\"format\":\"pt\"", "\"format\":1234", "__metadata__"),
        ("\"dtype\"", "\"dtYpe\"", "dtYpe"),
    ];
    let original = fs::read(golden("f32").join("model.safetensors")).unwrap();
    let end = 8 + u64::from_le_bytes(original[..8].try_into().unwrap()) as usize;
    for (from, to, named) in edits {
        let scratch = copy_of("f32");
        let header = std::str::from_utf8(&original[8..end]).unwrap();
        assert!(header.contains(from), "{from}");
        let header = header.replacen(from, to, 1);
        let bytes = [&original[..8], header.as_bytes(), &original[end..]].concat();
        fs::write(scratch.path().join("model.safetensors"), bytes).unwrap();
        refused(&scratch, &["model.safetensors", &named.replace("\\\"", "\"")]);
    }
    for (bytes, named) in [
        (&original[..5], "5 bytes"),
        (&original[..original.len() - 4], "is it complete"),
        (&original[..200], "the file is truncated"),
        (&[original.clone(), vec![0; 8]].concat(), "8 bytes after the last"),
        (&[u64::MAX.to_le_bytes().as_slice(), &original[8..]].concat(), "18446744073709551615"),
    ] {
        let scratch = copy_of("f32");
        fs::write(scratch.path().join("model.safetensors"), bytes).unwrap();
        refused(&scratch, &["model.safetensors", named]);
    }
}

#[test]
fn shards_have_to_agree_with_their_index() {
    const INDEX: &str = "model.safetensors.index.json";
    let edits = [
        (
            "model-00002-of-00005",
            "model-00009-of-00005",
            "model-00009-of-00005.safetensors\", which is missing",
        ),
        ("model-00002-of-00005", "../sharded/model-00002", "not a file in the same folder"),
        ("model-00002-of-00005", "/etc/passwd", "not a file in the same folder"),
        ("\"transformer.wte.weight\"", "\"transformer.wxe.weight\"", "transformer.w"),
        ("\"transformer.wpe.weight\"", "\"transformer.wte.weight\"", "is duplicated"),
        ("\"weight_map\"", "\"weight_mop\"", "weight_map is missing"),
    ];
    for (from, to, named) in edits {
        let scratch = copy_of("sharded");
        edit(&scratch, INDEX, from, to);
        refused(&scratch, &[INDEX, named]);
    }
    let scratch = copy_of("sharded");
    fs::copy(
        scratch.path().join("model-00001-of-00005.safetensors"),
        scratch.path().join("model-00002-of-00005.safetensors"),
    )
    .unwrap();
    refused(&scratch, &["model-00002-of-00005.safetensors", "is duplicated"]);
    fs::remove_file(scratch.path().join(INDEX)).unwrap();
    refused(&scratch, &["model.safetensors: is missing", INDEX]);
}

#[test]
fn an_unembedding_that_differs_from_the_tied_embedding_is_refused() {
    let scratch = copy_of("redundant");
    let file = scratch.path().join("model.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[start] ^= 1; // lm_head.weight is the first tensor.
    fs::write(&file, bytes).unwrap();
    refused(&scratch, &["lm_head.weight", "tie_word_embeddings"]);
    edit(&scratch, "config.json", "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
    assert!(!open(scratch.path()).unwrap().0.config().tied);
}
