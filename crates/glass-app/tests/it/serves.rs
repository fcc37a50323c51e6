//! The service: every endpoint, with the built-in model.

use serde_json::{Value, json};

use crate::program::{Scratch, glass};
use crate::service::{Service, data};

fn chat(question: &str, more: Value) -> Value {
    let mut body =
        json!({"messages": [{"role": "user", "content": question}], "temperature": 0, "max_tokens": 12});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[test]
fn a_chat_whole_and_streamed_is_the_same() {
    let service = Service::start("serve-chat", &[]);
    let whole = service.ask("/v1/chat/completions", &chat("Tell me a story", json!({})));
    let text = whole["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.starts_with("Once upon a time"), "{text}");
    assert_eq!(whole["usage"]["completion_tokens"], 12);
    assert_eq!(whole["usage"]["total_tokens"], whole["usage"]["prompt_tokens"].as_u64().unwrap() + 12);
    assert!(whole["usage"]["prompt_tokens_details"]["cached_tokens"].is_u64());
    assert_eq!(
        (&whole["choices"][0]["finish_reason"], &whole["object"]),
        (&json!("length"), &json!("chat.completion"))
    );

    let streamed =
        chat("Tell me a story", json!({"stream": true, "stream_options": {"include_usage": true}, "n": 2}));
    let events = service.events("/v1/chat/completions", &streamed);
    assert_eq!(events.last().unwrap(), "data: [DONE]");
    let chunks: Vec<Value> = events[..events.len() - 1].iter().map(|event| data(event)).collect();
    for choice in 0..2 {
        let own =
            chunks.iter().filter_map(|chunk| chunk["choices"].get(0)).filter(|one| one["index"] == choice);
        let own: Vec<&Value> = own.collect();
        assert_eq!(own[0]["delta"]["role"], "assistant");
        let said: String = own.iter().filter_map(|one| one["delta"]["content"].as_str()).collect();
        assert_eq!((said.as_str(), &own.last().unwrap()["finish_reason"]), (text, &json!("length")));
    }
    let last = chunks.last().unwrap();
    assert_eq!((&last["choices"], &last["usage"]["completion_tokens"]), (&json!([]), &json!(24)));
    assert_eq!(last["usage"]["prompt_tokens"], whole["usage"]["prompt_tokens"]);
    assert!(chunks[..chunks.len() - 1].iter().all(|chunk| chunk["usage"].is_null()));
}

#[test]
fn seeds_stops_and_bias_are_honoured() {
    let service = Service::start("serve-options", &[]);
    let ask = |more: Value| service.ask("/v1/chat/completions", &chat("Tell me a story", more));
    let seeded = ask(json!({"temperature": 1, "seed": 7}));
    assert_eq!(seeded["seed"], 7);
    assert_eq!(seeded["choices"], ask(json!({"temperature": 1, "seed": 7}))["choices"]);
    // An answer can be replayed by the seed that it tells.
    let unseeded = ask(json!({"temperature": 1}));
    let replayed = ask(json!({"temperature": 1, "seed": unseeded["seed"]}));
    assert_eq!(unseeded["choices"], replayed["choices"]);

    let stopped = ask(json!({"stop": ["zzz", " time"], "max_tokens": 40}));
    let choice = &stopped["choices"][0];
    assert_eq!(
        (&choice["message"]["content"], &choice["finish_reason"]),
        (&json!("Once upon a"), &json!("stop"))
    );
    let ended = ask(json!({"max_tokens": 400}));
    assert_eq!(ended["choices"][0]["finish_reason"], "stop", "the model ends its answer by itself");

    let once =
        service.ask("/tokenize", &json!({"content": "Once", "add_special": false}))["tokens"][0].clone();
    let biased = ask(json!({"logit_bias": {once.to_string(): -100}}));
    assert!(!biased["choices"][0]["message"]["content"].as_str().unwrap().starts_with("Once"));

    let both = ask(json!({"n": 2, "temperature": 1, "seed": 7, "return_token_ids": true}));
    let ids = |choice: usize| both["choices"][choice]["token_ids"].clone();
    assert_ne!(ids(0), ids(1));
    // Which tokens were guessed, and how many guesses were right; one that ends an answer is in no list.
    for choice in both["choices"].as_array().unwrap() {
        let guessed = choice["guessed"].as_array().unwrap();
        let marked = guessed.iter().filter(|guessed| **guessed == true).count() as u64;
        let count = |name: &str| choice["guesses"][name].as_u64().unwrap();
        assert_eq!(guessed.len(), choice["token_ids"].as_array().unwrap().len());
        assert!(marked <= count("right") && count("right") <= (marked + 1).min(count("all")), "{choice}");
    }
    assert!(seeded["choices"][0]["guessed"].is_null() && seeded["choices"][0]["guesses"].is_null());
    assert_eq!(both["choices"][0]["message"], seeded["choices"][0]["message"]);
    assert_eq!(
        both["prompt_token_ids"].as_array().unwrap().len() as u64,
        both["usage"]["prompt_tokens"].as_u64().unwrap()
    );
}

#[test]
fn log_probabilities_are_those_of_glass_score() {
    const TEXT: &str = "The dog lost the ball. The dog was sad.";
    let scratch = Scratch::new("serve-score");
    let scored = glass(&scratch.0, &["score", "--json", TEXT], b"").json();
    let scored = scored["tokens"].as_array().unwrap();
    let ids: Vec<u64> = scored.iter().map(|token| token["id"].as_u64().unwrap()).collect();
    let service = Service::start("serve-logprobs", &[]);
    // As lm-eval sends it: lists of ids, and one token that it cuts off.
    let harness = json!({"model": "built-in", "prompt": [ids, ids[..4]], "temperature": 0, "max_tokens": 1,
        "logprobs": 1, "seed": 1234, "echo": true});
    let answer = service.ask("/v1/completions", &harness);
    for (index, length) in [(0, ids.len()), (1, 4)] {
        let choice = &answer["choices"][index];
        assert_eq!(choice["index"], index);
        let logprobs = choice["logprobs"]["token_logprobs"].as_array().unwrap();
        assert_eq!(
            (logprobs.len(), &logprobs[0]),
            (length + 1, &Value::Null),
            "the generated token is appended"
        );
        assert_eq!(choice["logprobs"]["top_logprobs"].as_array().unwrap().len(), length + 1);
        for at in 1..length {
            let (ours, theirs) = (logprobs[at].as_f64().unwrap(), scored[at]["logprob"].as_f64().unwrap());
            assert!((ours - theirs).abs() < 1e-5, "token {at}: {ours} and {theirs}");
        }
        let offsets = choice["logprobs"]["text_offset"].as_array().unwrap();
        let tokens = choice["logprobs"]["tokens"].as_array().unwrap();
        assert_eq!(
            (&offsets[0], offsets[1].as_u64().unwrap()),
            (&json!(0), tokens[0].as_str().unwrap().len() as u64)
        );
    }
    assert_eq!(answer["usage"]["prompt_tokens"], ids.len() + 4);
    // What a chat tells of its tokens is what scoring tells of the same tokens.
    let told = service.ask(
        "/v1/chat/completions",
        &chat("Hi", json!({"logprobs": true, "top_logprobs": 3, "return_token_ids": true})),
    );
    let list = |value: &Value| value.as_array().unwrap().clone();
    let whole = [list(&told["prompt_token_ids"]), list(&told["choices"][0]["token_ids"])].concat();
    let again = service
        .ask("/v1/completions", &json!({"prompt": whole, "max_tokens": 0, "logprobs": 0, "echo": true}));
    let again = list(&again["choices"][0]["logprobs"]["token_logprobs"]);
    let content = list(&told["choices"][0]["logprobs"]["content"]);
    let prompt = whole.len() - content.len();
    for (token, logprob) in content.iter().zip(&again[prompt..]) {
        assert!((token["logprob"].as_f64().unwrap() - logprob.as_f64().unwrap()).abs() < 1e-5);
        assert_eq!(token["top_logprobs"].as_array().unwrap().len(), 3);
        assert_eq!(token["top_logprobs"][0]["id"], token["id"], "greedy takes the most probable token");
    }
}

#[test]
fn completions_in_every_shape() {
    let service = Service::start("serve-completions", &[]);
    let ask = |body: Value| service.ask("/v1/completions", &body);
    let text = ask(json!({"prompt": "Once upon a", "temperature": 0, "max_tokens": 6}));
    let ids = service.ask("/tokenize", &json!({"prompt": "Once upon a"}))["tokens"].clone();
    let of_ids = ask(json!({"prompt": ids, "temperature": 0, "max_tokens": 6}));
    assert_eq!(text["choices"], of_ids["choices"]);
    let several = ask(
        json!({"prompt": ["Once upon a", "The dog"], "temperature": 0, "max_tokens": 6, "n": 2, "best_of": 2}),
    );
    let several = several["choices"].as_array().unwrap();
    assert_eq!(several.len(), 4);
    assert_eq!(
        (&several[0]["text"], &several[1]["text"]),
        (&text["choices"][0]["text"], &text["choices"][0]["text"])
    );
    let echoed = ask(json!({"prompt": "Once upon a", "temperature": 0, "max_tokens": 6, "echo": true}));
    assert_eq!(
        echoed["choices"][0]["text"],
        format!("Once upon a{}", text["choices"][0]["text"].as_str().unwrap())
    );
    let body = json!({"prompt": "Once upon a", "temperature": 0, "max_tokens": 6, "stream": true, "stream_options": {"include_usage": true}});
    let events = service.events("/v1/completions", &body);
    assert_eq!(events.last().unwrap(), "data: [DONE]");
    let chunks: Vec<Value> = events[..events.len() - 1].iter().map(|event| data(event)).collect();
    let said: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["text"].as_str()).collect();
    assert_eq!(said, text["choices"][0]["text"].as_str().unwrap());
    assert_eq!(chunks.last().unwrap()["usage"], text["usage"]);
    // A text's offsets leave out the start token, which is scored but not in it.
    let scored = ask(json!({"prompt": "Once upon a", "max_tokens": 0, "logprobs": 2, "echo": true}));
    let (text, told) = (scored["choices"][0]["text"].as_str().unwrap(), &scored["choices"][0]["logprobs"]);
    assert_eq!(text, "Once upon a");
    for (token, offset) in
        told["tokens"].as_array().unwrap().iter().zip(told["text_offset"].as_array().unwrap()).skip(1)
    {
        assert!(
            text[offset.as_u64().unwrap() as usize..].starts_with(token.as_str().unwrap()),
            "{token} at {offset}"
        );
    }
    // A character in several tokens is never cut.
    let snow = ask(json!({"prompt": "☃", "max_tokens": 3, "echo": true}));
    assert!(snow["choices"][0]["text"].as_str().unwrap().starts_with('☃'));
}

#[test]
fn a_schema_is_kept_to() {
    let service = Service::start("serve-schema", &[]);
    let schema = json!({"type": "object", "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 1, "maximum": 99}},
        "required": ["name", "age"], "additionalProperties": false});
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "dog", "schema": schema, "strict": true}});
    for seed in 0..4 {
        let body = chat(
            "Who is the dog?",
            json!({"temperature": 1, "seed": seed, "max_tokens": 80, "response_format": format}),
        );
        let answer = service.ask("/v1/chat/completions", &body);
        let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
        let dog: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert!(dog["name"].is_string() && (1..=99).contains(&dog["age"].as_i64().unwrap()), "{text}");
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    }
    for (schema, says) in [
        (json!({"type": "array", "uniqueItems": true}), "uniqueItems"),
        (
            json!({"type": "object", "properties": {"a": {"type": "integer", "format": "int32"}}}),
            "schema.properties.a.format",
        ),
        (json!({"type": "string", "nullable": true}), "nullable"),
        (json!({"x-guidance": {"lenient": true}}), "x-guidance"),
        (json!(5), "an object was expected"),
    ] {
        let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
        let reply = service.post("/v1/chat/completions", &chat("Hi", json!({"response_format": format})));
        reply.refuses(400, "response_format", says);
    }
}

