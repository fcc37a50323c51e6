//! The module that answers in the reader's own browser. Its functions take and give numbers only; texts and files go through
//! memory:
//!
//! ```text
//! at = input(len)      the page writes len bytes there
//! open()               reads them as a model; 0 if that worked
//! ask()                reads them as a question; calls frame(at, len) for intermediate results
//! output(), output_len()   the answer to the last call: {"answer": …} or {"error": {"message": …}}
//! ```
//!
//! A model is its files in one piece: the length of a header (4 bytes, little-endian), the header, which is JSON,
//! `{"name", "checkpoint": null | "gpt2.gguf", "files": [["config.json", 500], …]}`, and the files in this order. The header and
//! every file are followed by zeros up to a multiple of 64 bytes, so that packed weights are used where they lie.
//!
//! After a panic the module must not be called again, except for its output, which says what happened.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;

use glass::backend::Cpu;
use glass::text_model::TextModel;
use glass::weights::folder::Folder;
use glass::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Page, read};

/// The header and the files begin at multiples of this.
const LINE: usize = 64;

thread_local! {
    static INPUT: RefCell<Input> = const { RefCell::new(Input { memory: Vec::new(), first: 0 }) };
    static OUTPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static PANIC: Cell<Option<&'static str>> = const { Cell::new(None) };
    static PAGE: RefCell<Option<Page<'static>>> = const { RefCell::new(None) };
}

#[link(wasm_import_module = "page")]
unsafe extern "C" {
    /// Hands an intermediate result to the page.
    safe fn frame(at: *const u8, len: usize);
}

/// What the page wrote, from `first` on.
struct Input {
    memory: Vec<u8>,
    first: usize,
}

#[derive(Deserialize)]
struct Header {
    name: String,
    checkpoint: Option<String>,
    files: Vec<(String, usize)>,
}

/// Memory for `len` bytes, which begins at a multiple of 64; null if there is not enough.
#[unsafe(no_mangle)]
extern "C" fn input(len: usize) -> *mut u8 {
    let mut memory: Vec<u8> = Vec::new();
    if len.checked_add(LINE).is_none_or(|room| memory.try_reserve_exact(room).is_err()) {
        return std::ptr::null_mut();
    }
    let first = memory.as_ptr().align_offset(LINE);
    memory.resize(first + len, 0);
    let at = memory[first..].as_mut_ptr();
    INPUT.set(Input { memory, first });
    at
}

/// Reads the input as a model.
#[unsafe(no_mangle)]
extern "C" fn open() -> u32 {
    std::panic::set_hook(Box::new(|info| {
        let text = format!("a bug in the program ended this question; please report it ({info})");
        PANIC.set(Some(text.leak()));
    }));
    let Input { memory, first } = INPUT.replace(Input { memory: Vec::new(), first: 0 });
    // The files stay in memory as long as the module does.
    let opened = page(&memory.leak()[first..]);
    let failed = opened.is_err();
    told(opened.map(|page| {
        PAGE.set(Some(page));
        Value::Null
    }));
    failed.into()
}

fn page(model: &'static [u8]) -> Result<Page<'static>> {
    let (header, files) = files(model)?;
    let folder = match &header.checkpoint {
        Some(checkpoint) => Folder::embedded_checkpoint(&header.name, checkpoint, &files)?,
        None => Folder::embedded(&header.name, &files)?,
    };
    // One thread: a page from a disk cannot share memory between threads.
    let model = TextModel::new(Cpu::new(1), folder)?;
    Ok(Page::new(Box::leak(Box::new(model)), header.name))
}

type Files = Vec<(&'static str, &'static [u8])>;

fn files(model: &'static [u8]) -> Result<(Header, Files)> {
    let cut = || Error::invalid("the model", "is cut off");
    let (len, rest) = model.split_first_chunk::<4>().ok_or_else(cut)?;
    let header = rest.get(..u32::from_le_bytes(*len) as usize).ok_or_else(cut)?;
    let mut at = (4 + header.len()).next_multiple_of(LINE);
    let header: Header =
        serde_json::from_slice(header).map_err(|error| Error::invalid("the model's header", error))?;
    let mut files = Files::new();
    for (name, len) in &header.files {
        let bytes = model.get(at..).and_then(|rest| rest.get(..*len)).ok_or_else(cut)?;
        files.push((name.clone().leak(), bytes));
        at = (at + len).next_multiple_of(LINE);
    }
    Ok((header, files))
}

/// Reads the input as a question, and answers it.
#[unsafe(no_mangle)]
extern "C" fn ask() {
    let Input { memory, first } = INPUT.replace(Input { memory: Vec::new(), first: 0 });
    let mut tell = |value: Value| {
        let text = value.to_string();
        frame(text.as_ptr(), text.len());
        ControlFlow::Continue(())
    };
    told(PAGE.with_borrow_mut(|page| {
        let none = || Error::invalid_argument("question", "no model was opened");
        page.as_mut().ok_or_else(none)?.answer(&read(&memory[first..])?, &mut tell)
    }));
}

fn told(answer: Result<Value>) {
    let text = match answer {
        Ok(answer) => json!({"answer": answer}).to_string(),
        Err(error) => failed(&error.to_string()),
    };
    OUTPUT.set(text.into_bytes());
}

fn failed(message: &str) -> String {
    json!({"error": {"message": message}}).to_string()
}

/// Where the answer to the last call is.
#[unsafe(no_mangle)]
extern "C" fn output() -> *const u8 {
    if let Some(message) = PANIC.take() {
        OUTPUT.set(failed(message).into_bytes());
    }
    OUTPUT.with_borrow(|text| text.as_ptr())
}

/// How long it is; asked after [`output`].
#[unsafe(no_mangle)]
extern "C" fn output_len() -> usize {
    OUTPUT.with_borrow(Vec::len)
}
