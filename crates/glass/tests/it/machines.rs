//! Plans for many machines: small cases by hand, schedules and rings that are simulated, and what must hold for all.

use glass::Config;
use glass::train::machines::{
    Asked, Attention, Bytes, Cluster, Device, Flops, Layout, Memory, Network, Node, Precision, Recompute,
    Ring, Software, Sums, Time, Training, Work, equations, plan, plan_of,
};

/// Four layers of width 16 with two heads, contexts of 8 and a hundred tokens.
fn tiny() -> Config {
    Config::gpt2(100, 8, 16, 4, 2)
}

fn training(config: &Config) -> Training<'_> {
    Training { config, context: config.context, batch: 64, tokens: 64e3, precision: Precision::Mixed }
}

/// Eight nodes of eight devices, without any latency.
fn cluster() -> Cluster {
    Cluster {
        name: "test".into(),
        nodes: 8,
        pue: 1.0,
        available: 1.0,
        currency: "$".into(),
        device: Device {
            per_node: 8,
            flops: Flops { f32: Some(1e9), mixed: Some(1e10) },
            memory: 1e12,
            reserved: 0.0,
            memory_bandwidth: 1e9,
            watts: 100.0,
            price: Some(2.0),
        },
        node: Node { bandwidth: 1e8, latency: 0.0, memory_bandwidth: None, watts: 400.0 },
        network: Some(Network { bandwidth: 1e7, latency: 0.0 }),
        software: Software {
            name: "test".into(),
            efficiency: 0.5,
            attention: Attention::Stored,
            dropout: true,
            sequence_parallel: false,
            overlap_gradients: 0.0,
            overlap_weights: 0.0,
            tensor: true,
            pipeline: true,
            interleave: true,
            zero: vec![0, 1, 2, 3],
            recompute: Recompute::ALL.to_vec(),
            sums: Sums::One,
            chunked_loss: false,
            bytes: None,
        },
    }
}

const ONE: Layout = Layout {
    data: 1,
    tensor: 1,
    pipeline: 1,
    interleave: 1,
    zero: 0,
    micro_batch: 1,
    recompute: Recompute::None,
};

fn near(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-9 * b.abs().max(1e-300), "{a} instead of {b}");
}

#[test]
fn the_work_of_a_token_by_hand() {
    let config = tiny();
    let work = Work::of(&training(&config), Attention::Stored, true, 2.0);
    // 12 width² of a layer: 4 of attention, 8 of the MLP; biases 9 widths + 4 of the MLP's hidden layer, norms 4.
    let (layer, biases) = (12.0 * 256.0, (4.0 + 4.0 + 1.0 + 4.0) * 16.0);
    near(work.layer_weights, layer + biases);
    near(work.first_weights, 100.0 * 16.0 + 8.0 * 16.0);
    near(work.weights, 4.0 * (layer + biases) + 108.0 * 16.0 + 32.0);
    near(work.layer_products, 2.0 * layer);
    // Scores and what they weigh: 2 × 2 operations for each of 8 positions and 16 numbers.
    near(work.layer_attention, 4.0 * 8.0 * 16.0);
    near(work.logits, 2.0 * 1600.0);
    // Masked entries are not the model's.
    near(work.model_flops, 3.0 * (2.0 * (4.0 * layer + 1600.0) + 4.0 * work.layer_attention / 2.0));
    let fused = Work::of(&training(&config), Attention::Fused, true, 2.0);
    near(fused.layer_attention, work.layer_attention / 2.0);
    // Korthikanti et al. 2022, equation 1: 34 h + 5 a s bytes of a token; equation 2 and 4 for t devices.
    let (h, a, s) = (16.0, 2.0, 8.0);
    near(work.kept(2.0, 1.0, false) + work.pattern, 34.0 * h + 5.0 * a * s);
    near(work.kept(2.0, 2.0, false) + work.pattern / 2.0, h * (10.0 + 24.0 / 2.0) + 5.0 * a * s / 2.0);
    near(work.kept(2.0, 2.0, true) + work.pattern / 2.0, (34.0 * h + 5.0 * a * s) / 2.0);
}

