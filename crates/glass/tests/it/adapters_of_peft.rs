//! Adapters in files that peft wrote, with the logits that it computes (`tools/adapter_goldens.py`).

use std::path::Path;

use glass::backend::{Cpu, Packing};
use glass::generate::Runner;
use glass::model::Gpt;
use glass::plan::Spec;
use glass::weights::adapter::file::open;
use glass::weights::adapter::{Adapter, Adapters};
use glass::weights::folder::Folder;
use glass::weights::{Frozen, Weights};

use crate::golden::Golden;

/// The adapters, and the models that they change.
const ADAPTERS: [(&str, &str); 5] = [
    ("gpt2", "files/f32"),
    ("gpt_neox", "families/gpt_neox"),
    ("llama", "families/llama"),
    ("phi3", "families/phi3"),
    ("qwen3", "families/qwen3"),
];

#[test]
fn logits_are_those_of_peft() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for (name, base) in ADAPTERS {
        let golden = Golden::open(&format!("adapters/{name}/golden"));
        let ids: Vec<u32> = golden.get("ids").iter().map(|&id| id as u32).collect();
        let folder = Folder::open(&root.join(base)).unwrap();
        let (gpt, plan) = Gpt::plan(folder.config());
        let stored = open(&root.join("adapters").join(name), folder.config(), &plan).unwrap();
        let cpu = Cpu::new(2);
        let read = |spec: &Spec, into: &mut [f32]| folder.read(spec, into);
        let own = Frozen::load(&cpu, &plan, Packing::F32, &read).unwrap();
        let adapter = Adapter::load(&cpu, &stored).unwrap();
        let logits = |weights: Weights<'_, Cpu>| {
            let mut logits = vec![];
            let mut runner = Runner::new(&cpu, &gpt, weights).unwrap();
            runner.feed_each(&ids, &mut |_, row: &[f32]| logits.extend_from_slice(row)).unwrap();
            logits.into_iter().map(f64::from).collect::<Vec<_>>()
        };
        let adapted = logits(Weights::Adapted(&own, Adapters::One(adapter.lend())));
        println!("{name}: {:.1e}", golden.hold("logits", adapted, 1e-5));
        // The adapter changes enough to notice one that is read wrongly.
        let theirs = golden.get("logits");
        let largest = theirs.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        let plain = logits(Weights::Frozen(&own));
        let apart = plain.iter().zip(theirs).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f64::max) > 0.1 * largest, "{name}");
    }
}
