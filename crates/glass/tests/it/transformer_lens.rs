//! Looking inside compared with TransformerLens: every cache entry, the lens, an attribution, patched heads.

use glass::Config;
use glass::backend::{Cpu, Packing};
use glass::inspect::attribute::{Component, of_logit};
use glass::inspect::jacobian::Fit;
use glass::inspect::sweep::patch_heads;
use glass::inspect::{Inspector, Record, lens};
use glass::model::Gpt;
use glass::next_token::score;
use glass::plan::Spec;
use glass::probe::Site;
use glass::runtime::{Model, cache_for};
use glass::weights::Frozen;

use crate::golden::Golden;

/// Sites for which TransformerLens has no entry: sums before a block and scores before their scaling.
const OURS_ALONE: [&str; 2] = ["embedding", "scores"];

#[test]
fn all_that_is_seen_is_what_transformer_lens_sees() {
    let (weights, golden) = (Golden::open("pytorch/tied_bias"), Golden::open("transformer_lens"));
    let config = Config::gpt2(61, 16, 24, 2, 3);
    let (gpt, plan) = Gpt::plan(&config);
    let read = |spec: &Spec, into: &mut [f32]| {
        into.iter_mut().zip(weights.get(&spec.name)).for_each(|(to, from)| *to = *from as f32);
        Ok(())
    };
    let cpu = Cpu::new(2);
    let frozen = Frozen::load(&cpu, &plan, Packing::F32, &read).unwrap();
    let model = Model::new(cpu, gpt, frozen, cache_for(Packing::F32));
    let ids = |name: &str| golden.get(name).iter().map(|&id| id as u32).collect::<Vec<_>>();
    let (text, clean, token) = (ids("ids"), ids("clean"), ids("token")[0]);
    let mut inspector = Inspector::new(&model, 13 * 3, 3).unwrap();

    let mut record = Record::of(Site::all(&config));
    inspector.run(&[&text], &mut record).unwrap();
    let mut compared = 0;
    for (site, matrix) in record.sites() {
        let name = site.to_string();
        if OURS_ALONE.contains(&name.rsplit('.').next().unwrap()) {
            continue;
        }
        // Masked entries are -∞ here, and zero in the file.
        let seen = matrix.values.iter().map(|&x| if x.is_finite() { f64::from(x) } else { 0.0 });
        golden.hold(&name, seen, 1e-5);
        compared += 1;
    }
    assert_eq!(compared, 5 + 2 * 15);

    let readings = lens::lens(&mut inspector, &text, 61).unwrap();
    let said = readings.iter().flatten().flat_map(|reading| {
        let mut all = reading.top.clone();
        all.sort_by_key(|drawn| drawn.id);
        all.into_iter().map(|drawn| drawn.logprob)
    });
    golden.hold("lens", said, 1e-5);

    let found = of_logit(&mut inspector, &text, token, None).unwrap();
    let named =
        |component: &Component| !matches!(component, Component::AttentionBias(_) | Component::NormBias);
    let parts = found.parts.iter().filter(|(component, _)| named(component)).map(|(_, value)| *value);
    golden.hold("attribution", parts, 1e-5);

    let metric = |logits: &[f32]| score(logits, token).unwrap().logprob;
    let sweep = patch_heads(&mut inspector, &clean, &text, &metric).unwrap();
    golden.hold("patched", sweep.after.into_iter().flatten(), 1e-5);

    let mut fit = Fit::new(&model, 13, 3).unwrap();
    [&text, &clean].iter().for_each(|text| assert!(fit.read(text).unwrap()));
    let lens = fit.lens().unwrap();
    golden.hold("jacobian", lens.matrix(1).unwrap().values.iter().map(|&x| f64::from(x)), 1e-5);
}
