//! Asking about the built-in model.

use std::ops::ControlFlow;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use glass::backend::Cpu;
use glass::text_model::TextModel;
use glass::tokens::Special;
use glass_page::{Page, read};
use serde_json::Value;

/// The built-in model.
pub fn model() -> &'static TextModel<Cpu> {
    static MODEL: OnceLock<TextModel<Cpu>> = OnceLock::new();
    MODEL.get_or_init(|| {
        let folder = glass::built_in::model().expect("the model is in this build").expect("it opens");
        TextModel::new(Cpu::new(2), folder).expect("it loads")
    })
}

/// The ids of a text.
pub fn ids(text: &str) -> Vec<u32> {
    model().tokenizer.as_ref().expect("a tokenizer").encode_prompt(text.as_bytes(), Special::Plain)
}

/// A token that a story may go on with.
pub fn ball() -> u32 {
    *ids(" ball").last().expect("a token")
}

/// The answer of a new page.
pub fn ask(question: &Value) -> Value {
    ask_of(&mut page(), question)
}

/// A new page.
pub fn page() -> Page<'static> {
    Page::new(model(), "built-in")
}

/// The answer of a page.
pub fn ask_of(page: &mut Page<'_>, question: &Value) -> Value {
    try_ask(page, question).unwrap_or_else(|error| panic!("{question}: {error}"))
}

/// The answer, or why there is none.
pub fn try_ask(page: &mut Page<'_>, question: &Value) -> Result<Value, String> {
    let question = read(question.to_string().as_bytes()).map_err(|error| error.to_string())?;
    page.answer(&question, &mut |_| ControlFlow::Continue(())).map_err(|error| error.to_string())
}

/// The numbers of a matrix.
pub fn numbers(of: &Value) -> Vec<f32> {
    let bytes = STANDARD.decode(of["f32"].as_str().expect("base64")).expect("base64");
    let floats: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    assert_eq!(floats.len() as u64, of["rows"].as_u64().unwrap() * of["cols"].as_u64().unwrap());
    floats
}
