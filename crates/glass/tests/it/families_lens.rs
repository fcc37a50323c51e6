//! Looking inside every family, compared with TransformerLens's bridge: what Glass's probes see is what its hooks see.
//!
//! Where a hook and the site of its name differ:
//!
//! | hook | what it has | in Glass |
//! |---|---|---|
//! | `unembed.hook_out` | the product alone | `logits` come after their factor and cap |
//! | `attn.hook_out`, `mlp.hook_out` of a branch with a factor | what the branch gives before the factor | `attention.out` and `mlp.out` come after it |
//! | `attn.hook_rot_q`, `attn.hook_rot_k` of a layer that rotates nothing | queries and keys as they are | there is no such site |
//! | `attn.q_norm.hook_out`, `attn.hook_q_normed`, and those of keys | heads before positions, or no heads | `attention.query_norm` and `attention.key_norm`, positions first |
//! | `ln1.hook_out`, `ln2.hook_out` without such a norm (OLMo 2 and 3), or with one for both (GPT-J's second) | missing | the input of attention and of the MLP, whatever it is |
//! | `hook_resid_mid` where attention and the MLP read the same residual | missing | the residual with attention's output alone |

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use glass::Config;
use glass::backend::{Cpu, Packing};
use glass::config::{NormOver, Positions};
use glass::families::Family;
use glass::inspect::{Inspector, Matrix, Record};
use glass::model::Gpt;
use glass::plan::Spec;
use glass::probe::{Names, Part, Site};
use glass::runtime::{Model, cache_for};
use glass::weights::Frozen;
use glass::weights::folder::Folder;

use crate::golden::Golden;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/families")
}

fn seen(name: &str, ids: &[u32]) -> (Config, Record) {
    let folder = Folder::open(&root().join(name)).unwrap();
    // What scales by length does so in that library by the length of the text.
    let config = match folder.config().positions {
        Positions::Rotary => folder.config().clone().with_context(ids.len()),
        Positions::Learned => folder.config().clone(),
    };
    let ((gpt, plan), cpu) = (Gpt::plan(&config), Cpu::new(2));
    let read = |spec: &Spec, into: &mut [f32]| folder.read(spec, into);
    let weights = Frozen::load(&cpu, &plan, Packing::F32, &read).unwrap();
    let model = Model::new(cpu, gpt, weights, cache_for(Packing::F32));
    let mut record = Record::of(Site::all(&config));
    Inspector::new(&model, ids.len(), 1).unwrap().run(&[ids], &mut record).unwrap();
    (config, record)
}

/// The site of a hook.
fn site_of(hook: &str, config: &Config) -> Site {
    let part = |ends: &str, part: Part| {
        let layer = hook.strip_prefix("blocks.")?.strip_suffix(ends)?.parse().ok()?;
        Some(Site::Block(layer, part))
    };
    let turned = [
        (".attn.hook_q_normed", Part::QueryNorm),
        (".attn.q_norm.hook_out", Part::QueryNorm),
        (".attn.hook_k_normed", Part::KeyNorm),
        (".attn.k_norm.hook_out", Part::KeyNorm),
    ];
    if let Some(site) = turned.into_iter().find_map(|(ends, of)| part(ends, of)) {
        return site;
    }
    match Site::named(hook, config.layers).unwrap() {
        site if site.is_in(config) => site,
        // Before the factor, and not rotated.
        Site::Block(layer, Part::AttentionUnnormed) => Site::Block(layer, Part::AttentionOut),
        Site::Block(layer, Part::MlpUnnormed) => Site::Block(layer, Part::MlpOut),
        Site::Block(layer, Part::QueryRotated) => Site::Block(layer, Part::Query),
        Site::Block(layer, Part::KeyRotated) => Site::Block(layer, Part::Key),
        site => panic!("{hook} is {site}, which the model does not have"),
    }
}

/// A hook's numbers as the site has them.
fn theirs(golden: &Golden, hook: &str, site: Site, config: &Config) -> Vec<f64> {
    let (values, shape) = (golden.get(hook).to_vec(), golden.shape(hook));
    let factors = config.factors;
    match site {
        Site::Logits => {
            let capped =
                |x: f64| factors.logit_cap.map_or(x, |cap| f64::from(cap) * (x / f64::from(cap)).tanh());
            values.into_iter().map(|x| capped(x * f64::from(factors.logits))).collect()
        }
        Site::Block(..) if hook.ends_with("attn.hook_out") || hook.ends_with("mlp.hook_out") => {
            let of_branch = matches!(site, Site::Block(_, Part::AttentionOut | Part::MlpOut));
            let factor = if of_branch { f64::from(factors.branch) } else { 1.0 };
            values.into_iter().map(|x| x * factor).collect()
        }
        Site::Block(_, Part::QueryNorm | Part::KeyNorm)
            if config.query_key_norm.unwrap().over == NormOver::Head =>
        {
            let [heads, rows, size] = *shape else { panic!("{hook}: {shape:?}") };
            let row = |row: usize, head: usize| &values[(head * rows + row) * size..][..size];
            (0..rows * heads).flat_map(|at| row(at / heads, at % heads).to_vec()).collect()
        }
        _ => values,
    }
}