#[test]
fn gpt3_has_the_operations_that_were_published() {
    let config = glass::config::preset::Preset::named("gpt3-175b").unwrap().config();
    let work = Work::of(&training(&config), Attention::Fused, false, 2.0);
    // Appendix D of Brown et al. 2020: 3.14e23 for 300 billion tokens, which is 6 for each weight and leaves attention out.
    let published = 3.14e23 / 300e9;
    assert!((work.model_flops / published - 1.0).abs() < 0.02, "{:e}", work.model_flops);
}

/// The steps of a ring: in each, every member sends a part to the next one.
#[test]
fn a_ring_takes_its_steps() {
    let cluster = cluster();
    for members in [1, 2, 3, 8] {
        let (bytes, part) = (960.0, 960.0 / members as f64);
        let mut seconds = 0.0;
        for _step in 1..members {
            seconds += part / cluster.node.bandwidth;
        }
        near(Ring::of(&cluster, members, 1).half(bytes), seconds);
        near(Ring::of(&cluster, members, 1).all_reduce(bytes), 2.0 * seconds);
    }
    // Eight members in each of two nodes leave a node by eight links together; one in each by one.
    near(Ring::of(&cluster, 16, 1).bandwidth, 8e7);
    near(Ring::of(&cluster, 8, 8).bandwidth, 1e7);
    near(Ring::of(&cluster, 4, 2).bandwidth, 1e8);
    let late = Cluster {
        node: Node { latency: 1.0, ..cluster.node },
        network: Some(Network { latency: 10.0, ..cluster.network.unwrap() }),
        ..cluster
    };
    near(Ring::of(&late, 16, 1).half(0.0), 7.0 + 10.0);
}

/// When a schedule of one forward and one backward pass in turn ends: forward 1, backward 2 units (Narayanan et al. 2021, figure 4).
fn one_forward_one_backward(stages: usize, micro_batches: usize) -> f64 {
    // The order of each stage's passes: some forward to begin with, then in turn, then backward what is left.
    let order = |stage: usize| {
        let first = (stages - 1 - stage).min(micro_batches);
        let mut passes: Vec<(bool, usize)> = (0..first).map(|one| (true, one)).collect();
        for one in 0..micro_batches {
            if first + one < micro_batches {
                passes.push((true, first + one));
            }
            passes.push((false, one));
        }
        passes
    };
    let mut ended = vec![[vec![f64::NAN; micro_batches], vec![f64::NAN; micro_batches]]; stages];
    let mut next = vec![0; stages];
    let mut free = vec![0.0; stages];
    let orders: Vec<_> = (0..stages).map(order).collect();
    while (0..stages).any(|stage| next[stage] < orders[stage].len()) {
        for stage in 0..stages {
            let Some(&(forward, one)) = orders[stage].get(next[stage]) else { continue };
            let needed: f64 = match forward {
                true if stage == 0 => 0.0,
                true => ended[stage - 1][0][one],
                false if stage == stages - 1 => ended[stage][0][one],
                false => ended[stage + 1][1][one],
            };
            if !needed.is_nan() {
                let end = needed.max(free[stage]) + if forward { 1.0 } else { 2.0 };
                (ended[stage][usize::from(!forward)][one], free[stage]) = (end, end);
                next[stage] += 1;
            }
        }
    }
    free.into_iter().fold(0.0, f64::max)
}