#[test]
fn tokens_embeddings_and_the_inside() {
    let service = Service::start("serve-others", &[]);
    let told = service.ask(
        "/tokenize",
        &json!({"content": "Once upon a time", "return_token_strs": true, "add_special": false}),
    );
    assert_eq!(told["token_strs"].as_array().unwrap().len() as u64, told["count"].as_u64().unwrap());
    assert_eq!(told["max_model_len"], 512);
    let back = service.ask("/detokenize", &json!({"tokens": told["tokens"]}));
    assert_eq!((&back["content"], &back["prompt"]), (&json!("Once upon a time"), &json!("Once upon a time")));
    let pieces =
        service.ask("/tokenize", &json!({"content": "Once", "with_pieces": true, "add_special": false}));
    assert_eq!(pieces["tokens"][0]["piece"], "Once");
    assert!(
        service.ask("/tokenize", &json!({"messages": [{"role": "user", "content": "Hi"}]}))["count"]
            .as_u64()
            .unwrap()
            > 3
    );

    let both = service.ask("/v1/embeddings", &json!({"input": ["The dog", "A cat sat"]}));
    let vector = both["data"][1]["embedding"].as_array().unwrap();
    assert_eq!((vector.len(), &both["data"][1]["index"], &both["pooling"]), (256, &json!(1), &json!("mean")));
    let last = service.ask(
        "/v1/embeddings",
        &json!({"input": "A cat sat", "pooling": "last", "encoding_format": "base64"}),
    );
    assert_eq!(last["data"][0]["embedding"].as_str().unwrap().len(), (256 * 4_usize).div_ceil(3) * 4);

    let look =
        json!({"prompt": "The dog lost the ball. The sad", "look": {"sites": ["block.3.attention.pattern"]}});
    let seen = service.ask("/v1/look", &look);
    let row = &seen["look"]["sites"]["block.3.attention.pattern"][0];
    let tokens = seen["ids"].as_array().unwrap().len();
    assert_eq!(
        (row["position"].as_u64().unwrap() as usize, &row["shape"]),
        (tokens - 1, &json!([4, tokens]))
    );
    assert_eq!(seen["next"].as_array().unwrap().len(), 20);
    let body = json!({"prompt": "The dog lost the ball. The sad"}).to_string();
    let head = ["Content-Type: application/json", "Accept: application/octet-stream"];
    let all = service.request("POST", "/v1/look", &head, body.as_bytes());
    assert_eq!((all.status, all.body.len()), (200, 4 * 5352));
    let logprobs: Vec<f32> =
        all.body.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let sum: f64 = logprobs.iter().map(|&logprob| f64::from(logprob).exp()).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    let first = &seen["next"][0];
    assert!(
        (f64::from(logprobs[first["id"].as_u64().unwrap() as usize]) - first["logprob"].as_f64().unwrap())
            .abs()
            < 1e-5
    );
}

