//! Conversations as samples.

use std::fs;

use glass::Error;
use glass::tokens::Tokenizer;
use glass::tokens::chat::{self, Message, Template};
use glass::train::chats::{self, Cut, Entry, Talk, Told};
use glass::train::run::bits_per_byte;
use glass::train::set::{Chat, Samples};

use crate::scratch::Scratch;

fn read(text: &str) -> Result<Vec<Entry>, String> {
    let folder = Scratch::new("chats");
    let path = folder.path().join("c.jsonl");
    fs::write(&path, text).unwrap();
    chats::read(&[path]).map(|(conversations, _)| conversations).map_err(|error| error.to_string())
}

fn line(messages: &[(&str, &str)]) -> String {
    let messages: Vec<Message> = messages.iter().map(|&turn| Message::from(turn)).collect();
    format!("{}\n", serde_json::json!({ "messages": messages, "source": "a test" }))
}

/// A byte is a token; the assistant's bytes are learned, and those of a plain text.
fn encode(told: &Told) -> glass::Result<(Vec<u32>, Vec<bool>)> {
    let messages = match told {
        Told::Conversation(talk) => &talk.messages,
        Told::Text(text) => return Ok(text.bytes().map(|byte| (u32::from(byte), true)).unzip()),
    };
    if messages.is_empty() {
        return Err(Error::invalid_argument("messages", "there are none"));
    }
    let bytes = |message: &Message| {
        let learned = message.is_learned();
        message.text().bytes().map(|byte| (u32::from(byte), learned)).collect::<Vec<_>>()
    };
    Ok(messages.iter().flat_map(bytes).unzip())
}

#[test]
fn each_conversation_is_a_sample_that_ends_with_what_is_learned() {
    let text = line(&[("user", "ab"), ("assistant", "cd"), ("user", "ef")])
        + &line(&[("user", "ab")])
        + &line(&[("user", "a"), ("assistant", "bcdefgh")])
        + &line(&[("user", "abcdef"), ("assistant", "g")])
        + &line(&[("assistant", "g")])
        + "{\"text\":\"abc\"}\n";
    let conversations = read(&text).unwrap();
    let (set, cut) = chats::set(&conversations, 4, &encode, Some(&|_| 1)).unwrap();
    assert_eq!(cut, Cut { shortened: 1, left_out: 3, beyond: 1 });
    assert_eq!((set.documents, set.learned(), set.bytes), (3, 8, Some(8)));
    let Samples::Chats(chats) = &set.samples else { panic!() };
    let ids = |text: &str| text.bytes().map(u32::from).collect::<Vec<_>>();
    assert_eq!(chats[0], Chat { ids: ids("abcd"), learned: vec![false, false, true, true] });
    assert_eq!(chats[1].ids, ids("abcde"));
    assert_eq!(chats[2], Chat { ids: ids("abc"), learned: vec![true; 3] });
    set.check("c.jsonl", 4).unwrap();
    // As if "d" were a special token: it is learned, and has no bytes of text.
    let length = |id| usize::from(id != u32::from(b'd'));
    let (marked, _) = chats::set(&conversations, 4, &encode, Some(&length)).unwrap();
    assert_eq!((marked.learned(), marked.bytes, marked.bytes_per_token()), (8, Some(6), Some(6.0 / 8.0)));
    let bits = bits_per_byte(&marked, std::f64::consts::LN_2).unwrap();
    assert!((bits - 8.0 / 6.0).abs() < 1e-12, "{bits}");
    let (none, _) = chats::set(&conversations[1..2], 4, &encode, None).unwrap();
    assert!(
        none.check("c.jsonl", 4).unwrap_err().to_string().contains("no conversation holds anything to learn")
    );
}

#[test]
fn what_is_no_conversation_is_refused_with_its_line() {
    let refused = |bad: &str| read(&(line(&[("user", "a")]) + "\n" + bad)).unwrap_err();
    assert!(refused("{\"texts\":\"a\"}").contains("c.jsonl:3: no field \"messages\""));
    assert!(refused("{\"messages\":3}").contains("c.jsonl:3: the field \"messages\" is not a list"));
    let list = refused("{\"messages\":[{\"role\":\"user\"}]}");
    assert!(list.contains("c.jsonl:3: message 1: a message's \"content\" is"), "{list}");
    let role = refused("[{\"role\":\"usr\",\"content\":\"a\"}]");
    assert!(role.contains("c.jsonl:3: message 1: the role \"usr\" is unknown"), "{role}");
    assert!(refused("{\"messages\":[],\"tools\":\"f\"}").contains("the field \"tools\" is not a list"));
    assert!(refused("{").contains("c.jsonl:3: not JSON"));
    assert!(refused("3").contains("c.jsonl:3: not a JSON object or list"));
    let empty = read("{\"messages\":[]}").unwrap();
    let error = chats::set(&empty, 4, &encode, None).unwrap_err().to_string();
    assert!(error.ends_with("c.jsonl:1: messages: there are none"), "{error}");
}

