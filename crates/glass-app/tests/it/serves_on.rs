//! The service in operation: clients that leave, a full queue, its end.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::service::{Reply, Service};

/// An answer that takes a while.
fn long(stream: bool) -> Value {
    json!({"prompt": "Once", "max_tokens": 500, "stream": stream, "temperature": 1, "seed": 1})
}

fn begin(service: &Service, body: &Value) -> std::net::TcpStream {
    let mut stream = service.connect();
    let bytes = service.bytes(
        "POST",
        "/v1/completions",
        &["Content-Type: application/json"],
        body.to_string().as_bytes(),
    );
    stream.write_all(&bytes).unwrap();
    stream
}

/// A body that keeps the engine busy: many long answers.
fn many(stream: bool) -> Value {
    let mut body = long(stream);
    body["n"] = 16.into();
    body["logit_bias"] = json!({"0": -100, "1": -100, "2": -100});
    body
}

#[test]
fn a_client_that_leaves_frees_its_place() {
    let service = Service::start("serve-leaves", &[]);
    for stream in [true, false] {
        let client = begin(&service, &many(stream));
        let until = Instant::now() + Duration::from_secs(30);
        while service.metric("glass_requests_running") == 0.0 {
            assert!(Instant::now() < until);
        }
        drop(client);
        service.wait_for("glass_requests_running", 0.0);
        service.wait_for("glass_requests_waiting", 0.0);
    }
    // Half a request holds nothing up.
    let mut half = service.connect();
    half.write_all(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{").unwrap();
    assert_eq!(service.get("/health").status, 200);
    let left = service.get("/metrics").text();
    assert!(left.contains("status=\"499\""), "{left}");
}

#[test]
fn a_full_queue_refuses() {
    let service = Service::start("serve-queue", &["--batch", "1", "--queue", "1"]);
    // The third comes while two are inside, unless this machine is held up just then.
    let refused = (0..20).find_map(|_| {
        let _clients: Vec<_> = (0..2).map(|_| begin(&service, &long(true))).collect();
        Some(service.post("/v1/completions", &long(false))).filter(|reply| reply.status != 200)
    });
    let refused = refused.expect("one of twenty is refused");
    refused.refuses(429, "", "waiting");
    assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
    let too_many = service.post("/v1/completions", &many(false));
    too_many.refuses(400, "", "holds 2");
}

#[test]
fn it_ends_once_its_answers_are_done() {
    let mut service = Service::start("serve-drains", &["--grace", "60"]);
    let mut client = begin(&service, &many(true));
    let mut first = [0; 512];
    let read = client.read(&mut first).unwrap();
    service.terminate();
    std::thread::sleep(Duration::from_millis(100));
    let health = service.get("/health");
    let refused = service.post("/v1/completions", &long(false));
    let mut rest = first[..read].to_vec();
    client.read_to_end(&mut rest).unwrap();
    let whole = Reply::of(&rest).text();
    assert!(
        whole.ends_with("data: [DONE]\n\n") && !whole.contains("\"error\""),
        "a running answer is finished"
    );
    assert_eq!(health.status, 503);
    refused.refuses(503, "", "being stopped");
    assert!(refused.head.contains("retry-after: "));
    assert_eq!(service.ended(), Some(0));
}

#[test]
fn answers_are_ended_after_the_grace_time() {
    let mut service = Service::start("serve-grace", &["--grace", "0"]);
    let mut client = begin(&service, &many(true));
    let mut first = [0; 512];
    let read = client.read(&mut first).unwrap();
    service.terminate();
    let mut rest = first[..read].to_vec();
    client.read_to_end(&mut rest).unwrap();
    let told = Reply::of(&rest).text();
    assert!(told.contains("\"error\"") && told.contains("being stopped"), "{told}");
    assert_eq!(service.ended(), Some(0));
}
