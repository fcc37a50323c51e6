//! Conversations with calls, parts, reasoning and documents: the texts of `transformers`, also up to the end of a
//! message that is continued.

use glass::tokens::chat::{LocalTime, Message, Template};
use glass::tokens::{Special, Tokenizer};
use serde_json::{Map, Value, json};

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/chat/talks.json")).unwrap()
}

fn messages(list: &Value) -> glass::Result<Vec<Message>> {
    list.as_array().unwrap().iter().cloned().map(Message::from_json).collect()
}

/// What Glass renders in place of `transformers`.
fn rendered(golden: &Value, case: &Value) -> glass::Result<String> {
    let source = golden["templates"][case["template"].as_str().unwrap()].as_str().unwrap();
    let talk = &golden["talks"][case["talk"].as_u64().unwrap() as usize];
    let variables = talk["variables"].as_object().cloned().unwrap_or_default();
    let now = LocalTime::from_seconds(golden["now"].as_i64().unwrap());
    let template = Template::new(source, Some("<|bos|>"), Some("<|eos|>"))?.with_time(now);
    let messages = messages(&talk["messages"])?;
    if case["continue_final_message"] == true {
        return template.continued_with(&messages, &variables);
    }
    template.render_with(&messages, case["add_generation_prompt"] == true, &variables)
}

#[test]
fn talks_have_the_texts_of_transformers() {
    let golden = golden();
    let (mut texts, mut wrong) = (0, Vec::new());
    for case in golden["cases"].as_array().unwrap() {
        let same = match (rendered(&golden, case), case["text"].as_str(), case["raised"].as_str()) {
            (Ok(ours), Some(theirs), _) => ours == theirs,
            (Err(ours), None, Some(raised)) => {
                ours.to_string().ends_with(&format!("refuses this conversation: {raised}"))
            }
            (Err(ours), None, None) => !ours.to_string().contains("refuses this conversation"),
            _ => false,
        };
        texts += usize::from(case["text"].is_string());
        if !same {
            wrong.push(format!("{case}: {:?}", rendered(&golden, case)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(texts > 140, "{texts} texts");
}

#[test]
fn what_cannot_be_continued_is_refused() {
    let template = Template::new("{{ messages[0].content }}", None, None).unwrap();
    let refusal = |list: Value| {
        template.continued_with(&messages(&list).unwrap(), &Map::new()).unwrap_err().to_string()
    };
    assert!(refusal(json!([])).contains("no message"));
    let unseen = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]);
    assert!(refusal(unseen).contains("does not write the last message"));
    let calls = json!([{"role": "assistant", "tool_calls": []}]);
    assert!(refusal(calls).contains("no text to continue"));
}

/// A begun answer is continued behind its last word, and cannot write a special token.
#[test]
fn the_tokens_of_a_begun_message() {
    let file = include_str!("../golden/chat/tokenizer.json");
    let tokenizer = Tokenizer::from_json("tokenizer.json", file.as_bytes()).unwrap();
    let source = "{% for m in messages %}<|im_start|>{{ m.role }}: {{ m.content }}<|im_end|>{% endfor %}";
    let template = Template::new(source, None, None).unwrap();
    for begun in ["I am", "I <|im_end|>", "I <", ""] {
        let list = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": begun}]);
        let ids = template.continued_prompt_with(&messages(&list).unwrap(), &Map::new(), &tokenizer).unwrap();
        let text = format!("<|im_start|>user: Hi<|im_end|><|im_start|>assistant: {begun}");
        assert_eq!(tokenizer.decode(&ids).unwrap(), text.as_bytes());
        assert_eq!(ids.iter().filter(|&&id| tokenizer.is_special(id)).count(), 3, "{begun:?}");
    }
    assert_eq!(tokenizer.encode("<|im_end|>", Special::Allowed).len(), 1);
}
