//! `POST /v1/explain`: what the page asks, over HTTP.

use std::fs;

use serde_json::{Value, json};

use crate::program::{Scratch, TINY, book, glass};
use crate::service::{Reply, Service};

/// The last line of an answer.
fn answer(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.head.contains("content-type: application/x-ndjson"), "{}", reply.head);
    let text = reply.text();
    let last: Value = serde_json::from_str(text.lines().last().expect("a line")).unwrap();
    last["answer"].clone()
}

fn ask(service: &Service, question: &Value) -> Value {
    answer(&service.post("/v1/explain", question))
}

#[test]
fn numbers_are_those_of_look() {
    let service = Service::start("explain", &[]);
    let text = "The ball is red. Lily likes her red";
    let scratch = Scratch::new("explain-look");
    let look = glass(&scratch.0, &["look", text, "--json", "--top", "5"], b"").json();
    let tokens = ask(&service, &json!({"ask": "tokens", "text": text}));
    let ids = &tokens["ids"];
    let of_look: Vec<&Value> = look["tokens"].as_array().unwrap().iter().map(|token| &token["id"]).collect();
    assert_eq!(ids.as_array().unwrap().iter().collect::<Vec<_>>(), of_look);

    let next = ask(&service, &json!({"ask": "next", "ids": ids, "top": 5}));
    let lens = ask(&service, &json!({"ask": "lens", "ids": ids, "top": 5}));
    let same = |told: &Value, look: &Value| {
        for (told, look) in told.as_array().unwrap().iter().zip(look.as_array().unwrap()) {
            assert_eq!((&told["id"], &told["logprob"]), (&look["id"], &look["logprob"]));
        }
    };
    same(&next["top"], &look["next"]);
    for (layer, look) in look["lens"].as_array().unwrap().iter().enumerate() {
        same(&lens["layers"][layer][0], look);
    }
    let last = ask(&service, &json!({"ask": "last", "ids": ids}));
    for name in ["logit", "parts", "rest", "positions"] {
        assert_eq!(last[name], look["traced"][name], "{name}");
    }
}

#[test]
fn long_questions_tell_how_far_they_are() {
    let service = Service::start("explain-frames", &[]);
    let text = "Lily has a red ball. She throws the";
    let ids = &ask(&service, &json!({"ask": "tokens", "text": text}))["ids"];
    let reply = service.post("/v1/explain", &json!({"ask": "why", "ids": ids}));
    let text = reply.text();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() > 2, "{text}");
    assert!(lines[..lines.len() - 1].iter().all(|line| line["frame"]["of"].is_number()), "{text}");
    assert!(lines.last().unwrap()["answer"]["sentence"].is_string(), "{text}");
}

#[test]
fn wrong_questions_are_refused() {
    let service = Service::start("explain-wrong", &[]);
    let post = |question: &Value| service.post("/v1/explain", question);
    post(&json!({"ask": "next", "ids": []})).refuses(400, "ids", "at least one token");
    post(&json!({"ask": "nothing"})).refuses(400, "question", "unknown variant");
    post(&json!({"ask": "run"})).refuses(400, "run", "--run DIR");
    service
        .request("POST", "/v1/explain", &["Content-Type: application/json"], b"{")
        .refuses(400, "question", "EOF");
    assert_eq!(service.get("/v1/explain").status, 405);
    let with_key = Service::start("explain-key", &["--api-key", "secret-of-this-test"]);
    assert_eq!(with_key.post("/v1/explain", &json!({"ask": "model"})).status, 401);
}