#[test]
fn the_bubble_is_that_of_the_schedule() {
    let config = Config { layers: 8, ..tiny() };
    let training = training(&config);
    let mut cluster = cluster();
    // Logits make the last stage slower than others, which the schedule here has not; sending takes no time.
    cluster.network = Some(Network { bandwidth: 1e30, latency: 0.0 });
    cluster.node.bandwidth = 1e30;
    let mut work = Work::of(&training, Attention::Stored, true, 2.0);
    work.logits = 0.0;
    for (pipeline, data) in [(2, 1), (4, 1), (8, 2), (4, 16)] {
        let layout = Layout { pipeline, data, ..ONE };
        let time = Time::of(&work, &training, &cluster, &layout).unwrap();
        let m = layout.micro_batches(training.batch);
        let pass = (time.products + time.between) / m as f64;
        let simulated = one_forward_one_backward(pipeline, m) / 3.0 * pass;
        near(pass * m as f64 + time.bubble, simulated);
        // Chunks divide it.
        let half =
            Time::of(&work, &training, &cluster, &Layout { interleave: 8 / pipeline, ..layout }).unwrap();
        near(half.bubble, time.bubble / (8 / pipeline) as f64);
    }
}

#[test]
fn memory_by_stage_of_zero() {
    let config = tiny();
    let (training, cluster) = (training(&config), cluster());
    let work = Work::of(&training, Attention::Stored, true, 2.0);
    let (n, layer) = (work.weights, work.layer_weights);
    let of = |zero| Memory::of(&work, &training, &cluster, &Layout { data: 4, zero, ..ONE });
    let numbers = |memory: Memory| memory.weights + memory.gradients + memory.optimiser;
    // Rajbhandari et al. 2020, figure 1: 16 bytes a weight, of which 12 are the optimiser's, and what a layer needs meanwhile.
    near(numbers(of(0)), 16.0 * n);
    near(numbers(of(1)), 4.0 * n + 12.0 * n / 4.0);
    near(numbers(of(2)), 2.0 * n + 14.0 * n / 4.0 + 2.0 * layer);
    near(numbers(of(3)), 16.0 * n / 4.0 + 4.0 * layer);
    // A sample of 8 tokens: activations of four layers, and logits with their gradients.
    near(of(0).activations, 4.0 * 8.0 * (34.0 * 16.0 + 5.0 * 2.0 * 8.0));
    near(of(0).logits, 8.0 * 100.0 * 6.0);
    let again = |recompute| Memory::of(&work, &training, &cluster, &Layout { recompute, ..ONE }).activations;
    near(again(Recompute::Selective), 8.0 * (4.0 * 34.0 * 16.0 + 80.0));
    near(again(Recompute::Full), 8.0 * (4.0 * 2.0 * 16.0 + 34.0 * 16.0 + 80.0));
    // Stages: as many micro-batches are under way in the first as there are stages, so its activations are those of all layers; a tree
    // of sums keeps one for every doubling of the micro-batches.
    let staged = Layout { pipeline: 4, ..ONE };
    let first = Memory::of(&work, &training, &cluster, &staged);
    near(first.activations, of(0).activations);
    let mut glass = cluster.clone();
    glass.software.sums = Sums::Tree;
    near(Memory::of(&work, &training, &glass, &ONE).gradients, 7.0 * 2.0 * n);
    // Everything divides among tensor-parallel devices but what norms and the first matrices read, and masks: 10 widths.
    let halves = Memory::of(&work, &training, &cluster, &Layout { tensor: 2, ..ONE });
    near(numbers(halves), 8.0 * n);
    near(halves.activations, 4.0 * 8.0 * (16.0 * (10.0 + 12.0) + 40.0));
}