/// Compares all hooks of a file; returns the largest difference and the sites that no hook shows.
fn held(name: &str) -> (f64, BTreeSet<Site>) {
    let golden = Golden::open(&format!("families/{name}/lens"));
    let ids: Vec<u32> = golden.get("ids").iter().map(|&id| id as u32).collect();
    let (config, record) = seen(name, &ids);
    let mut blocks = BTreeSet::new();
    let (mut compared, mut worst) = (BTreeSet::new(), 0.0f64);
    for hook in golden.names().into_iter().filter(|hook| *hook != "ids") {
        let site = site_of(hook, &config);
        if let Some((block, _)) = hook.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')) {
            blocks.insert(block.parse::<usize>().unwrap());
        }
        let (matrix, theirs) = (record.get(site).unwrap(), theirs(&golden, hook, site, &config));
        worst = worst.max(difference(matrix, &theirs, &format!("{name} {hook}")));
        // What is saved under that library's names has its shape, too.
        if site.name(Names::TransformerLens, config.layers) == hook {
            assert_eq!(
                matrix.shape(site, &config, Names::TransformerLens),
                golden.shape(hook),
                "{name} {hook}"
            );
        }
        compared.insert(site);
    }
    let of_file = |site: &Site| !matches!(site, Site::Block(block, _) if !blocks.contains(block));
    (worst, Site::all(&config).into_iter().filter(of_file).filter(|site| !compared.contains(site)).collect())
}

/// The largest difference, relative to the largest number; masked scores are −∞ here, and zero in the file.
fn difference(matrix: &Matrix, theirs: &[f64], name: &str) -> f64 {
    assert_eq!(matrix.values.len(), theirs.len(), "{name}");
    let largest = theirs.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    assert!(largest > 0.0, "{name}");
    let ours = matrix.values.iter().map(|&x| if x == f32::NEG_INFINITY { 0.0 } else { f64::from(x) });
    let worst = ours.zip(theirs).map(|(x, y)| (x - y).abs() / largest).fold(0.0, f64::max);
    assert!(worst <= 1e-5, "{name}: {worst:.1e} of the largest");
    worst
}

/// The parts of a block that no hook of a family shows.
fn hidden(name: &str) -> Vec<Part> {
    const ROTATED: [Part; 2] = [Part::QueryRotated, Part::KeyRotated];
    let own: Vec<Part> = match name {
        "gpt_neo" => vec![Part::Masked],
        "gpt_neox" => [&ROTATED[..], &[Part::ResidualMiddle]].concat(),
        "gptj" => [&ROTATED[..], &[Part::Masked, Part::ResidualMiddle, Part::MlpNorm]].concat(),
        "nanochat" => [&ROTATED[..], &[Part::Masked]].concat(),
        "olmo2" | "olmo3" => vec![Part::AttentionNorm, Part::MlpNorm],
        "phi3" => ROTATED.to_vec(),
        _ => vec![],
    };
    [vec![Part::Scores, Part::Contribution], own].concat()
}

/// The families of the files: all but GPT-2, which `transformer_lens.rs` holds, Ministral, which that library cannot open, and Glass's
/// own form.
#[test]
fn every_family_is_seen_as_transformer_lens_sees_it() {
    let folders = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let with_lens = folders.filter(|folder| folder.join("lens.safetensors").exists());
    let mut names: Vec<String> =
        with_lens.map(|folder| folder.file_name().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    let family = |name: &String| Config::open(&root().join(name).join("config.json")).unwrap().family;
    let have: Vec<Family> = names.iter().map(family).collect();
    let missing: Vec<&str> = Family::all().filter(|one| !have.contains(one)).map(Family::name).collect();
    assert_eq!(missing, ["gpt2", "ministral", "glass"]);
    for name in &names {
        let (worst, unseen) = held(name);
        eprintln!("{name}: {worst:.1e} of the largest number of a site");
        let expected = hidden(name);
        for site in unseen {
            let known = match site {
                Site::Block(_, part) => expected.contains(&part),
                // What enters the first block; and the input of a block that is not in the file.
                site => matches!(site, Site::Embedding),
            };
            assert!(known, "{name}: {site} is not compared");
        }
    }
}
