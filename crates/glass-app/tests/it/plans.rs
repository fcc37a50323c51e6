//! `glass plan`: its output, its JSON, its errors.

use std::path::Path;

use crate::program::{Ended, Scratch, command, glass};

/// A file of the documentation.
fn machines(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../../docs/machines/{name}.toml"))
        .display()
        .to_string()
}

fn plan(arguments: &[&str]) -> Ended {
    let scratch = Scratch::new(&format!("plan-{}", arguments.join("").len()));
    glass(&scratch.0, &[&["plan"], arguments].concat(), b"")
}

#[test]
fn the_report_adds_up_and_fits_a_terminal() {
    let file = machines("a100");
    let json = plan(&["gpt3-175b", "--machines", &file, "--nodes", "128", "--json"]).json();
    let number = |pointer: &str| {
        json.pointer(pointer).and_then(|value| value.as_f64()).unwrap_or_else(|| panic!("{pointer}"))
    };
    let of =
        |part: &str, names: &[&str]| names.iter().map(|name| number(&format!("/{part}/{name}"))).sum::<f64>();
    let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-9, "{a} {b}");
    near(
        of("memory_bytes", &["weights", "gradients", "optimiser", "activations", "logits"]),
        number("/memory_bytes/total"),
    );
    let parts = ["products", "between", "tensor", "stages", "bubble", "data", "optimiser"];
    near(of("seconds", &parts) - number("/seconds/hidden"), number("/seconds/step"));
    near(number("/tokens_per_second") * number("/seconds/step"), number("/batch") * number("/context"));
    near(number("/days") * 86_400.0, number("/tokens") / number("/tokens_per_second"));
    near(number("/device_hours") * 3600.0, number("/seconds/all") * number("/layout/devices"));
    near(number("/money"), number("/device_hours") * 1.79);
    let layout = ["data", "tensor", "pipeline"].map(|name| number(&format!("/layout/{name}")));
    near(layout.iter().product(), number("/layout/devices"));
    // What GPT-3 learned from, in steps as large as its own; operations as published, 3.14e23.
    assert_eq!((number("/tokens"), number("/batch"), number("/context")), (300e9, 1536.0, 2048.0));
    near(number("/weights"), 174_604_259_328.0);
    assert!((number("/flops") / 3.14e23 - 1.0).abs() < 0.02, "{}", number("/flops"));

    let scratch = Scratch::new("plan-columns");
    for columns in [60, 100] {
        let arguments = ["plan", "gpt3-175b", "--machines", &file, "--equations"];
        let done = command(&scratch.0, &arguments).env("COLUMNS", columns.to_string()).output().unwrap();
        let text = String::from_utf8(done.stdout).unwrap();
        for part in [
            "layout of 128 devices",
            "memory of the fullest device",
            "time of a step",
            "in all",
            "Narayanan et al. 2021",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        for line in text.lines() {
            assert!(line.chars().count() <= columns, "{line:?}");
        }
    }
}

#[test]
fn what_is_asked_for_is_taken() {
    let file = machines("a100");
    let arguments = "--nodes 128 --tensor 8 --pipeline 16 --data 8 --interleave 2 --zero 1 --micro-batch 2 --recompute full --tokens 1e9";
    let options: Vec<&str> = arguments.split(' ').collect();
    let json =
        plan(&[&["gpt3-175b", "--machines", &file, "--json", "--batch", "512"], &options[..]].concat())
            .json();
    let expected = serde_json::json!({
        "devices": 1024, "data": 8, "tensor": 8, "pipeline": 16, "interleave": 2, "zero": 1, "micro_batch": 2,
        "micro_batches": 32, "recompute": "full"
    });
    assert_eq!(json["layout"], expected);
    assert_eq!((&json["batch"], &json["tokens"]), (&serde_json::json!(512), &serde_json::json!(1e9)));
    // In tokens.
    let json = plan(&["gpt2", "--machines", &file, "--batch-tokens", "1048576", "--json"]).json();
    assert_eq!(json["batch"], 1024);
    // A model by its sizes is the preset of these sizes.
    let sizes =
        ["--layers", "12", "--heads", "12", "--width", "768", "--vocab", "50257", "--context", "1024"];
    let sized = plan(&[&["--machines", &file, "--json"], &sizes[..]].concat()).json();
    let preset = plan(&["gpt2", "--machines", &file, "--json"]).json();
    for field in ["weights", "tokens", "batch", "layout", "seconds", "memory_bytes", "flops"] {
        assert_eq!(sized[field], preset[field], "{field}");
    }
    // Ranks of Glass: moments are divided, and all of a step's batches but one are added before the exchange.
    let json = plan(&[
        "gpt2",
        "--machines",
        &machines("cores"),
        "--devices",
        "2",
        "--batch",
        "4",
        "--micro-batch",
        "1",
        "--json",
    ])
    .json();
    assert_eq!(
        (&json["layout"]["devices"], &json["layout"]["zero"]),
        (&serde_json::json!(2), &serde_json::json!(1))
    );
}

#[test]
fn every_file_of_machines_plans() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/machines");
    let mut planned = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "toml") && !path.ends_with("published.toml") {
            let done = plan(&["gpt2", "--machines", &path.display().to_string()]);
            assert_eq!((done.status, done.stderr.as_str()), (0, ""), "{}", path.display());
            planned += 1;
        }
    }
    assert!(planned >= 5, "{planned}");
}