#[test]
fn the_time_of_one_device_by_hand() {
    let config = tiny();
    let (training, cluster) = (training(&config), cluster());
    let work = Work::of(&training, Attention::Stored, true, 2.0);
    let time = Time::of(&work, &training, &cluster, &ONE).unwrap();
    let tokens = 64.0 * 8.0;
    near(time.products, tokens * 3.0 * (4.0 * (6144.0 + 512.0) + 3200.0) / (0.5 * 1e10));
    near(time.between, tokens * 4.0 * 5.0 * (34.0 * 16.0 + 80.0) / 1e9);
    near(time.optimiser, work.weights * (2.0 * 14.0 + 2.0) / 1e9);
    near(time.total(), time.products + time.between + time.optimiser);
    let again = Time::of(&work, &training, &cluster, &Layout { recompute: Recompute::Full, ..ONE }).unwrap();
    near(again.flops / time.flops, (4.0 * 4.0 * 6656.0 + 9600.0) / (3.0 * 4.0 * 6656.0 + 9600.0));
    // Four sums of 8 tokens × 16 numbers × 2 bytes for a layer and a sample, six with recomputation: 2 (t−1)/t of it.
    let two = Layout { tensor: 2, ..ONE };
    let sums = |layout: &Layout| Time::of(&work, &training, &cluster, layout).unwrap().tensor;
    near(sums(&two), 64.0 * 4.0 * 4.0 * 256.0 / 1e8);
    near(sums(&Layout { recompute: Recompute::Full, ..two }), 64.0 * 4.0 * 6.0 * 256.0 / 1e8);
}

#[test]
fn exchange_by_stage_of_zero() {
    let config = tiny();
    let (training, mut cluster) = (training(&config), cluster());
    let work = Work::of(&training, Attention::Stored, true, 2.0);
    let time = |cluster: &Cluster, zero| {
        let layout = Layout { data: 8, zero, micro_batch: 2, ..ONE };
        Time::of(&work, &training, cluster, &layout).unwrap()
    };
    // 2 bytes a weight, (d−1)/d of them for each half; four micro-batches.
    let half = 7.0 / 8.0 * 2.0 * work.weights / 1e8;
    near(time(&cluster, 0).data, 2.0 * half);
    near(time(&cluster, 1).data, 2.0 * half);
    near(time(&cluster, 2).data, 5.0 * half);
    near(time(&cluster, 3).data, 12.0 * half);
    assert_eq!(time(&cluster, 0).hidden, 0.0);
    // What is hidden takes no time, and no more can be than passes take.
    (cluster.software.overlap_gradients, cluster.software.overlap_weights) = (1.0, 1.0);
    for zero in 0..=3 {
        let slow = time(&cluster, zero);
        let passes = slow.products + slow.between;
        assert!(slow.hidden <= slow.data && slow.hidden <= passes * (1.0 + 1e-9), "{zero}: {slow:?}");
    }
    cluster.node.bandwidth = 1e12;
    for zero in [1, 2, 3] {
        let fast = time(&cluster, zero);
        near(fast.hidden, fast.data);
    }
}

#[test]
fn more_devices_are_never_slower() {
    let config = Config { layers: 8, ..tiny() };
    for bandwidth in [1e3, 1e5, 1e7] {
        for attention in [Attention::Stored, Attention::Fused] {
            let mut before = f64::INFINITY;
            for doubling in 0..6 {
                let mut cluster = cluster();
                cluster.nodes = 1 << doubling;
                cluster.software.attention = attention;
                cluster.network = Some(Network { bandwidth, latency: 1e-3 });
                let training = training(&config);
                let plan = plan(&training, &cluster, &Asked::default()).unwrap();
                let step = plan.time.total();
                assert!(step <= before * (1.0 + 1e-12), "{} nodes: {step} after {before}", cluster.nodes);
                assert!(
                    plan.memory.total() <= plan.memory_limit && plan.layout.devices() <= cluster.devices()
                );
                before = step;
            }
        }
    }
}

