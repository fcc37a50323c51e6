//! Model files that are damaged or of another kind: each is refused with a sentence that names what is wrong.

use std::fs;

use glass::weights::folder::Folder;

use crate::allocations::peak_during;
use crate::files::{copy_of, edit, golden, open, refused};
use crate::scratch::Scratch;

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
        ("\"gpt2\"", "\"mamba\"", "model_type is \"mamba\""),
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

/// A file of safetensors with this header and `data` bytes behind it.
fn file_of(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
}

/// The bytes that opening a folder holds at most beside `file`'s, and what it gives.
fn opening(scratch: &Scratch, file: &str, bytes: &[u8]) -> glass::Result<()> {
    fs::write(scratch.path().join(file), bytes).unwrap();
    let (opened, peak) = peak_during(|| Folder::open(scratch.path()).map(|_| ()));
    assert!(peak <= 2 * bytes.len() + (64 << 10), "{peak} bytes held for {} of {file}", bytes.len());
    opened
}

/// Files of 4 MiB, all of it header, of each kind that could be large.
#[test]
fn a_header_of_safetensors_takes_no_more_than_twice_its_size() {
    const SIZE: usize = 4 << 20;
    let tensor =
        |name: &str| format!("\"{name}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}");
    let tensors = |count: usize, name: &dyn Fn(usize) -> String| {
        format!("{{{}}}", (0..count).map(|i| tensor(&name(i))).collect::<Vec<_>>().join(","))
    };
    let dimensions = format!(
        "{{\"a\":{{\"dtype\":\"F32\",\"shape\":[{}1],\"data_offsets\":[0,4]}}}}",
        "1,".repeat(SIZE / 2)
    );
    let hostile = [
        (format!("{{\"{}\":1}}", "x".repeat(SIZE)), "a name of"),
        (format!("{{\"{}\":1}}", "x\\n".repeat(SIZE / 3)), "a name of"),
        (format!("{{\"a\":\"{}\"}}", "x\\n".repeat(SIZE / 3)), "is described in"),
        (format!("{{\"a\":{}", "[".repeat(SIZE)), "nests deeper"),
        (format!("{{\"a\":{}", "{\"\":".repeat(SIZE / 4)), "nests deeper"),
        (dimensions, "is described in"),
        (tensors(SIZE / 50, &|i| format!("{i:x}")), "wte.weight"),
        (tensors(SIZE / 50, &|i| format!("h.{i}.ln_1.bias")), "wte.weight"),
        (tensors(SIZE / 50, &|_| "a".into()), "\"a\" is duplicated"),
        (tensors((1 << 17) + 1, &|i| format!("{i:x}")), "more than 131072 tensors, which no GPT has"),
    ];
    let scratch = copy_of("f32");
    for (header, named) in hostile {
        let error = opening(&scratch, "model.safetensors", &file_of(&header, 0)).unwrap_err().to_string();
        assert!(error.contains("model.safetensors") && error.contains(named), "{error}, not {named}");
        assert!(error.len() < 1000, "{error}");
    }
}

/// Texts beside the tensors say nothing that is needed: they are not kept, and no reason to refuse.
#[test]
fn metadata_of_any_size_is_passed_over() {
    const SIZE: usize = 4 << 20;
    let original = fs::read(golden("f32").join("model.safetensors")).unwrap();
    let end = 8 + u64::from_le_bytes(original[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&original[8..end]).unwrap().trim_end();
    let scratch = copy_of("f32");
    let expected = open(scratch.path()).unwrap().2;
    let texts: String = (0..SIZE / 16).map(|i| format!("\"{i:x}\":\"\\u00e9\",")).collect();
    for metadata in [texts, format!("\"a\\n\":\"{}\",", "x\\n".repeat(SIZE / 3))] {
        let changed = header.replace("\"format\":", &format!("{metadata}\"format\":"));
        assert!(changed.len() > SIZE / 2);
        let bytes = [&file_of(&changed, 0)[..], &original[end..]].concat();
        opening(&scratch, "model.safetensors", &bytes).unwrap();
        assert_eq!(open(scratch.path()).unwrap().2, expected);
    }
}

#[test]
fn an_index_takes_no_more_than_twice_its_size() {
    const SIZE: usize = 4 << 20;
    const INDEX: &str = "model.safetensors.index.json";
    let map = |count: usize, entry: &dyn Fn(usize) -> String| {
        format!("{{\"weight_map\":{{{}}}}}", (0..count).map(entry).collect::<Vec<_>>().join(","))
    };
    let hostile = [
        (map(1 << 17, &|i| format!("\"{i:x}\":\"a\"")), "the shard \"a\", which is missing"),
        (map(1 << 17, &|i| format!("\"{i:x}\":\"{i:x}\"")), "the shard \"0\", which is missing"),
        (map(SIZE / 8, &|i| format!("\"{i:x}\":\"a\"")), "more than 131072 tensors, which no GPT has"),
        (map(1 << 17, &|_| "\"a\":\"b\"".into()), "\"a\" is duplicated"),
        (map(1, &|_| format!("\"a\":\"{}\"", "x\\n".repeat(SIZE / 3))), "a name of"),
        (map(1, &|_| "\"a\":5".into()), "\"a\": the name of a shard"),
        (format!("{{\"metadata\":[{}]}}", "0,".repeat(SIZE / 2) + "0"), "weight_map is missing"),
        (format!("{{\"metadata\":{}", "[".repeat(SIZE)), "nests deeper"),
    ];
    let scratch = copy_of("sharded");
    for (text, named) in hostile {
        let error = opening(&scratch, INDEX, text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(INDEX) && error.contains(named), "{error}, not {named}");
    }
}
