//! Renders chat templates. Each line of standard input is a JSON object with `template` and `messages`, and
//! optionally `tools`, `add_generation_prompt`, `continue_final_message`, `variables` (other variables for the
//! template) and `now` (local time, in seconds since 1970); the answer is a line with `text`, or with `error` if
//! the template or the conversation is refused.
//!
//! ```sh
//! echo '{"template": "{{ messages[0].content }}", "messages": [{"role": "user", "content": "Hi"}]}' |
//!     cargo run --example chat_template
//! ```

use std::io::{self, BufRead as _};

use glass::tokens::chat::{LocalTime, Message, Template};
use serde_json::{Map, Value, json};

fn main() -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        let answer = match rendered(&line?) {
            Ok(text) => json!({ "text": text }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        println!("{answer}");
    }
    Ok(())
}

fn rendered(line: &str) -> Result<String, Box<dyn std::error::Error>> {
    let asked: Map<String, Value> = serde_json::from_str(line)?;
    let source = asked.get("template").and_then(Value::as_str).ok_or("the line has no \"template\"")?;
    let messages = asked.get("messages").and_then(Value::as_array).ok_or("the line has no \"messages\"")?;
    let messages: Vec<Message> =
        messages.iter().cloned().map(Message::from_json).collect::<Result<_, _>>()?;
    let mut variables = asked.get("variables").and_then(Value::as_object).cloned().unwrap_or_default();
    variables.extend(asked.get("tools").map(|tools| ("tools".to_string(), tools.clone())));
    let is_set = |name: &str| asked.get(name).and_then(Value::as_bool).unwrap_or(false);
    let mut template = Template::new(source, None, None)?;
    if let Some(now) = asked.get("now").and_then(Value::as_i64) {
        template = template.with_time(LocalTime::from_seconds(now));
    }
    if is_set("continue_final_message") {
        return Ok(template.continued_with(&messages, &variables)?);
    }
    Ok(template.render_with(&messages, is_set("add_generation_prompt"), &variables)?)
}
