//! Preferences: the losses are trl's, their gradients are slopes, and runs write the same bytes however they are cut.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use glass::Result;
use glass::backend::Cpu;
use glass::memory::Keep;
use glass::plan::Spec;
use glass::tokens::Tokenizer;
use glass::tokens::chat::{DEFAULT_SPECIALS, Message, Template, default_template};
use glass::train::learner::{Arena, Batch, IGNORE, Learner, Step};
use glass::train::log::LoggedStep;
use glass::train::objective::Objective;
use glass::train::pairs::{self, CutPairs, PairEntry, PairTokens, ToldPair};
use glass::train::preference::{Preference, PreferenceLoss};
use glass::train::ranks::{Divided, Ranks, together};
use glass::train::reference::refer;
use glass::train::run::{Run, Summary, run};
use glass::train::set::{Chat, Pair, Samples, Set};
use glass::train::settings::Settings;
use glass::train::sums::Reduce;
use glass::weights::dtype::Dtype;
use glass::weights::folder::Folder;
use glass::weights::names::places;
use glass::weights::save::Save;

use crate::golden::Golden;
use crate::scratch::Scratch;
use crate::switches::{self, signs};
use crate::tiny;
use crate::train_run::{Actions, assert_same, files, settings, stopping};

const LOSSES: [(&str, PreferenceLoss); 5] = [
    ("dpo", PreferenceLoss::Dpo),
    ("dpo-norm", PreferenceLoss::DpoNorm),
    ("robust", PreferenceLoss::Robust),
    ("ipo", PreferenceLoss::Ipo),
    ("simpo", PreferenceLoss::Simpo),
];

/// The samples of pairs, each with the number of ids that are the prompt.
fn batch(samples: &[(&[u32], usize)], pairs: Vec<[f64; 2]>) -> Batch {
    let mut batch = Batch { pairs, ..Batch::default() };
    for (ids, prompt) in samples {
        batch.inputs.extend(&ids[..ids.len() - 1]);
        batch.targets.extend((1..ids.len()).map(|at| if at < *prompt { IGNORE } else { ids[at] }));
        batch.lengths.push(ids.len() - 1);
    }
    batch
}

/// What `tools/preference_goldens.py` wrote, of which the losses are `trl`'s own.
#[test]
fn losses_and_gradients_are_those_of_trl() {
    let golden = Golden::open("preferences");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/families/llama");
    let folder = Folder::open(&folder).unwrap();
    let mut ids = golden.get("ids").iter().map(|&id| id as u32);
    let lengths = golden.get("lengths").as_chunks::<3>().0;
    let samples: Vec<(Vec<u32>, usize)> = lengths
        .iter()
        .flat_map(|&[prompt, chosen, rejected]| [(prompt, chosen), (prompt, rejected)])
        .map(|(prompt, answer)| (ids.by_ref().take((prompt + answer) as usize).collect(), prompt as usize))
        .collect();
    let samples: Vec<(&[u32], usize)> = samples.iter().map(|(ids, prompt)| (&ids[..], *prompt)).collect();
    let batch = batch(&samples, golden.get("reference").as_chunks().0.to_vec());
    let mut learner =
        Learner::new(Arc::new(Cpu::new(2)), folder.config(), batch.inputs.len(), samples.len()).unwrap();
    learner.load(&|spec: &Spec, into: &mut [f32]| folder.read(spec, into)).unwrap();
    let place_of = places(folder.config());
    for (name, loss) in LOSSES {
        let [beta, gamma, label_smoothing] =
            golden.get(&format!("{name}.constants")).to_vec().try_into().unwrap();
        let preference = Preference {
            loss,
            beta: beta as f32,
            gamma: gamma as f32,
            label_smoothing: label_smoothing as f32,
        };
        preference.check().unwrap();
        let objective = Objective::Preference(preference);
        let still = Step { objective, rate: 0.0, decay: 0.0, clip: 0.0, ..tiny::step(1) };
        let outcome = learner.step(std::slice::from_ref(&batch), &still).unwrap();
        assert_eq!(outcome.counted, 3);
        let [accuracy, margin] = [outcome.details.accuracy, outcome.details.margin].map(Option::unwrap);
        for (ours, theirs) in [outcome.loss, accuracy, margin].iter().zip(golden.get(&format!("{name}.told")))
        {
            assert!((ours - theirs).abs() < 1e-5 * theirs.abs().max(1.0), "{name}: {ours}, golden {theirs}");
        }
        // As far apart as the largest gradient of all allows, and of each parameter its own.
        let mut most = 0.0f64;
        for spec in &learner.plan().clone().specs {
            let place = place_of(&spec.name).unwrap();
            let whole = golden.get(&format!("{name}.grad.{}", place.written));
            let largest = whole.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
            let mut ours = vec![0.0; spec.span.len()];
            learner.read_gradient(spec, &mut ours);
            let cols = if spec.rows == 1 { 1 } else { spec.cols };
            for (at, ours) in ours.iter().enumerate() {
                let theirs = whole[place.row(at / cols) * cols + at % cols];
                let error = (f64::from(*ours) - theirs).abs() / largest;
                assert!(error < 1e-5, "{name}: {}[{at}]: {ours}, golden {theirs}: {error:.1e}", spec.name);
                most = most.max(error);
            }
        }
        println!("{name:<9} gradients {most:.1e} of the largest of each parameter");
    }
}