#[test]
fn conversations_are_split_by_seed() {
    let text: String = (0..50).map(|n| line(&[("user", &n.to_string())])).collect();
    let conversations = read(&text).unwrap();
    let (training, validation) = chats::split(conversations.clone(), 0.1, 3);
    assert_eq!((training.len(), validation.len()), (45, 5));
    assert!(validation.iter().all(|one| !training.contains(one)));
    assert_eq!(chats::split(conversations.clone(), 0.1, 3).1, validation);
    assert_ne!(chats::split(conversations, 0.1, 4).1, validation);
}

#[test]
fn the_default_template_teaches_answers_and_their_ends() {
    let tokenizer = Tokenizer::gpt2().with_specials(&chat::DEFAULT_SPECIALS).unwrap();
    let template = Template::new(chat::default_template(), None, None).unwrap();
    let text = line(&[("system", "Be kind."), ("user", "Hello?"), ("assistant", "Hello!"), ("user", "Bye.")]);
    let encode = |told: &Told| match told {
        Told::Conversation(talk) => talk.tokens(&template, &tokenizer),
        Told::Text(_) => unreachable!("there is none"),
    };
    let (set, cut) = chats::set(&read(&text).unwrap(), 100, &encode, None).unwrap();
    assert_eq!(cut, Cut::default());
    let Samples::Chats(samples) = &set.samples else { panic!() };
    let sample = samples[0].ids.iter().zip(&samples[0].learned);
    let learned: Vec<u32> = sample.filter(|(_, learned)| **learned).map(|(&id, _)| id).collect();
    assert_eq!(tokenizer.decode(&learned).unwrap(), b"Hello!<|im_end|>");
    assert_eq!(samples[0].ids.last(), tokenizer.special("<|im_end|>").as_ref());
}

/// Formats of other programs: only a list, the developer role, null with calls, parts, tools.
#[test]
fn conversations_of_other_programs_are_read() {
    let text = concat!(
        r#"[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]"#,
        "\n",
        r#"{"messages":[{"role":"developer","content":"be brief"},{"role":"user","content":"a"}],"tools":null}"#,
        "\n",
        r#"{"messages":[{"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}],"#,
        r#""tools":[{"type":"function","function":{"name":"f"}}]}"#,
        "\n",
    );
    let lines = read(text).unwrap();
    let talks: Vec<&Talk> = lines
        .iter()
        .map(|line| match &line.told {
            Told::Conversation(talk) => talk,
            Told::Text(text) => panic!("{text}"),
        })
        .collect();
    assert_eq!(talks[0].messages, [Message::new("user", "a"), Message::new("assistant", "b")]);
    assert_eq!(talks[1].messages[0].role(), "developer");
    assert!(talks[2].messages[0].is_learned() && talks[2].messages[0].text().is_empty());
    let template = Template::new("{{ tools | tojson if tools else 'no tools' }}", None, None).unwrap();
    let tokenizer = Tokenizer::gpt2();
    let shown: Vec<String> = talks[1..]
        .iter()
        .map(|talk| {
            let asked = Talk { messages: vec![Message::new("user", "a")], ..Talk::clone(talk) };
            let (ids, _) = asked.tokens(&template, &tokenizer).unwrap();
            String::from_utf8(tokenizer.decode(&ids).unwrap()).unwrap()
        })
        .collect();
    assert_eq!(shown, ["no tools", r#"[{"type": "function", "function": {"name": "f"}}]"#]);
}

#[test]
fn an_answer_of_weight_0_is_read_and_not_learned() {
    let tokenizer = Tokenizer::gpt2().with_specials(&chat::DEFAULT_SPECIALS).unwrap();
    let template = Template::new(chat::default_template(), None, None).unwrap();
    let text = concat!(
        r#"[{"role":"user","content":"1 + 1?"},{"role":"assistant","content":"3","weight":0},"#,
        r#"{"role":"user","content":"No."},{"role":"assistant","content":"2","weight":1}]"#,
    );
    let Told::Conversation(talk) = &read(text).unwrap()[0].told else { panic!() };
    let (ids, learned) = talk.tokens(&template, &tokenizer).unwrap();
    let learned: Vec<u32> =
        ids.iter().zip(learned).filter(|(_, learned)| *learned).map(|(&id, _)| id).collect();
    assert_eq!(tokenizer.decode(&learned).unwrap(), b"2<|im_end|>");
    let whole = String::from_utf8(tokenizer.decode(&ids).unwrap()).unwrap();
    assert!(whole.contains("assistant\n3<|im_end|>") && !whole.contains("weight"), "{whole}");
}