#[test]
fn responses_whole_and_streamed() {
    let service = Service::start("serve-responses", &[]);
    let body = json!({"input": "Tell me a story", "temperature": 0, "max_output_tokens": 8, "store": false});
    let whole = service.ask("/v1/responses", &body);
    let text = &whole["output"][0]["content"][0]["text"];
    assert_eq!((&whole["status"], &whole["usage"]["output_tokens"]), (&json!("incomplete"), &json!(8)));
    let list = json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "Tell me a story"}]}], "temperature": 0, "max_output_tokens": 8});
    assert_eq!(&service.ask("/v1/responses", &list)["output"][0]["content"][0]["text"], text);
    let mut streamed = body.clone();
    streamed["stream"] = true.into();
    let events = service.events("/v1/responses", &streamed);
    let events: Vec<Value> = events.iter().map(|event| data(event)).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds[..4],
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added"
        ]
    );
    assert_eq!(kinds.last(), Some(&"response.incomplete"));
    let said: String = events.iter().filter_map(|event| event["delta"].as_str()).collect();
    assert_eq!(&json!(said), text);
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
    }
}

#[test]
fn the_page_the_description_and_the_model() {
    let service = Service::start("serve-page", &[]);
    assert_eq!(service.get("/health").json(), json!({"status": "ok"}));
    for path in ["/", "/page/main.js", "/page/page.css", "/docs", "/docs.js", "/docs.css"] {
        let file = service.get(path);
        assert!(file.status == 200 && file.head.contains("content-security-policy: "), "{path}");
        assert!(!file.text().contains("https://"), "{path} loads nothing from elsewhere");
    }
    let models = service.get("/v1/models").json();
    let model = &models["data"][0];
    assert_eq!(
        (&model["context"], &model["vocabulary"], &model["chat"]),
        (&json!(512), &json!(5352), &json!(true))
    );
    assert_eq!(service.get("/v1/models/built%2Din").json()["digest"], model["digest"]);
    let description = service.get("/openapi.json").json();
    let named = |name: &str| description["components"]["schemas"][name]["properties"].as_object().unwrap();
    assert!(
        named("ChatRequest").contains_key("response_format") && named("LookRequest").contains_key("seed")
    );
    assert_eq!(named("ChatRequest")["store"]["enum"], json!([false, null]));
    assert_eq!(named("ChatRequest")["model"]["enum"], json!(["built-in", null]));
    for path in [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/embeddings",
        "/v1/look",
        "/tokenize",
        "/detokenize",
        "/v1/models",
        "/health",
        "/metrics",
    ] {
        assert!(description["paths"][path].is_object(), "{path}");
    }
    assert_eq!(service.get("/tokenizer_info").status, 404);
}

