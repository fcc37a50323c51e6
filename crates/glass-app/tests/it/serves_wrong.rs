//! The service: what it refuses, and how it says so.

use serde_json::{Value, json};

use crate::service::Service;

#[test]
fn wrong_fields_are_named() {
    let service = Service::start("serve-fields", &[]);
    let cases: &[(Value, &str, &str)] = &[
        (json!({"temprature": 1}), "temprature", "not known here"),
        (json!({"temperature": "hot"}), "temperature", "found the text"),
        (json!({"temperature": 2.5}), "temperature", "from 0"),
        (json!({"temperature": -1}), "temperature", "from 0"),
        (json!({"top_p": 1.5}), "top_p", "from 0 to 1"),
        (json!({"presence_penalty": 3}), "presence_penalty", "from -2 to 2"),
        (json!({"logit_bias": {"1": 101}}), "logit_bias", "from -100 to 100"),
        (json!({"logit_bias": {"a": 1}}), "logit_bias", "not a token id"),
        (json!({"logit_bias": {"99999": 1}}), "logit_bias", "not in the vocabulary"),
        (json!({"max_tokens": -1}), "max_tokens", "at least 0"),
        (json!({"max_tokens": 0}), "max_tokens", "at least 1"),
        (json!({"max_tokens": 5, "max_completion_tokens": 6}), "max_tokens", "one of them"),
        (json!({"n": 0}), "n", "from 1"),
        (json!({"seed": 1.5}), "seed", "whole number"),
        (json!({"stop": ""}), "stop", "empty"),
        (json!({"stop": 5}), "stop", "a text or a list"),
        (json!({"top_logprobs": 21, "logprobs": true}), "top_logprobs", "0 to 20"),
        (json!({"top_logprobs": 2}), "top_logprobs", "logprobs: true"),
        (json!({"store": true}), "store", "only false"),
        (json!({"tools": [{"type": "function"}]}), "tools", "cannot do that"),
        (json!({"modalities": ["audio"]}), "modalities", "cannot do that"),
        (json!({"stream_options": {"include_usage": true}}), "stream_options", "stream: true"),
        (json!({"response_format": {"type": "xml"}}), "response_format.type", "json_schema"),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "integer", "maximum": 1e17}}}}),
            "response_format",
            "2^53",
        ),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "integer", "minimum": 3, "maximum": 2}}}}),
            "response_format",
            "at least 3 and at most 2",
        ),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"$ref": "#"}}}}),
            "response_format",
            "cannot be enforced",
        ),
        (
            json!({"look": {"edits": [{"site": "block.3.residual", "add": vec![3e38; 256]}, {"site": "block.4.residual", "add": vec![3e38; 256]}]}}),
            "edits",
            "smaller",
        ),
        (json!({"look": {"sites": ["block.9.residual"]}}), "look.sites[0]", "8 blocks"),
        (
            json!({"look": {"edits": [{"ablate": {"layer": 0, "head": 9}}]}}),
            "look.edits[0].ablate",
            "no head 9",
        ),
        (
            json!({"chat_template_kwargs": {"enable_thinking": false}}),
            "chat_template_kwargs.enable_thinking",
            "does not read",
        ),
        (
            json!({"chat_template_kwargs": {"add_generation_prompt": false}}),
            "chat_template_kwargs.add_generation_prompt",
            "itself",
        ),
        (json!({"chat_template_kwargs": {"bos_token": ""}}), "chat_template_kwargs.bos_token", "files"),
        (json!({"messages": []}), "messages", "empty"),
        (json!({"messages": "Hi"}), "messages", "a list"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
            "messages[0].content[0]",
            "image_url",
        ),
        (
            json!({"messages": [{"role": "user", "content": "Hi", "tool_calls": []}]}),
            "messages[0].tool_calls",
            "not known",
        ),
        (json!({"messages": [{"content": "Hi"}]}), "messages[0]", "role"),
        (json!({"messages": [{"role": "pirate", "content": "Hi"}]}), "messages[0].role", "pirate"),
    ];
    for (more, param, says) in cases {
        let mut body = json!({"messages": [{"role": "user", "content": "Hi"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        service.post("/v1/chat/completions", &body).refuses(400, param, says);
    }
    let neutral = json!({"messages": [{"role": "user", "content": "Hi", "name": null}], "max_tokens": 1, "user": "me", "metadata": {"a": "b"}, "store": false,
        "n": 1, "tools": [], "tool_choice": "auto", "service_tier": "auto", "parallel_tool_calls": true, "stop": null,
        "temperature": null, "response_format": {"type": "text"}, "logit_bias": {}});
    assert_eq!(service.post("/v1/chat/completions", &neutral).status, 200);
    for (path, body, param, says) in [
        ("/v1/completions", json!({"prompt": "Hi", "suffix": "x"}), "suffix", "cannot do that"),
        ("/v1/completions", json!({"prompt": "Hi", "best_of": 2}), "best_of", "same number"),
        ("/v1/completions", json!({"prompt": [1, "x"]}), "prompt", "a list of ids"),
        ("/v1/completions", json!({"prompt": [99999]}), "prompt", "not in the vocabulary"),
        ("/v1/completions", json!({}), "prompt", "missing"),
        ("/v1/embeddings", json!({"input": "Hi", "dimensions": 3}), "dimensions", "256"),
        (
            "/v1/responses",
            json!({"input": "Hi", "previous_response_id": "x"}),
            "previous_response_id",
            "cannot",
        ),
        ("/detokenize", json!({"tokens": [99999]}), "tokens", "not in the vocabulary"),
    ] {
        service.post(path, &body).refuses(400, param, says);
    }
    let long = json!({"prompt": "dog ".repeat(600)});
    let reply = service.post("/v1/completions", &long);
    reply.refuses(400, "prompt", "the model's context has 512");
    assert_eq!(reply.json()["error"]["code"], "context_length_exceeded");
    let other = json!({"model": "gpt-4", "messages": [{"role": "user", "content": "Hi"}]});
    let reply = service.post("/v1/chat/completions", &other);
    reply.refuses(404, "model", "gpt-4");
    assert_eq!(reply.json()["error"]["code"], "model_not_found");
}

#[test]
fn bodies_that_are_no_json_are_refused() {
    let service = Service::start("serve-bodies", &["--max-body", "16"]);
    let post = |kind: &str, body: &[u8]| service.request("POST", "/v1/chat/completions", &[kind], body);
    let json = "Content-Type: application/json";
    let deep = ["{\"messages\":", &"[".repeat(5000)].concat();
    for body in [
        &b""[..],
        b"{",
        b"[]",
        b"\"x\"",
        b"{\"messages\":[]} {}",
        b"\xff\xfe",
        b"{\"seed\":1,\"seed\":2,\"messages\":[]}",
        b"{\"temperature\":1e999}",
        b"{\"seed\":99999999999999999999999}",
        deep.as_bytes(),
    ] {
        let reply = post(json, body);
        assert_eq!(reply.status, 400, "{}: {}", String::from_utf8_lossy(body), reply.text());
    }
    post("Content-Type: text/plain", b"{}").refuses(415, "", "application/json");
    post(json, &vec![b' '; 17 << 10]).refuses(413, "", "--max-body");
    service.get("/nothing").refuses(404, "", "/nothing");
    service.request("PUT", "/health", &[], b"").refuses(405, "", "PUT");
    // A head without an end, and one that is too long.
    let head = format!("GET /health HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(100 << 10));
    assert_eq!(service.raw(head.as_bytes()).status, 431);
    assert_eq!(service.get("/health").status, 200);
}

#[test]
fn keys_hosts_and_origins_are_checked() {
    let service = Service::start(
        "serve-keys",
        &["--api-key", "one", "--api-key", "two", "--cors", "https://example.org"],
    );
    service.get("/v1/models").refuses(401, "", "a key is needed");
    for (key, status) in [
        ("Bearer one", 200),
        ("bearer two", 200),
        ("Bearer three", 401),
        ("Bearer on", 401),
        ("Basic one", 401),
        ("Bearer ", 401),
    ] {
        let head = format!("Authorization: {key}");
        assert_eq!(service.request("GET", "/v1/models", &[&head], b"").status, status, "{key}");
    }
    assert_eq!((service.get("/health").status, service.get("/").status), (200, 200));
    assert_eq!(service.get("/metrics").status, 401);
    service.request("GET", "/health", &["Host: evil.org"], b"").refuses(403, "", "evil.org");
    service.request("GET", "/health", &["Origin: https://evil.org"], b"").refuses(403, "", "--cors");
    assert_eq!(service.request("GET", "/health", &["Host: localhost:1"], b"").status, 200);
    let allowed = service.request("GET", "/health", &["Origin: https://example.org"], b"");
    assert!(allowed.head.contains("access-control-allow-origin: https://example.org"), "{}", allowed.head);
    let id = service.request("GET", "/health", &["X-Request-Id: mine-1"], b"");
    assert!(id.head.contains("x-request-id: mine-1"));
    let odd = service.request("GET", "/health", &["X-Request-Id: a b\"c"], b"");
    assert!(!odd.head.contains("a b\"c"));
}