#[test]
fn the_fastest_is_the_fastest_of_all_layouts_within_it() {
    // Every layout of 16 devices, by brute force.
    let config = Config { layers: 8, ..tiny() };
    let mut cluster = cluster();
    (cluster.nodes, cluster.device.memory) = (2, 100e3);
    let training = training(&config);
    let work = Work::of(&training, Attention::Stored, true, 2.0);
    let mut best = f64::INFINITY;
    for data in [1, 2, 4, 8, 16] {
        for tensor in [1, 2] {
            for pipeline in 1..=8 {
                for interleave in 1..=8 {
                    for micro_batch in [1, 2, 4, 8, 16, 32, 64] {
                        for zero in 0..=3 {
                            for recompute in Recompute::ALL {
                                let layout = Layout {
                                    data,
                                    tensor,
                                    pipeline,
                                    interleave,
                                    zero,
                                    micro_batch,
                                    recompute,
                                };
                                let m = layout.micro_batches(64);
                                let is_possible = layout.devices() <= 16
                                    && 64 % (data * micro_batch) == 0
                                    && (zero < 2 || pipeline == 1)
                                    && (interleave == 1
                                        || pipeline > 1
                                            && config.layers.div_ceil(pipeline) % interleave == 0
                                            && m.is_multiple_of(pipeline));
                                let memory = Memory::of(&work, &training, &cluster, &layout).total();
                                if is_possible && memory <= cluster.device.memory {
                                    best = best
                                        .min(Time::of(&work, &training, &cluster, &layout).unwrap().total());
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    let found = plan(&training, &cluster, &Asked::default()).unwrap();
    assert!(found.seen[1] < found.seen[0], "memory rules some out: {:?}", found.seen);
    near(found.time.total(), best);
}

#[test]
fn totals_follow_from_the_step() {
    let config = tiny();
    let (training, mut cluster) = (training(&config), cluster());
    (cluster.pue, cluster.available) = (1.5, 0.8);
    let plan = plan_of(&training, &cluster, Layout { data: 16, ..ONE }).unwrap();
    let (step, totals) = (plan.time.total(), plan.totals);
    near(totals.steps, 125.0);
    near(totals.tokens_per_second, 512.0 / step);
    near(totals.seconds, 125.0 * step / 0.8);
    near(totals.device_hours, 16.0 * totals.seconds / 3600.0);
    // A device, and an eighth of a node.
    near(totals.energy, totals.device_hours * (100.0 + 50.0) * 1.5 / 1000.0);
    near(totals.money.unwrap(), 2.0 * totals.device_hours);
    near(totals.mfu, plan.work.model_flops * 512.0 / (step * 16.0 * 1e10));
    assert!(totals.hfu > totals.mfu, "masked entries are computed");
    for equation in equations(&plan, &training, &cluster).unwrap() {
        assert!(!equation.numbers.is_empty() && !equation.numbers.contains("NaN"), "{equation:?}");
    }
}

#[test]
fn cores_share_their_memory() {
    let mut cluster = cluster();
    cluster.node.memory_bandwidth = Some(2.5e9);
    near(cluster.memory_bandwidth(1), 1e9);
    near(cluster.memory_bandwidth(2), 1e9);
    near(cluster.memory_bandwidth(5), 0.5e9);
    near(cluster.memory_bandwidth(64), 2.5e9 / 8.0);
    let bytes = Bytes { weights: 4.0, gradients: 4.0, optimiser: 8.0, activations: 4.0 };
    assert_eq!(cluster.bytes(Precision::F32), bytes);
    assert_eq!(cluster.fastest(), Precision::Mixed);
    cluster.device.flops.mixed = None;
    assert_eq!(cluster.fastest(), Precision::F32);
    assert!(cluster.peak(Precision::Mixed).unwrap_err().to_string().contains("device.flops"));
}

#[test]
fn what_glass_keeps_is_what_glass_counts() {
    let config = tiny();
    let training = Training { precision: Precision::F32, ..training(&config) };
    let mut cluster = cluster();
    (cluster.software.attention, cluster.software.chunked_loss) = (Attention::Glass, true);
    let work = Work::of(&training, Attention::Glass, false, 4.0);
    let counted = glass::model::footprint::Footprint::of(&config, config.context).activation_bytes as f64;
    let memory = Memory::of(&work, &training, &cluster, &ONE);
    near(memory.activations, counted);
    assert_eq!(memory.logits, 0.0);
    near(memory.weights + memory.gradients + memory.optimiser, 16.0 * work.weights);
}