/// The variables of a request reach the template; a special token spelled in one stays text.
#[test]
fn a_template_is_given_its_variables() {
    let scratch = Scratch::new("serve-template");
    let own = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models"));
    for file in [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ] {
        std::fs::copy(own.join(file), scratch.0.join(file)).unwrap();
    }
    let template = "{{ '<|im_start|>' }}{{ messages[0].content }}{% if enable_thinking %} I think{% endif %}\
                    {% for tool in tools or [] %} {{ tool.function.name }}{% endfor %}";
    std::fs::write(scratch.0.join("chat_template.jinja"), template).unwrap();
    let service = Service::start("serve-variables", &[scratch.0.to_str().unwrap()]);
    let text = |variables: Value| {
        let parts = json!([{"type": "text", "text": "Once "}, {"type": "text", "text": "upon"}]);
        let mut body = json!({"messages": [{"role": "user", "content": parts}], "return_token_strs": true});
        body["chat_template_kwargs"] = variables;
        let told = service.ask("/tokenize", &body);
        let texts = told["token_strs"].as_array().unwrap();
        (texts.len(), texts.iter().map(|text| text.as_str().unwrap()).collect::<String>())
    };
    let (plain, said) = text(json!(null));
    assert_eq!(said, "<|im_start|>Once upon");
    assert_eq!(text(json!({"enable_thinking": false})), (plain, said));
    assert_eq!(text(json!({"enable_thinking": true})).1, "<|im_start|>Once upon I think");
    let tools = json!({"tools": [{"type": "function", "function": {"name": "<|im_end|>"}}]});
    let (count, said) = text(tools);
    assert_eq!(said, "<|im_start|>Once upon <|im_end|>");
    assert!(count > plain + 3, "{count} tokens: the name is text");

    let mut body = chat("Once", json!({"chat_template_kwargs": {"enable_thinking": true}, "max_tokens": 1}));
    let prompt = |body: &Value| service.ask("/v1/chat/completions", body)["usage"]["prompt_tokens"].clone();
    let thinking = prompt(&body).as_u64().unwrap();
    body["chat_template_kwargs"] = json!({});
    assert!(prompt(&body).as_u64().unwrap() < thinking);
}