#[test]
fn a_served_look_opens_in_the_page() {
    let service = Service::start("explain-page", &[]);
    let look = json!({"lens": 1, "edits": [{"ablate": {"layer": 3, "head": 1}, "positions": [0, 2]},
                                            {"site": "block.2.mlp.out", "silence": true}]});
    let reply = service.ask("/v1/look", &json!({"prompt": [1000, 35, 36], "look": look}));
    let page = reply["look"]["page"].as_str().expect("a fragment");
    let (ids, edits) =
        page.strip_prefix("#flow?i=").and_then(|rest| rest.split_once("&e=")).expect("ids and edits");
    assert_eq!(ids, "rs.z.10");
    let plain = edits.replace("%5B", "[").replace("%5D", "]").replace("%7B", "{").replace("%7D", "}");
    let plain = plain.replace("%22", "\"").replace("%3A", ":").replace("%2C", ",").replace("%2E", ".");
    let edits: Value = serde_json::from_str(&plain).unwrap();
    assert_eq!(
        edits,
        json!([{"silence": "block.3.attention.head.1", "at": [0, 2]}, {"silence": "block.2.mlp"}])
    );
    // The page's own answer with these edits is the one that was served.
    let next = ask(&service, &json!({"ask": "next", "ids": [1000, 35, 36], "edits": edits, "top": 1}));
    assert_eq!(next["top"][0]["logprob"], reply["next"][0]["logprob"]);
    // A change that the page does not have has no address.
    let look = json!({"edits": [{"site": "block.2.residual", "add": vec![0.5; 256]}]});
    let reply = service.ask("/v1/look", &json!({"prompt": [1, 2], "look": look}));
    assert!(reply["look"]["page"].is_null());
}

#[test]
fn a_run_is_watched() {
    let scratch = Scratch::new("explain-run");
    fs::write(scratch.0.join("book.txt"), book()).unwrap();
    let arguments = [
        &["train", "--data", "book.txt", "--out", "m", "--steps", "6", "--look", "--sample-every", "2"][..],
        &["--checkpoint-every", "3", "--eval-every", "3", "--plain"],
        &TINY,
    ]
    .concat();
    let done = glass(&scratch.0, &arguments, b"");
    assert_eq!(done.status, 0, "{}", done.stderr);
    let folder = scratch.0.join("m");
    let run = |more: &[&str]| {
        let service = Service::start("explain-run-service", more);
        assert_eq!(ask(&service, &json!({"ask": "model"}))["run"], true);
        ask(&service, &json!({"ask": "run"}))
    };
    let told = run(&["--run", folder.to_str().unwrap()]);
    // The folder of a run is a model, too.
    assert_eq!(told["log"], run(&[folder.to_str().unwrap()])["log"]);
    let steps = |name: &str| -> Vec<u64> {
        told[name].as_array().unwrap().iter().map(|line| line["step"].as_u64().unwrap()).collect()
    };
    assert_eq!(
        (steps("log"), steps("samples"), steps("looks")),
        ((1..=6).collect(), vec![2, 4, 6], vec![3, 6])
    );
    assert!(
        told["samples"][0]["text"].is_string() && told["looks"][1]["heads"][0][0]["induction"].is_number()
    );

    // A run that continues drops samples of steps that it takes again.
    let samples = folder.join("train/samples.jsonl");
    fs::write(&samples, fs::read_to_string(&samples).unwrap() + "{\"step\":9,\"text\":\"late\"}\n").unwrap();
    let more = ["train", "--out", "m", "--resume", "--steps", "8", "--plain"];
    let resumed = glass(&scratch.0, &more, b"");
    assert_eq!(resumed.status, 0, "{}", resumed.stderr);
    let kept = fs::read_to_string(&samples).unwrap();
    assert_eq!(kept.lines().count(), 4, "{kept}");
    assert!(!kept.contains("late"), "{kept}");

    let refused = glass(&scratch.0, &["serve", "--run", "nowhere"], b"");
    assert_eq!(refused.status, 2);
    assert!(refused.stderr.contains("holds no run"), "{}", refused.stderr);
}

#[test]
fn questions_change_no_byte_of_an_answer_beside_them() {
    let service = Service::start("explain-beside", &[]);
    let asked = json!({"prompt": "Once upon a time", "max_tokens": 120, "seed": 5, "temperature": 1.0});
    let text = |reply: Value| reply["choices"][0]["text"].as_str().expect("text").to_string();
    let alone = text(service.ask("/v1/completions", &asked));
    let question = json!({"ask": "next", "ids": [300, 301, 302, 303], "top": 3});
    let answer_alone = ask(&service, &question);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut count = 0u32;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                // Another text in between, so that each answer needs a pass.
                let other: Vec<u32> = (0..40).map(|at| 256 + (count * 7 + at) % 1000).collect();
                ask(&service, &json!({"ask": "heads", "ids": other, "block": 3}));
                assert_eq!(ask(&service, &question), answer_alone);
                count += 1;
            }
            count
        });
        for _ in 0..3 {
            assert_eq!(text(service.ask("/v1/completions", &asked)), alone);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(asking.join().expect("it asks") > 0);
    });
}
