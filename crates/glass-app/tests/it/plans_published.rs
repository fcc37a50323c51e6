//! `glass plan` beside published trainings: `docs/machines/published.toml` says what was published, and the table in `docs/plans.md`
//! shows every one of them, however far the plan is off. `GLASS_BLESS=1 cargo test -p glass-app` writes the table.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::program::glass;

#[derive(Deserialize)]
struct Published {
    run: Vec<Run>,
}

/// A training, and what was published about it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    run: String,
    machines: String,
    nodes: usize,
    options: String,
    unit: String,
    reported: f64,
    source: String,
    #[serde(default)]
    fitted: bool,
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn published() -> Vec<Run> {
    let text = fs::read_to_string(docs().join("machines/published.toml")).unwrap();
    toml::from_str::<Published>(&text).unwrap().run
}

fn file_of(run: &Run) -> PathBuf {
    docs().join(format!("machines/published/{}.toml", run.machines))
}

/// The plan of a run, as JSON.
fn planned(run: &Run) -> serde_json::Value {
    let (file, nodes) = (file_of(run).display().to_string(), run.nodes.to_string());
    let mut arguments = vec!["plan", "--machines", &file, "--nodes", &nodes, "--json"];
    arguments.extend(run.options.split(' '));
    glass(&docs(), &arguments, b"").json()
}

/// The value of an option.
fn option(run: &Run, name: &str) -> f64 {
    let mut words = run.options.split(' ').skip_while(|&word| word != name);
    words.nth(1).unwrap_or_else(|| panic!("{}: {name}", run.run)).parse().unwrap()
}

/// What the plan says in the unit of the report.
fn value(run: &Run, plan: &serde_json::Value) -> f64 {
    let number = |pointer: &str| plan.pointer(pointer).and_then(|value| value.as_f64()).unwrap();
    let devices = number("/layout/devices");
    match run.unit.as_str() {
        "seconds" => number("/seconds/step"),
        "tokens_per_second" => number("/tokens_per_second"),
        "tflops" => number("/flops_per_token") * number("/tokens_per_second") / devices / 1e12,
        "megatron_tflops" => {
            let [l, h, v, s, b] =
                ["--layers", "--width", "--vocab", "--context", "--batch"].map(|name| option(run, name));
            // Narayanan et al. 2021, equation 3.
            let flops = 96.0 * b * s * l * h * h * (1.0 + s / (6.0 * h) + v / (16.0 * l * h));
            flops / number("/seconds/step") / devices / 1e12
        }
        "device_hours" => number("/device_hours"),
        "days" => number("/days"),
        "flops" => number("/flops"),
        unit => panic!("{}: {unit}", run.run),
    }
}

/// Three or four digits, with thousands grouped.
fn shown(value: f64) -> String {
    match value {
        1e15.. => format!("{value:.2e}"),
        1e6.. => format!("{:.3} million", value / 1e6),
        1e3.. => format!("{},{:03}", value as u64 / 1000, value as u64 % 1000),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn unit(unit: &str) -> &str {
    match unit {
        "seconds" => "s a step",
        "tokens_per_second" => "tokens/s",
        "tflops" => "TFLOP/s a device",
        "megatron_tflops" => "TFLOP/s a device, as counted there",
        "device_hours" => "device-hours",
        "flops" => "operations",
        other => other,
    }
}

const BEGIN: &str = "<!-- the table: written by a test -->\n";
const END: &str = "<!-- end of the table -->\n";

#[test]
fn published_trainings_are_planned_and_compared() {
    let mut table = String::from(
        "| training | layout d × t × p | reported | planned | planned / reported |\n|---|---|---|---|---|\n",
    );
    for run in published() {
        let plan = planned(&run);
        let value = value(&run, &plan);
        let layout = |name: &str| plan["layout"][name].as_u64().unwrap();
        // What was trained fits into the devices that it was trained on.
        assert_eq!(plan["memory_bytes"]["short"], 0.0, "{}", run.run);
        let difference = 100.0 * (value / run.reported - 1.0);
        let (reported, planned) = (shown(run.reported), shown(value));
        let fitted = if run.fitted { " (**fitted**)" } else { "" };
        table.push_str(&format!(
            "| {} | {} × {} × {} | {reported} {} ({}) | {planned} | {difference:+.1} %{fitted} |\n",
            run.run,
            layout("data"),
            layout("tensor"),
            layout("pipeline"),
            unit(&run.unit),
            run.source,
        ));
    }
    let page = docs().join("plans.md");
    let text = fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the page has a place for the table");
    let (now, after) = rest.split_once(END).expect("the table has an end");
    if std::env::var_os("GLASS_BLESS").is_some() {
        fs::write(&page, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(
            now, table,
            "docs/plans.md shows other plans: GLASS_BLESS=1 cargo test -p glass-app writes it anew"
        );
    }
}

/// Where throughput and layout are published, a plan is within 15 %; trainings with ZeRO's stage 3 are shown, but not in this.
#[test]
fn throughput_with_a_published_layout_is_within_15_percent() {
    let known = ["seconds", "tflops", "megatron_tflops", "tokens_per_second", "flops"];
    let mut judged = 0;
    for run in published() {
        if run.fitted || !known.contains(&run.unit.as_str()) {
            continue;
        }
        let plan = planned(&run);
        if plan["layout"]["zero"] == 3 {
            continue;
        }
        let ratio = value(&run, &plan) / run.reported;
        assert!((0.85..1.15).contains(&ratio), "{}: {ratio:.3}", run.run);
        judged += 1;
    }
    assert!(judged > 20, "{judged} trainings were judged");
}

/// One number for each kind of device, fitted on one training; no row has a number of its own.
#[test]
fn a_kind_of_device_has_one_efficiency() {
    let mut fitted: Vec<(String, f64)> = vec![];
    for run in published() {
        let kind = run.machines.split('-').next().unwrap().to_string();
        let file: toml::Table = fs::read_to_string(file_of(&run)).unwrap().parse().unwrap();
        let efficiency = file["software"]["efficiency"].as_float().unwrap();
        match fitted.iter().find(|(known, _)| *known == kind) {
            Some((_, known)) => assert_eq!(*known, efficiency, "{}", run.machines),
            None => fitted.push((kind, efficiency)),
        }
    }
    for (kind, efficiency) in &fitted {
        let runs =
            published().into_iter().filter(|run| run.fitted && run.machines.starts_with(kind.as_str()));
        assert_eq!(runs.count(), 1, "{kind}");
        let shipped: toml::Table =
            fs::read_to_string(docs().join(format!("machines/{kind}.toml"))).unwrap().parse().unwrap();
        assert_eq!(shipped["software"]["efficiency"].as_float(), Some(*efficiency), "{kind}");
    }
    assert_eq!(fitted.len(), 3, "A100, H100 and V100");
}
