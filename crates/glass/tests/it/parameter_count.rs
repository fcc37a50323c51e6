//! The weights table: the well-known figures, from the plan alone.

use glass::Config;
use glass::backend::Cpu;
use glass::config::LayerAttention;
use glass::config::preset::{PRESETS, Preset};
use glass::memory::{Keep, Memory};
use glass::model::footprint::Footprint;
use glass::model::parameter_count::{Group, ParameterCount};

fn preset(name: &str) -> Config {
    Preset::named(name).expect("a preset").config()
}

fn group<'a>(parameter_count: &'a ParameterCount, name: &str) -> &'a Group {
    parameter_count.groups.iter().find(|group| group.name == name).expect("a group")
}

#[test]
fn gpt3_in_27938_matrices() {
    let parameter_count = ParameterCount::of(&preset("gpt3-175b"));
    assert_eq!((parameter_count.weights, parameter_count.matrices), (175_181_291_520, 27_938));
    let per_head = (12_288, 128, 9_216, 14_495_514_624);
    for (name, (rows, cols, matrices, weights)) in [
        ("embedding", (50_257, 12_288, 1, 617_558_016)),
        ("query", per_head),
        ("key", per_head),
        ("value_down", per_head),
        ("value_up", (12_288, 12_288, 96, 14_495_514_624)),
        ("mlp_up", (12_288, 49_152, 96, 57_982_058_496)),
        ("mlp_down", (49_152, 12_288, 96, 57_982_058_496)),
        ("unembedding", (12_288, 50_257, 1, 617_558_016)),
    ] {
        assert_eq!(
            *group(&parameter_count, name),
            Group { name: group(&parameter_count, name).name, rows, cols, matrices, weights }
        );
        assert_eq!(rows * cols * matrices, weights, "{name}");
    }
    assert_eq!(parameter_count.attention(), 57_982_058_496);
    assert_eq!(format!("{:.1}", 100.0 * parameter_count.share(parameter_count.attention())), "33.1");
}

#[test]
fn both_counts_are_reconciled() {
    for preset in PRESETS {
        for (tied, bias) in [(true, true), (false, true), (true, false)] {
            let parameter_count = ParameterCount::of(&Config { tied, bias: bias.into(), ..preset.config() });
            let lines: i64 = parameter_count.reconciliation.iter().map(|line| line.weights).sum();
            assert_eq!(
                parameter_count.weights as i64 + lines,
                parameter_count.stored as i64,
                "{}",
                preset.name
            );
        }
    }
    let parameter_count = ParameterCount::of(&preset("gpt3-175b"));
    assert_eq!(parameter_count.stored, 174_604_259_328);
    let lines: Vec<i64> = parameter_count.reconciliation.iter().map(|line| line.weights).collect();
    // 9 × width biases and 4 × width norms in each layer, and the last norm.
    assert_eq!(lines, [-617_558_016, 2048 * 12_288, 96 * 9 * 12_288, (96 * 4 + 2) * 12_288]);
}

#[test]
fn the_four_gpt2s_as_stored() {
    let stored = |name| ParameterCount::of(&preset(name)).stored;
    assert_eq!(stored("gpt2"), 124_439_808);
    assert_eq!(stored("gpt2-medium"), 354_823_168);
    assert_eq!(stored("gpt2-large"), 774_030_080);
    assert_eq!(stored("gpt2-xl"), 1_557_611_200);
}

#[test]
fn the_shapes_of_today_as_stored() {
    let stored = |name| ParameterCount::of(&preset(name)).stored;
    assert_eq!(stored("smollm2-135m"), 134_515_008);
    assert_eq!(stored("smollm2-360m"), 361_821_120);
    assert_eq!(stored("llama3.2-1b"), 1_235_814_400);
    assert_eq!(stored("qwen3-0.6b"), 596_049_920);
    assert_eq!(stored("gemma3-270m"), 268_098_176);
    // Embedding and unembedding, and twelve squares of the width in each layer.
    assert_eq!(stored("nanochat-d12"), 2 * 65_536 * 768 + 12 * 12 * 768 * 768);
    for preset in PRESETS {
        preset.config().check().unwrap_or_else(|error| panic!("{}: {error}", preset.name));
        let is_banded = preset.name.starts_with("gpt3");
        assert_eq!(preset.config().can_express().is_ok(), !is_banded, "{}", preset.name);
    }
}

#[test]
fn every_preset_divides() {
    for preset in PRESETS {
        assert_eq!(preset.width % preset.heads, 0, "{}", preset.name);
    }
}

#[test]
fn a_value_matrix_is_two_halves() {
    let value = ParameterCount::of(&preset("gpt3-175b")).value;
    assert_eq!((value.whole(), value.half()), (150_994_944, 1_572_864));
}

#[test]
fn a_context_costs_what_the_formulas_say() {
    let cost = Footprint::of(&preset("gpt3-175b"), 2048);
    assert_eq!((cost.pattern, cost.patterns), (4_194_304, 9_216));
    // Dense layers see 2,048 positions, banded ones 256; of these 13 blocks of 64 are kept, ⌈(256 + 512 − 2) / 64⌉ + 1.
    assert_eq!(cost.kv_cache_bytes, 2 * 48 * (2048 + 13 * 64) * 12_288 * 4);
    let attention = 4 * (48 * 2048 + 48 * 256) * 12_288;
    assert_eq!(cost.flops_per_token, 2 * (175_181_291_520 - 617_558_016) + attention);

    let cost = Footprint::of(&preset("gpt2"), 1024);
    let layer = 2 * 768 + 4 * 768 + 3072 + 12;
    assert_eq!(cost.activation_bytes, 1024 * (12 * layer + 2 * 768 + 2) * 4);
}

#[test]
fn what_a_memory_allocates_is_what_is_counted() {
    let mut config = preset("gpt2");
    (config.layers, config.width, config.mlp_width) = (3, 12, 40);
    (config.heads.query, config.heads.key, config.heads.size) = (3, 1, 4);
    let cpu = Cpu::new(1);
    let reads = |from| LayerAttention { keys_from: from, ..LayerAttention::default() };
    let lists = [
        vec![reads(None)],
        [None, Some(1), None].map(reads).to_vec(),
        [None, Some(1), Some(2)].map(reads).to_vec(),
    ];
    let keeps = [Keep::All, Keep::Inputs, Keep::One, Keep::Gradients];
    for (list, keep) in lists.iter().flat_map(|list| keeps.map(|keep| (list, keep))) {
        config.attention.clone_from(list);
        let memory = Memory::new(&cpu, &config, keep, 1, 1).unwrap();
        let scratch = &memory.scratch;
        let mut all = vec![&memory.residual, &memory.normed, &memory.stats];
        all.extend([&scratch.normed, &scratch.stats, &scratch.active, &scratch.branch]);
        all.extend(&memory.inputs);
        all.extend(memory.keys.iter().flat_map(|keys| [&keys.key, &keys.value]));
        for block in &memory.blocks {
            let attention = &block.attention;
            all.extend([&attention.query, &attention.z]);
            all.extend(attention.sums.iter().chain(&block.middle).chain(&block.mlp.hidden));
        }
        let allocated: usize = all.iter().map(|tensor| tensor.cols).sum();
        assert_eq!(
            Memory::<Cpu>::floats(&config, keep),
            (allocated as u64, memory.wanted.cols as u64),
            "{keep:?}"
        );
    }
}