#[test]
fn a_wrong_file_is_explained() {
    let scratch = Scratch::new("plan-files");
    let good = std::fs::read_to_string(machines("a100")).unwrap();
    for (from, to, said) in [
        ("memory = 85.9e9", "memmory = 85.9e9", "did you mean memory?"),
        ("per_node = 8", "per_node = 0", "device.per_node: 0 was found"),
        (
            "memory_bandwidth = 2.039e12",
            "memory_bandwidth = -1",
            "device.memory_bandwidth: -1 was found, but it must be greater than 0",
        ),
        (
            "efficiency = 0.661",
            "efficiency = 66.1",
            "software.efficiency: 66.1 was found, but it is a share above 0, up to 1",
        ),
        ("memory_bandwidth = 2.039e12", "", "missing field `memory_bandwidth`"),
        ("pue = 1.1", "pue = 0.9", "pue: 0.9 was found"),
        ("nodes = 16", "nodes = \"many\"", "line 3: invalid type: string \"many\""),
        ("zero = [0, 1]", "zero = [4]", "software.zero: 4 was found"),
        ("bandwidth = 23e9", "bandwidth = nan", "network.bandwidth"),
        ("sequence_parallel = true", "attention = \"flash\"", "unknown variant `flash`"),
        ("[device]", "[device", "line 7"),
    ] {
        let file = scratch.0.join("m.toml");
        assert!(good.contains(from), "{from}");
        std::fs::write(&file, good.replacen(from, to, 1)).unwrap();
        let Ended { status, stderr, .. } = glass(&scratch.0, &["plan", "gpt2", "--machines", "m.toml"], b"");
        assert!(status == 1 && stderr.contains(said) && stderr.contains("m.toml"), "{to}: {stderr}");
    }
}

#[test]
fn what_is_impossible_is_explained() {
    let file = machines("a100");
    let refused = |arguments: &str, said: &str| {
        let options: Vec<&str> = arguments.split(' ').collect();
        let Ended { status, stderr, .. } =
            plan(&[&["gpt3-175b", "--machines", &file], &options[..]].concat());
        assert!(status == 2 && stderr.contains(said), "{arguments}: {stderr}");
    };
    refused("--tensor 7", "--tensor: 7 devices cannot share 96 heads");
    refused("--pipeline 97", "--pipeline: 97 stages were given, but there are 96 layers");
    refused("--zero 3", "--zero: stage 3 was given");
    refused("--zero 4", "4 is not in the range 0 to 3");
    refused("--devices 129", "--devices: 129 were given");
    refused("--tensor 8 --pipeline 32", "more than the 128 devices");
    refused("--data 7", "--data: 7 devices cannot share 1536 samples");
    refused("--micro-batch 0", "--micro-batch: 0 was given");
    refused("--interleave 200 --pipeline 2", "--interleave: 200 chunks");
    refused("--context 4096", "--context: 4096 was given, but the model has contexts of 1 to 2048 tokens");
    refused("--batch 0", "--batch: 0 was given");
    refused("--tokens 0", "--tokens: 0 was given");
    refused("--nodes 0", "--nodes: 0 was given");
    refused("--layers 2", "cannot be used with");
    // Too large: what is short, and what would do, which then does.
    let large = "--nodes 1";
    refused(large, "268 GB short");
    let Ended { stderr, .. } = plan(&["gpt3-175b", "--machines", &file, "--nodes", "1"]);
    let words: Vec<&str> = stderr.split_whitespace().collect();
    let at = words.windows(3).position(|words| words == ["such", "nodes", "would"]).expect("a remedy");
    let enough = words[at - 1];
    assert_eq!(plan(&["gpt3-175b", "--machines", &file, "--nodes", enough]).status, 0, "{enough} nodes");
    let half = (enough.parse::<usize>().unwrap() / 2).to_string();
    assert_eq!(plan(&["gpt3-175b", "--machines", &file, "--nodes", &half]).status, 2, "{half} nodes");
    // A complete layout is planned even so.
    let layout = ["--tensor", "8", "--pipeline", "1", "--micro-batch", "1", "--recompute", "full"];
    let done = plan(&[&["gpt3-175b", "--machines", &file, "--nodes", "1"], &layout[..]].concat());
    assert!(done.status == 0 && done.stdout.contains("though it does not fit: 268"), "{}", done.stdout);
    let missing = plan(&["gpt2", "--machines", "none.toml"]);
    assert!(missing.status == 2 && missing.stderr.contains("cannot read none.toml"), "{}", missing.stderr);
}

/// Every command in the page about GPT-3 says what is written below it. `GLASS_BLESS=1 cargo test -p glass-app` writes it anew.
#[test]
fn the_page_about_gpt3_shows_what_the_program_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("docs/gpt3-training.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (mut written, mut rest, mut blocks) = (String::new(), text.as_str(), 0);
    while let Some((before, after)) = rest.split_once("```text\n$ glass plan ") {
        let (block, after) = after.split_once("```").expect("a block ends");
        let arguments = block.lines().next().unwrap();
        let words = std::iter::once("plan").chain(arguments.split(' ')).collect::<Vec<_>>();
        let done = command(&root, &words).env("COLUMNS", "100").output().unwrap();
        let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
        written.push_str(&format!("{before}```text\n$ glass plan {arguments}\n{said}```"));
        (rest, blocks) = (after, blocks + 1);
    }
    written.push_str(rest);
    assert!(blocks >= 3, "{blocks}");
    if std::env::var_os("GLASS_BLESS").is_some() {
        std::fs::write(&path, written).unwrap();
    } else {
        assert_eq!(text, written, "GLASS_BLESS=1 cargo test -p glass-app writes the page anew");
    }
}