fn drawn() -> Batch {
    let ids = tiny::ids(70, 31, 3);
    let samples = [(&ids[..12], 4), (&ids[12..21], 4), (&ids[21..30], 2), (&ids[30..54], 2)];
    batch(&samples, vec![[-30.0, -17.0], [-20.0, -80.0]])
}

#[test]
fn gradients_are_the_slope_of_the_loss_with_every_switch() {
    for (at, (name, config)) in switches::all().into_iter().enumerate() {
        let (of, loss) = LOSSES[at % LOSSES.len()];
        let objective = Objective::Preference(Preference::usual(loss));
        let (mut learner, batch) = (tiny::learner(&config, 2, 1), drawn());
        let still = Step { objective, rate: 0.0, decay: 0.0, ..tiny::step(1) };
        let start = learner.arena(Arena::Weights);
        learner.step(std::slice::from_ref(&batch), &still).unwrap();
        let mut slope = vec![0.0; start.len()];
        for spec in &learner.plan().clone().specs {
            learner.read_gradient(spec, &mut slope[spec.span.clone()]);
        }
        let norm = slope.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        let direction = signs(slope.len(), 1);
        let step = 2e-3 / (slope.len() as f64).sqrt();
        let mut loss_at = |by: f64| {
            let moved: Vec<f32> =
                start.iter().zip(&direction).map(|(w, sign)| w + (by * sign) as f32).collect();
            learner.set_arena(Arena::Weights, &moved);
            learner.step(std::slice::from_ref(&batch), &still).unwrap().loss
        };
        let measured = (loss_at(step) - loss_at(-step)) / (2.0 * step);
        let expected = slope.iter().zip(&direction).map(|(&g, sign)| f64::from(g) * sign).sum::<f64>();
        let error = (measured - expected).abs();
        assert!(norm > 0.0 && error < 0.02 * norm, "{name}, {of}: {measured} but {expected} (norm {norm})");
    }
}

#[test]
fn a_batch_that_does_not_suit_its_objective_is_refused() {
    let mut learner = tiny::learner(&tiny::config(), 1, 1);
    let objective = Objective::Preference(Preference::usual(PreferenceLoss::Dpo));
    let step = Step { objective, ..tiny::step(1) };
    let said = learner.step(&[tiny::batch(&[5, 6], 31, 1)], &step).unwrap_err().to_string();
    assert!(said.contains("needs pairs"), "{said}");
    let said = learner.step(&[drawn()], &tiny::step(1)).unwrap_err().to_string();
    assert!(said.contains("it holds pairs"), "{said}");
}

/// Pairs of which every answer of one parity is the chosen one.
fn set(count: u32, seed: u32) -> Set {
    let side = |n: u32, which: u32| {
        let ids =
            [tiny::ids(3, 31, seed + n), tiny::ids((4 + (n + 5 * which) % 15) as usize, 15, seed + 7 * n)]
                .concat();
        let ids: Vec<u32> =
            ids.iter().enumerate().map(|(at, &id)| if at < 3 { id } else { 2 * id + which }).collect();
        Chat { learned: (0..ids.len()).map(|at| at > 2).collect(), ids }
    };
    let pair = |n: u32| Pair { sides: [side(n, 0), side(n, 1)], reference: [0.0; 2] };
    Set { samples: Samples::Pairs((0..count).map(pair).collect()), documents: count as usize, bytes: None }
}

/// A run over pairs.
#[derive(Clone)]
struct Of {
    loss: PreferenceLoss,
    ranks: usize,
    threads: usize,
    divided: Divided,
    keep: Keep,
    start: u64,
    stop_after: Option<u64>,
    resume: bool,
}

fn of(loss: PreferenceLoss) -> Of {
    Of {
        loss,
        ranks: 1,
        threads: 1,
        divided: Divided::Moments,
        keep: Keep::All,
        start: 5,
        stop_after: None,
        resume: false,
    }
}

