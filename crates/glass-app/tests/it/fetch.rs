//! `glass fetch` against a server in this process, honest and otherwise.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::hub_server::{COMMIT, Files, Reply, Request, Server};
use crate::program::{Ended, Scratch, command, model};

const WEIGHTS: &str = "model.safetensors";

/// The tiny model, with files that nobody needs.
fn tiny() -> Files {
    let mut files = Files::default();
    for (name, content) in model() {
        files = files.with(name, content, name == WEIGHTS);
    }
    files
        .with("README.md", b"# Tiny", false)
        .with("pytorch_model.bin", b"the same again", true)
        .with("onnx/model.onnx", b"and again", true)
        .with("../evil", b"outside", false)
}

/// `glass ARGUMENTS` with a cache in `folder` and this server.
fn prepared(folder: &Path, server: &Server, arguments: &[&str]) -> Command {
    let mut command = command(folder, arguments);
    for name in
        ["HF_HUB_OFFLINE", "HF_HUB_CACHE", "HF_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
    {
        command.env_remove(name);
    }
    command
        .env("HF_HOME", folder.join("hf"))
        .env("HF_ENDPOINT", &server.address)
        .env("NO_PROXY", "127.0.0.1");
    command.env("GLASS_FETCH_PAUSE", "0.01");
    command
}

fn ended(command: &mut Command) -> Ended {
    let done = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { status: done.status.code().unwrap_or(-1), stdout: text(done.stdout), stderr: text(done.stderr) }
}

fn fetch(scratch: &Scratch, server: &Server, more: &[&str]) -> Ended {
    ended(&mut prepared(&scratch.0, server, &[&["fetch", "me/tiny"], more].concat()))
}

fn repository(scratch: &Scratch) -> PathBuf {
    scratch.0.join("hf/hub/models--me--tiny")
}

fn snapshot(scratch: &Scratch) -> PathBuf {
    repository(scratch).join("snapshots").join(COMMIT)
}

/// A server that answers as `other` says, or else honestly.
fn server(files: &Files, other: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Server {
    let files = files.clone();
    Server::new(move |request| other(request).unwrap_or_else(|| files.answer(request)))
}

/// A failed fetch leaves no file that could be taken for whole.
fn nothing_whole(scratch: &Scratch, files: &Files, name: &str) {
    assert!(!snapshot(scratch).join(name).exists());
    assert!(!repository(scratch).join("blobs").join(files.etag(name)).exists());
    assert!(!repository(scratch).join("refs/main").exists());
}

fn partial(scratch: &Scratch, files: &Files, name: &str) -> PathBuf {
    repository(scratch).join("blobs").join(format!("{}.incomplete", files.etag(name)))
}

/// Fetched, byte for byte.
fn all_right(scratch: &Scratch, files: &Files, done: &Ended) {
    assert_eq!(done.status, 0, "{}", done.stderr);
    for (name, content) in model() {
        assert!(fs::read(snapshot(scratch).join(name)).unwrap() == *content, "{name}");
    }
    assert_eq!(fs::read_to_string(repository(scratch).join("refs/main")).unwrap(), COMMIT);
    assert!(!partial(scratch, files, WEIGHTS).exists());
}

#[test]
fn what_is_needed_is_fetched_once_and_then_used_by_name() {
    let (scratch, files) = (Scratch::new("fetch-whole"), tiny());
    let server = Server::of(&files);
    let absent = ended(&mut prepared(&scratch.0, &server, &["generate", "-m", "me/tiny", "The"]));
    assert!(
        absent.status == 2 && absent.stderr.contains("`glass fetch me/tiny` gets it"),
        "{}",
        absent.stderr
    );

    let done = fetch(&scratch, &server, &[]);
    all_right(&scratch, &files, &done);
    assert_eq!(done.stdout.trim_end(), snapshot(&scratch).display().to_string());
    let names = fs::read_dir(snapshot(&scratch)).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    let mut needed: Vec<String> = model().iter().map(|(name, _)| name.clone()).collect();
    names.sort();
    needed.sort();
    assert_eq!(names, needed);
    #[cfg(unix)]
    for (name, _) in model() {
        let link = fs::read_link(snapshot(&scratch).join(name)).unwrap();
        assert_eq!(link, Path::new("../../blobs").join(files.etag(name)));
    }

    let before = server.seen().len();
    let again = fetch(&scratch, &server, &[]);
    assert_eq!((again.status, again.stdout), (0, done.stdout));
    assert!(again.stderr.contains("the cache has all of it"), "{}", again.stderr);
    assert_eq!(server.seen().len(), before + 1, "only the list is asked for");

    for more in [&["generate", "The", "--tokens", "2"][..], &["tokens", "The"]] {
        let used = ended(&mut prepared(&scratch.0, &server, &[more, &["-m", "me/tiny"]].concat()));
        assert_eq!(used.status, 0, "{}", used.stderr);
    }
    let verified = ended(&mut prepared(&scratch.0, &server, &["weights", "me/tiny"]));
    assert_eq!(verified.status, 0, "{}", verified.stderr);
}

#[test]
fn json_and_dry_runs_say_what_there_is() {
    let (scratch, files) = (Scratch::new("fetch-json"), tiny());
    let server = Server::of(&files);
    let planned = fetch(&scratch, &server, &["--dry-run"]);
    assert_eq!(planned.status, 0, "{}", planned.stderr);
    assert!(planned.stdout.contains("config.json") && !planned.stdout.contains("onnx"), "{}", planned.stdout);
    assert!(!scratch.0.join("hf").exists());
    let total: usize = model().iter().map(|(_, content)| content.len()).sum();
    let planned = fetch(&scratch, &server, &["--plan", "--json"]).json();
    let done = fetch(&scratch, &server, &["--json"]).json();
    for json in [&planned, &done] {
        assert_eq!(
            (json["fetched_bytes"].as_u64(), json["bytes"].as_u64()),
            (Some(total as u64), Some(total as u64))
        );
        assert_eq!((json["repository"].as_str(), json["commit"].as_str()), (Some("me/tiny"), Some(COMMIT)));
        assert_eq!(json["files"].as_array().unwrap().len(), model().len());
    }
    assert_eq!(fetch(&scratch, &server, &["--json"]).json()["fetched_bytes"], 0);
}

#[test]
fn a_connection_that_breaks_off_is_taken_up_where_it_ended() {
    let (scratch, files) = (Scratch::new("fetch-broken"), tiny());
    // Every answer ends after 3,000 bytes.
    let honest = files.clone();
    let server = server(&files, move |request| {
        let reply = request.is_for(WEIGHTS).then(|| honest.answer(request));
        reply.map(|reply| {
            let end = reply.body.len().min(3000);
            reply.ending_after(end)
        })
    });
    let done = fetch(&scratch, &server, &[]);
    all_right(&scratch, &files, &done);
    let begins: Vec<usize> = server.seen_for(WEIGHTS).iter().map(Request::begin).collect();
    let expected: Vec<usize> = (0..files.content(WEIGHTS).len()).step_by(3000).collect();
    assert!(begins == expected && begins.len() > 1, "{begins:?}");
    assert!(done.stderr.contains("the connection broke off"), "{}", done.stderr);
}

#[test]
fn another_run_continues_what_one_left() {
    let (scratch, files) = (Scratch::new("fetch-resumed"), tiny());
    let honest = files.clone();
    let server = server(&files, move |request| match request.before {
        _ if !request.is_for(WEIGHTS) => None,
        0 => Some(honest.answer(request).ending_after(1234)),
        1..5 => Some(Reply::status(503)),
        _ => None,
    });
    let failed = fetch(&scratch, &server, &[]);
    assert_eq!(failed.status, 1);
    assert!(
        failed.stderr.contains("5 times in a row") && failed.stderr.contains(WEIGHTS),
        "{}",
        failed.stderr
    );
    assert_eq!(fs::metadata(partial(&scratch, &files, WEIGHTS)).unwrap().len(), 1234);
    nothing_whole(&scratch, &files, WEIGHTS);
    let incomplete = ended(&mut prepared(&scratch.0, &server, &["generate", "-m", "me/tiny", "The"]));
    assert_eq!(incomplete.status, 2, "{}", incomplete.stderr);
    let done = fetch(&scratch, &server, &[]);
    all_right(&scratch, &files, &done);
    assert_eq!(server.seen_for(WEIGHTS).last().unwrap().begin(), 1234);
}

#[test]
fn a_killed_run_is_continued() {
    let (scratch, files) = (Scratch::new("fetch-killed"), tiny());
    let honest = files.clone();
    let server = server(&files, move |request| {
        let is_first = request.is_for(WEIGHTS) && request.before == 0;
        is_first
            .then(|| Reply { stalls: Duration::from_secs(20), ..honest.answer(request).ending_after(777) })
    });
    let mut child =
        prepared(&scratch.0, &server, &["fetch", "me/tiny"]).stderr(Stdio::null()).spawn().unwrap();
    let (begun, partial) = (Instant::now(), partial(&scratch, &files, WEIGHTS));
    while fs::metadata(&partial).map_or(0, |file| file.len()) < 777 {
        assert!(begun.elapsed() < Duration::from_secs(20), "nothing is written");
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    nothing_whole(&scratch, &files, WEIGHTS);
    let done = fetch(&scratch, &server, &[]);
    all_right(&scratch, &files, &done);
    assert_eq!(server.seen_for(WEIGHTS)[1].begin(), 777);
}

#[test]
fn a_server_without_ranges_sends_it_from_the_start() {
    let (scratch, files) = (Scratch::new("fetch-no-range"), tiny());
    let honest = files.clone();
    let server = server(&files, move |request| {
        let mut whole = request.clone();
        whole.headers.remove("range");
        let reply = request.is_for(WEIGHTS).then(|| honest.answer(&whole));
        reply.map(|reply| if request.before == 0 { reply.ending_after(2000) } else { reply })
    });
    let done = fetch(&scratch, &server, &[]);
    all_right(&scratch, &files, &done);
    assert_eq!(server.seen_for(WEIGHTS)[1].begin(), 2000);
}

#[test]
fn a_spoilt_rest_of_an_earlier_run_is_dropped() {
    for length in [500, 1 << 20] {
        let (scratch, files) = (Scratch::new(&format!("fetch-spoilt-{length}")), tiny());
        let server = Server::of(&files);
        let rest = partial(&scratch, &files, WEIGHTS);
        fs::create_dir_all(rest.parent().unwrap()).unwrap();
        fs::write(&rest, vec![b'x'; length]).unwrap();
        let done = fetch(&scratch, &server, &[]);
        all_right(&scratch, &files, &done);
    }
}

#[test]
fn a_silent_server_is_given_up_and_asked_again() {
    let (scratch, files) = (Scratch::new("fetch-silent"), tiny());
    let honest = files.clone();
    let server = server(&files, move |request| {
        let is_first = request.is_for(WEIGHTS) && request.before == 0;
        is_first
            .then(|| Reply { stalls: Duration::from_secs(20), ..honest.answer(request).ending_after(100) })
    });
    let begun = Instant::now();
    let arguments = ["fetch", "me/tiny"];
    let done = ended(prepared(&scratch.0, &server, &arguments).env("HF_HUB_DOWNLOAD_TIMEOUT", "1"));
    all_right(&scratch, &files, &done);
    assert!(begun.elapsed() < Duration::from_secs(15));
    assert_eq!(server.seen_for(WEIGHTS)[1].begin(), 100);
}

#[test]
fn a_wrong_size_is_an_error_that_names_both() {
    let files = tiny();
    let size = files.content(WEIGHTS).len();
    type Lie = fn(Reply, usize) -> Reply;
    let lies: [(&str, Lie); 3] = [
        ("10", |reply, _| Reply { body: reply.body[..10].to_vec(), ..reply }),
        ("longer", |reply, size| reply.with("Content-Length", size + 7)),
        // Without an announced length, the size shows only at the end.
        ("more", |reply, size| {
            let body = [format!("{:x}\r\n", size + 1).as_bytes(), &reply.body, b"x\r\n0\r\n\r\n"].concat();
            Reply { body, ..reply }.with("Transfer-Encoding", "chunked")
        }),
    ];
    for (found, lie) in lies {
        let (scratch, honest) = (Scratch::new(&format!("fetch-size-{found}")), files.clone());
        let server =
            server(&files, move |request| request.is_for(WEIGHTS).then(|| lie(honest.answer(request), size)));
        let done = fetch(&scratch, &server, &[]);
        let grouped = |n: usize| format!("{},{:03}", n / 1000, n % 1000);
        let found = if found == "longer" { grouped(size + 7) } else { found.into() };
        let said = format!("{WEIGHTS}: the server sends {found} bytes, and {} were expected", grouped(size));
        assert!(done.status == 1 && done.stderr.contains(&said), "{}", done.stderr);
        assert_eq!((server.seen_for(WEIGHTS).len(), done.stdout.as_str()), (1, ""));
        nothing_whole(&scratch, &files, WEIGHTS);
        assert!(!partial(&scratch, &files, WEIGHTS).exists());
    }
}

#[test]
fn a_wrong_hash_is_an_error_that_names_both() {
    for name in [WEIGHTS, "config.json"] {
        let (scratch, files) = (Scratch::new(&format!("fetch-hash-{name}")), tiny());
        let honest = files.clone();
        let server = server(&files, move |request| {
            request.is_for(name).then(|| {
                let mut reply = honest.answer(request);
                reply.body[7] ^= 1;
                reply
            })
        });
        let done = fetch(&scratch, &server, &[]);
        assert_eq!(done.status, 1);
        let expected = format!("{} was expected; the file was removed", files.etag(name));
        assert!(done.stderr.contains(&expected) && done.stderr.contains(name), "{}", done.stderr);
        nothing_whole(&scratch, &files, name);
        assert!(!partial(&scratch, &files, name).exists());
    }
}

#[test]
fn the_token_stays_with_its_server() {
    let (scratch, files) = (Scratch::new("fetch-token"), tiny());
    let content = files.content(WEIGHTS).to_vec();
    let elsewhere = Server::new(move |_| Reply { body: content.clone(), ..Reply::status(200) });
    let address = elsewhere.address.clone();
    let server = server(&files, move |request| {
        let renamed = request.path.strip_prefix("/api/models/me/tiny/").filter(|_| request.method == "GET");
        if request.header("authorization") != Some("Bearer hf_secret") {
            return Some(Reply::status(401));
        }
        match renamed {
            Some(rest) => Some(Reply::status(307).with("Location", format!("/api/models/me/renamed/{rest}"))),
            None if request.is_for(WEIGHTS) => {
                Some(Reply::status(302).with("Location", format!("{address}/cdn?of={WEIGHTS}&signed=%2F")))
            }
            None => None,
        }
    });
    let done = ended(prepared(&scratch.0, &server, &["fetch", "me/tiny"]).env("HF_TOKEN", "hf_secret\n"));
    all_right(&scratch, &files, &done);
    let seen = elsewhere.seen();
    assert_eq!((seen.len(), seen[0].header("authorization")), (1, None));
    // `hf auth login` keeps it in a file.
    fs::write(scratch.0.join("hf/token"), "hf_secret").unwrap();
    assert_eq!(fetch(&scratch, &server, &[]).status, 0);
    fs::write(scratch.0.join("hf/token"), "hf_other").unwrap();
    let refused = fetch(&scratch, &server, &[]);
    assert!(
        refused.status == 1 && refused.stderr.contains("hf/token, which may not read it"),
        "{}",
        refused.stderr
    );
}

#[test]
fn refusals_say_what_to_do() {
    for (status, hints) in [
        (401, ["HF_TOKEN", "private or gated, or does not exist"]),
        (403, ["HF_TOKEN", "ask for access"]),
        (404, ["me/tiny (v2)", "no such repository, or no such revision"]),
    ] {
        let scratch = Scratch::new(&format!("fetch-{status}"));
        let server = Server::new(move |_| Reply::status(status).with("X-Error-Message", "Not for you."));
        let done = fetch(&scratch, &server, &["--revision", "v2"]);
        assert_eq!((done.status, done.stdout.as_str()), (1, ""));
        for hint in hints.iter().chain(&["it says: Not for you."]) {
            assert!(done.stderr.contains(hint), "{}", done.stderr);
        }
        assert!(
            server.seen().len() == 1 && server.seen()[0].path.contains("/revision/v2?"),
            "{:?}",
            server.seen()
        );
    }
}

#[test]
fn a_busy_server_is_asked_again_when_it_says_so() {
    let (scratch, files) = (Scratch::new("fetch-busy"), tiny());
    let server = server(&files, |request| {
        let listing = request.path.starts_with("/api/");
        match request.before {
            0 if listing => Some(Reply::status(429).with("Retry-After", "0")),
            1 if listing => Some(Reply::status(500)),
            0 if request.is_for(WEIGHTS) => {
                Some(Reply::status(429).with("RateLimit", "\"resolvers\";r=0;t=0"))
            }
            1 if request.is_for(WEIGHTS) => Some(Reply::status(502)),
            _ => None,
        }
    });
    let begun = Instant::now();
    let done = ended(prepared(&scratch.0, &server, &["fetch", "me/tiny"]).env("GLASS_FETCH_PAUSE", "0.2"));
    all_right(&scratch, &files, &done);
    // The pauses of the two answers that ask for none: 0.4 s each, the second of a row.
    assert!(begun.elapsed() > Duration::from_millis(800));
    assert!(done.stderr.contains("asks for fewer requests (status 429)"), "{}", done.stderr);

    let always = Server::new(|_| Reply::status(500));
    let done = fetch(&scratch, &always, &[]);
    assert!(done.status == 1 && done.stderr.contains("status 500), 5 times in a row"), "{}", done.stderr);
    assert_eq!(always.seen().len(), 5);
    let tomorrow = Server::new(|_| Reply::status(429).with("Retry-After", "86400"));
    let done = fetch(&scratch, &tomorrow, &[]);
    assert!(done.status == 1 && done.stderr.contains("24 h 00 min"), "{}", done.stderr);
    assert_eq!(tomorrow.seen().len(), 1);
}

#[test]
fn offline_the_cache_of_other_programs_is_used() {
    let (scratch, files) = (Scratch::new("fetch-offline"), tiny());
    let server = Server::of(&files);
    let offline =
        |arguments: &[&str]| ended(prepared(&scratch.0, &server, arguments).env("HF_HUB_OFFLINE", "1"));
    let done = offline(&["fetch", "me/tiny"]);
    assert!(done.status == 1 && done.stderr.contains("HF_HUB_OFFLINE is set"), "{}", done.stderr);

    // As huggingface_hub leaves it where links are impossible.
    fs::create_dir_all(snapshot(&scratch)).unwrap();
    fs::create_dir_all(repository(&scratch).join("refs")).unwrap();
    fs::write(repository(&scratch).join("refs/main"), COMMIT).unwrap();
    let put = |name: &str| fs::write(snapshot(&scratch).join(name), files.content(name)).unwrap();
    model().iter().map(|(name, _)| name.as_str()).filter(|name| *name != WEIGHTS).for_each(put);
    let done = offline(&["fetch", "me/tiny"]);
    assert!(done.status == 1 && done.stderr.contains("lacks some of its files"), "{}", done.stderr);
    let done = offline(&["generate", "-m", "me/tiny", "The"]);
    assert!(
        done.status == 1 && done.stderr.contains("`glass fetch me/tiny` gets the rest"),
        "{}",
        done.stderr
    );
    put(WEIGHTS);
    let done = offline(&["fetch", "me/tiny"]);
    assert_eq!((done.status, done.stdout.trim_end()), (0, snapshot(&scratch).display().to_string().as_str()));
    assert_eq!(offline(&["generate", "-m", "me/tiny", "The", "--tokens", "2"]).status, 0);
    assert_eq!(server.seen().len(), 0);
    let done = fetch(&scratch, &server, &[]);
    assert!(done.stderr.contains("the cache has all of it"), "{}", done.stderr);
}

#[test]
fn the_environment_says_where_the_cache_is() {
    let (scratch, files) = (Scratch::new("fetch-where"), tiny());
    let server = Server::of(&files);
    for (name, value, place) in [
        ("HF_HUB_CACHE", "a", "a"),
        ("HF_HOME", "b", "b/hub"),
        ("XDG_CACHE_HOME", "c", "c/huggingface/hub"),
        ("HOME", "d", "d/.cache/huggingface/hub"),
    ] {
        let mut command = prepared(&scratch.0, &server, &["fetch", "me/tiny"]);
        for name in ["HF_HOME", "XDG_CACHE_HOME", "HUGGINGFACE_HUB_CACHE"] {
            command.env_remove(name);
        }
        let done = ended(command.env(name, scratch.0.join(value)));
        assert_eq!(done.status, 0, "{name}: {}", done.stderr);
        let place = scratch.0.join(place).join("models--me--tiny/snapshots").join(COMMIT);
        assert!(
            done.stdout.trim_end() == place.display().to_string() && place.join(WEIGHTS).exists(),
            "{name}"
        );
    }
}

#[test]
fn two_processes_fetch_a_file_once() {
    let (scratch, files) = (Scratch::new("fetch-two"), tiny());
    let honest = files.clone();
    let server = server(&files, move |request| {
        request.is_for(WEIGHTS).then(|| {
            std::thread::sleep(Duration::from_millis(300));
            honest.answer(request)
        })
    });
    let start = || {
        let mut command = prepared(&scratch.0, &server, &["fetch", "me/tiny"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for child in [start(), start(), start()] {
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    assert_eq!(server.seen_for(WEIGHTS).len(), 1);
    all_right(&scratch, &files, &fetch(&scratch, &server, &[]));
}

#[test]
fn without_links_files_are_whole() {
    let (scratch, files) = (Scratch::new("fetch-no-links"), tiny());
    let server = Server::of(&files);
    let done =
        ended(prepared(&scratch.0, &server, &["fetch", "me/tiny"]).env("HF_HUB_DISABLE_SYMLINKS", "1"));
    all_right(&scratch, &files, &done);
    assert!(fs::symlink_metadata(snapshot(&scratch).join(WEIGHTS)).unwrap().is_file());
    assert!(fetch(&scratch, &server, &[]).stderr.contains("the cache has all of it"));
}

#[test]
fn shards_are_those_of_the_index() {
    let weights = model().iter().find(|(name, _)| name == WEIGHTS).unwrap().1.clone();
    let length = u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&weights[8..8 + length]).unwrap();
    let index = |shard: &str| {
        let tensors = header.as_object().unwrap().keys().filter(|name| *name != "__metadata__");
        let map: serde_json::Map<_, _> = tensors.map(|name| (name.clone(), shard.into())).collect();
        serde_json::json!({ "weight_map": map }).to_string()
    };
    let files = |shard: &str| {
        let mut files = tiny();
        files.0.retain(|(name, _, _)| name != WEIGHTS);
        let index = index(shard);
        let files = files.with("model-00001-of-00001.safetensors", &weights, true);
        files.with("model.safetensors.index.json", index.as_bytes(), false).with(
            "model-of-old.safetensors",
            b"",
            true,
        )
    };
    let scratch = Scratch::new("fetch-shards");
    let server = Server::of(&files("model-00001-of-00001.safetensors"));
    let done = fetch(&scratch, &server, &[]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    assert!(!snapshot(&scratch).join("model-of-old.safetensors").exists());
    let used = ended(&mut prepared(&scratch.0, &server, &["weights", "me/tiny"]));
    assert_eq!(used.status, 0, "{}", used.stderr);

    for (shard, why) in [("../evil", "not below the model's folder"), ("gone.safetensors", "does not have")] {
        let scratch = Scratch::new("fetch-shards-wrong");
        let server = Server::of(&files(shard));
        let done = fetch(&scratch, &server, &[]);
        assert!(done.status == 1 && done.stderr.contains(why), "{}", done.stderr);
        assert!(!scratch.0.join("hf").exists());
    }
    let done = fetch(&Scratch::new("fetch-evil"), &server, &["--file", "../evil"]);
    assert!(done.status == 1 && done.stderr.contains("not below the model's folder"), "{}", done.stderr);
}

#[test]
fn one_of_several_gguf_files_is_chosen() {
    let scratch = Scratch::new("fetch-gguf");
    crate::program::put_model(&scratch.0, "m");
    assert_eq!(crate::program::glass(&scratch.0, &["convert", "m", "m.gguf"], b"").status, 0);
    let gguf = fs::read(scratch.0.join("m.gguf")).unwrap();
    let files = Files::default().with("README.md", b"", false).with("tiny-q8.gguf", &gguf, true);
    let files = files.with("tiny-q4.gguf", &[0; 2048], true);
    let server = Server::of(&files);
    let unclear = fetch(&scratch, &server, &[]);
    let said = ["tiny-q4.gguf (2.0 KiB)", "tiny-q8.gguf (", "--file tiny-"];
    assert!(
        unclear.status == 2 && said.iter().all(|said| unclear.stderr.contains(said)),
        "{}",
        unclear.stderr
    );
    let done = fetch(&scratch, &server, &["--file", "tiny-q8.gguf"]);
    assert_eq!(done.stdout.trim_end(), snapshot(&scratch).join("tiny-q8.gguf").display().to_string());
    let used = |name: &str| {
        ended(&mut prepared(&scratch.0, &server, &["generate", "The", "--tokens", "2", "-m", name]))
    };
    assert_eq!(used("me/tiny").status, 0, "{}", used("me/tiny").stderr);
    assert_eq!(fetch(&scratch, &server, &["--file", "tiny-q4.gguf"]).status, 0);
    assert!(used("me/tiny").stderr.contains("several files of me/tiny"), "{}", used("me/tiny").stderr);
    assert_eq!(used("me/tiny/tiny-q8.gguf").status, 0);
    assert!(used("me/tiny/tiny-q2.gguf").stderr.contains("`glass fetch me/tiny --file tiny-q2.gguf`"));
    let unknown = fetch(&scratch, &server, &["--file", "tiny.gguf"]);
    assert!(unknown.status == 2 && unknown.stderr.contains("tiny-q4.gguf"), "{}", unknown.stderr);
}

#[test]
fn a_mirror_without_sizes_in_its_list_names_them_with_the_files() {
    let (scratch, files) = (Scratch::new("fetch-mirror"), tiny());
    let honest = files.clone();
    let server = server(&files, move |request| {
        if request.path.starts_with("/api/") {
            let names: Vec<_> =
                honest.0.iter().map(|(name, _, _)| serde_json::json!({"rfilename": name})).collect();
            let body = serde_json::json!({"sha": COMMIT, "siblings": names}).to_string().into();
            return Some(Reply { body, ..Reply::status(200) });
        }
        // Large files are somewhere else; the redirect names their size and hash.
        let is_large = request.method == "HEAD" && request.path.ends_with(WEIGHTS);
        is_large.then(|| {
            let reply = Reply::status(302).with("Location", "http://127.0.0.1:1/cdn");
            let reply = reply.with("X-Linked-Size", honest.content(WEIGHTS).len());
            reply.with("X-Linked-Etag", format!("\"{}\"", honest.etag(WEIGHTS)))
        })
    });
    let done = fetch(&scratch, &server, &[]);
    all_right(&scratch, &files, &done);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error() {
    let (scratch, files) = (Scratch::new("fetch-full"), tiny());
    let server = Server::of(&files);
    let partial = partial(&scratch, &files, WEIGHTS);
    fs::create_dir_all(partial.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/dev/full", &partial).unwrap();
    let done = fetch(&scratch, &server, &[]);
    assert!(done.status == 1 && done.stderr.contains("no space is left on the disk"), "{}", done.stderr);
    nothing_whole(&scratch, &files, WEIGHTS);
}

#[test]
fn what_is_no_hub_is_said() {
    let scratch = Scratch::new("fetch-nothing");
    let page = Server::new(|_| Reply { body: b"<html>".to_vec(), ..Reply::status(200) });
    let done = fetch(&scratch, &page, &[]);
    assert!(
        done.status == 1 && done.stderr.contains("something other than a list of files"),
        "{}",
        done.stderr
    );
    let none = Server::of(&Files::default().with("README.md", b"", false));
    let done = fetch(&scratch, &none, &[]);
    assert!(done.status == 1 && done.stderr.contains("no model that Glass can open"), "{}", done.stderr);

    let done =
        ended(prepared(&scratch.0, &page, &["fetch", "me/tiny"]).env("HF_ENDPOINT", "http://127.0.0.1:1"));
    assert!(
        done.status == 1 && done.stderr.contains("127.0.0.1:1: no server answers there"),
        "{}",
        done.stderr
    );
    let done = ended(prepared(&scratch.0, &page, &["fetch", "me/tiny"]).env("HF_ENDPOINT", "hub.example"));
    assert!(done.status == 2 && done.stderr.contains("HF_ENDPOINT"), "{}", done.stderr);
    let round = Server::new(|request| Reply::status(302).with("Location", &request.path));
    let done = fetch(&scratch, &round, &[]);
    assert!(done.status == 1 && done.stderr.contains("redirects more than 10 times"), "{}", done.stderr);
    assert!(!scratch.0.join("hf").exists());
}