impl Of {
    fn go(&self, folder: &Path) -> Vec<Result<Summary>> {
        thread::scope(|scope| {
            let go = |ranks| scope.spawn(move || self.rank(folder, Arc::new(ranks)));
            let threads: Vec<_> = together(self.ranks).into_iter().map(go).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    fn rank(&self, folder: &Path, ranks: Arc<dyn Ranks>) -> Result<Summary> {
        let preference = Some(Preference { beta: 0.5, ..Preference::usual(self.loss) });
        let settings = Settings { steps: 14, accumulate: 3, preference, dropout: 0.1, ..settings() };
        let (config, is_first) = (tiny::config(), ranks.rank() == 0);
        let samples = 2 * settings.batch;
        let cpu = Arc::new(Cpu::new(self.threads));
        let learner = Learner::keeping(self.keep, cpu, &config, samples * config.context, samples)?;
        let mut learner = learner.among(ranks, Reduce::Exact, self.divided);
        learner.initialise(self.start);
        let (mut train, mut validation) = (set(23, 0), set(9, 1000));
        if self.loss.has_reference() {
            refer(&mut learner, &mut train, settings.batch)?;
            refer(&mut learner, &mut validation, settings.batch)?;
        }
        let mut actions = self.stop_after.filter(|_| is_first).map_or_else(Actions::default, stopping);
        let (stop, plan) = (actions.stop.clone(), learner.plan().clone());
        stop.store(false, Ordering::Relaxed);
        let model = Save {
            config: &config,
            plan: &plan,
            dtype: Dtype::F32,
            tokenizer: None,
            template: None,
            end_of_text: None,
            generation: None,
        };
        let folder = if is_first { folder } else { Path::new("/nowhere") };
        let (settings, train, validation) = (&settings, &train, Some(&validation));
        let resume = self.resume;
        let of = Run { settings, train, validation, folder, model, adapter: None, resume, stop: &stop };
        run(&mut learner, &of, &mut actions)
    }

    fn done(&self) -> Scratch {
        let folder = Scratch::new("preferences");
        self.go(folder.path()).into_iter().for_each(|done| _ = done.unwrap());
        folder
    }
}

#[test]
fn weights_that_are_divided_are_refused() {
    for loss in [PreferenceLoss::Dpo, PreferenceLoss::Simpo] {
        let divided = Of { ranks: 2, divided: Divided::Weights, ..of(loss) };
        let folder = Scratch::new("preferences-divided");
        for refused in divided.go(folder.path()) {
            let said = refused.unwrap_err().to_string();
            assert!(said.contains("reads all of them at once; divide gradients only"), "{said}");
        }
    }
}

fn log(folder: &Path) -> Vec<LoggedStep> {
    let text = fs::read_to_string(folder.join("train/log.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn threads_ranks_and_a_stop_change_no_byte() {
    for (name, loss) in LOSSES {
        let whole = of(loss).done();
        let others = [
            Of { threads: 2, ..of(loss) },
            Of { ranks: 2, ..of(loss) },
            Of { ranks: 3, keep: Keep::Inputs, ..of(loss) },
            Of { ranks: 3, divided: Divided::Gradients, ..of(loss) },
        ];
        others.iter().for_each(|other| assert_same(whole.path(), other.done().path()));
        let stopped = Of { stop_after: Some(6), ..of(loss) }.done();
        assert!(files(stopped.path()) != files(whole.path()));
        let rest = Of { resume: true, threads: 2, ..of(loss) };
        rest.go(stopped.path()).into_iter().for_each(|done| _ = done.unwrap());
        assert_same(whole.path(), stopped.path());
        // It has learned which answers are chosen, and says so, also of pairs that it was not given.
        let log = log(whole.path());
        let (first, last) = (&log[0], &log[log.len() - 1]);
        assert!(last.loss < first.loss && last.details.margin > first.details.margin, "{name}: {last:?}");
        assert!(last.val_accuracy.unwrap() > 0.7 && last.val_loss.is_some(), "{name}: {last:?}");
        assert!(log[..3].iter().all(|line| line.val_accuracy.is_none()));
    }
}

#[test]
fn a_run_goes_on_with_its_own_reference_and_loss_only() {
    let stopped = Of { stop_after: Some(6), ..of(PreferenceLoss::Dpo) }.done();
    let said = |of: Of| of.go(stopped.path()).swap_remove(0).unwrap_err().to_string();
    let resumed = Of { resume: true, ..of(PreferenceLoss::Dpo) };
    let other = said(Of { start: 6, ..resumed.clone() });
    assert!(other.starts_with("from: this run began with weights "), "{other}");
    let other = said(Of { loss: PreferenceLoss::Ipo, ..resumed.clone() });
    assert!(other.starts_with("preference_loss: this run began with \"dpo\"; \"ipo\" would"), "{other}");
    resumed.go(stopped.path()).swap_remove(0).unwrap();
}

fn read(text: &str) -> std::result::Result<Vec<PairEntry>, String> {
    let folder = Scratch::new("pairs");
    let path = folder.path().join("p.jsonl");
    fs::write(&path, text).unwrap();
    let folder = folder.path().display().to_string() + "/";
    pairs::read(&[path]).map(|(pairs, _)| pairs).map_err(|error| error.to_string().replace(&folder, ""))
}

fn told(text: &str) -> ToldPair {
    let mut all = read(text).unwrap();
    assert_eq!(all.len(), 1);
    all.swap_remove(0).told
}

#[test]
fn every_form_of_a_pair_is_read_as_trl_reads_it() {
    let texts = |prompt: &str, chosen: &str, rejected: &str| ToldPair::Texts {
        prompt: prompt.into(),
        answers: [chosen.into(), rejected.into()],
    };
    let blue = told(r#"{"prompt":"The sky is","chosen":" blue.","rejected":" green.","score":1}"#);
    assert_eq!(blue, texts("The sky is", " blue.", " green."));
    let implicit = told(r#"{"chosen":"The sky is blue.","rejected":"The sky is green."}"#);
    assert_eq!(implicit, blue);
    let implicit = told(r#"{"chosen":"é bé","rejected":"é bä"}"#);
    assert_eq!(implicit, texts("é b", "é", "ä"));
    assert_eq!(told(r#"{"chosen":"a","rejected":"b"}"#), texts("", "a", "b"));
    // One of which the other is the beginning.
    assert_eq!(told(r#"{"chosen":"a b","rejected":"a"}"#), texts("a", " b", ""));

    let message = |role: &str, text: &str| Message::from((role, text));
    let asked = r#"[{"role":"user","content":"Colour?"}]"#;
    let [chosen, rejected] =
        ["Blue.", "Green."].map(|answer| format!(r#"[{{"role":"assistant","content":"{answer}"}}]"#));
    let explicit =
        told(&format!(r#"{{"prompt":{asked},"chosen":{chosen},"rejected":{rejected},"tools":null}}"#));
    let ToldPair::Messages { prompt, answers, variables } = &explicit else { panic!() };
    assert_eq!(prompt, &[message("user", "Colour?")]);
    assert_eq!(answers, &[[message("assistant", "Blue.")], [message("assistant", "Green.")]]);
    assert!(variables.is_empty());
    let whole = |answer: &str| format!("{},{}", &asked[..asked.len() - 1], &answer[1..]);
    let (chosen, rejected) = (whole(&chosen), whole(&rejected));
    assert_eq!(told(&format!(r#"{{"chosen":{chosen},"rejected":{rejected}}}"#)), explicit);
    let named = format!(r#"{{"prompt":"Colour?","chosen":{chosen},"rejected":{rejected},"tools":"[{{}}]"}}"#);
    let ToldPair::Messages { prompt, variables, .. } = told(&named) else { panic!() };
    assert!(prompt.len() == 1 && variables["tools"].as_array().unwrap().len() == 1);
}

#[test]
fn a_line_that_is_no_pair_is_named() {
    let good = r#"{"prompt":"a","chosen":"b","rejected":"c"}"#;
    for (line, why) in [
        ("[]", "not a JSON object; a pair is {\"prompt\""),
        ("{", "not JSON: "),
        (r#"{"prompt":"a","chosen":"b"}"#, "no field \"rejected\" in this line"),
        (r#"{"prompt":[],"chosen":"b","rejected":"c"}"#, "the prompt is not a text as the answers are"),
        (r#"{"prompt":1,"chosen":[],"rejected":[]}"#, "the prompt is not a list of messages"),
        (r#"{"chosen":"b","rejected":[]}"#, "one answer is a text and the other a list"),
        (r#"{"chosen":1,"rejected":2}"#, "the answers are neither texts nor lists"),
        (r#"{"chosen":[{"role":"assistent","content":""}],"rejected":[]}"#, "chosen: message 1: the role"),
        (r#"{"prompt":[],"chosen":[],"rejected":[]}"#, "an answer has no message"),
        (r#"{"chosen":[],"rejected":[],"tools":{}}"#, "the field \"tools\" is not a list"),
    ] {
        let said = read(&format!("{good}\n\n{line}\n")).unwrap_err();
        assert!(said.starts_with(&format!("p.jsonl:3: {why}")), "{said}");
    }
}

fn entries(lines: &[&str]) -> Vec<PairEntry> {
    read(&lines.join("\n")).unwrap()
}

#[test]
fn an_answer_begins_where_the_tokens_differ() {
    // A byte is a token, but of "a" and "b" next to each other one is made.
    let encode = |told: &ToldPair| {
        let ToldPair::Texts { prompt, answers } = told else { panic!() };
        let ids = |text: &str| text.replace("ab", "~").bytes().map(u32::from).collect::<Vec<_>>();
        let side = |answer: &String| ids(&format!("{prompt}{answer}"));
        Ok(PairTokens { prompt: ids(prompt), sides: answers.each_ref().map(side) })
    };
    let line = |prompt: &str, chosen: &str, rejected: &str| {
        format!(r#"{{"prompt":"{prompt}","chosen":"{chosen}","rejected":"{rejected}"}}"#)
    };
    let lines = [
        line("xya", "c", "de"),
        line("xya", "bc", "de"),
        line("xyz", "same", "same"),
        line("xyzxyz", "bc", "d"),
        line("xy", "cccccccc", "d"),
        line("", "c", "dd"),
        line("", "cd", "dd"),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let (set, cut) = pairs::set(&entries(&lines), 5, &encode).unwrap();
    assert_eq!(cut, CutPairs { shortened: 1, left_out: 2, same: 1 });
    let Samples::Pairs(pairs) = &set.samples else { panic!() };
    let shown = |pair: &Pair| {
        pair.sides.each_ref().map(|side| {
            let text: String = side.ids.iter().map(|&id| id as u8 as char).collect();
            let begins = side.learned.iter().position(|learned| *learned).unwrap();
            assert!(side.learned[begins..].iter().all(|learned| *learned));
            text[..begins].to_string() + "|" + &text[begins..]
        })
    };
    let all: Vec<[String; 2]> = pairs.iter().map(shown).collect();
    let expected = [["xya|c", "xya|de"], ["xy|~c", "xy|ade"], ["xy|cccc", "xy|d"], ["|cd", "|dd"]];
    assert_eq!(all, expected.map(|sides| sides.map(String::from)));
    assert_eq!((set.documents, set.tokens(), set.learned()), (4, 31, 1 + 2 + 2 + 3 + 4 + 1 + 1 + 1));
    let refused = pairs::set(&entries(&lines[..1]), 5, &|_| Err(glass::Error::invalid("it", "no")));
    assert!(refused.unwrap_err().to_string().contains("p.jsonl:1: it: no"));
}

#[test]
fn texts_end_with_a_token_and_messages_as_the_template_says() {
    let tokenizer = Tokenizer::gpt2().with_specials(&DEFAULT_SPECIALS).unwrap();
    let end = tokenizer.end_of_text();
    let blue = told(r#"{"prompt":"The sky is","chosen":" blue<|endoftext|>","rejected":" green"}"#);
    let tokens = blue.tokens(None, &tokenizer, end).unwrap();
    let text = |ids: &[u32]| tokenizer.decode(ids).unwrap();
    assert_eq!(tokens.prompt.len(), 3);
    let said = tokens.sides.each_ref().map(|side| String::from_utf8(text(side)).unwrap());
    assert_eq!(said, ["The sky is blue<|endoftext|>", "The sky is green<|endoftext|>"]);
    assert!(tokens.sides.iter().all(|side| side.len() == 5 && side.last() == end.as_ref()));

    let asked = told(
        r#"{"prompt":[{"role":"user","content":"Hi"}],
            "chosen":[{"role":"assistant","content":"Yes"}],"rejected":[{"role":"assistant","content":"No"}]}"#
            .replace('\n', "")
            .as_str(),
    );
    let refused = asked.tokens(None, &tokenizer, end).unwrap_err().to_string();
    assert!(refused.contains("no chat template"), "{refused}");
    let template = Template::new(default_template(), None, None).unwrap();
    let tokens = asked.tokens(Some(&template), &tokenizer, end).unwrap();
    let prompt = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(String::from_utf8(text(&tokens.prompt)).unwrap(), prompt);
    let said = tokens.sides.each_ref().map(|side| String::from_utf8(text(side)).unwrap());
    assert_eq!(said, ["Yes", "No"].map(|answer| format!("{prompt}{answer}<|im_end|>\n")));
    assert!(asked.is_conversation() && !blue.is_conversation());
}
