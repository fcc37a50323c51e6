//! The header of a GGUF file while it is written.

use super::container::{ALIGNMENT, F32, I32, LIST, MAGIC, TEXT, U32, VERSION};

/// The header of a file while it is written.
#[derive(Default)]
pub struct Head {
    fields: Vec<u8>,
    count: u64,
    tensors: Vec<u8>,
}

impl Head {
    pub fn field(&mut self, name: &str, kind: u32, value: &[u8]) {
        self.count += 1;
        put_text(&mut self.fields, name);
        self.fields.extend(kind.to_le_bytes());
        self.fields.extend(value);
    }

    pub fn u32(&mut self, name: &str, value: u32) {
        self.field(name, U32, &value.to_le_bytes());
    }

    pub fn i32(&mut self, name: &str, value: i32) {
        self.field(name, I32, &value.to_le_bytes());
    }

    pub fn f32(&mut self, name: &str, value: f32) {
        self.field(name, F32, &value.to_le_bytes());
    }

    pub fn text(&mut self, name: &str, text: &str) {
        let mut value = Vec::new();
        put_text(&mut value, text);
        self.field(name, TEXT, &value);
    }

    pub fn texts(&mut self, name: &str, texts: &[String]) {
        let mut values = Vec::new();
        texts.iter().for_each(|text| put_text(&mut values, text));
        self.list(name, TEXT, texts.len(), &values);
    }

    pub fn list(&mut self, name: &str, kind: u32, count: usize, values: &[u8]) {
        let head = [&kind.to_le_bytes()[..], &(count as u64).to_le_bytes(), values].concat();
        self.field(name, LIST, &head);
    }

    /// A tensor's place. The innermost size comes first.
    pub fn tensor(&mut self, name: &str, sizes: &[u64], kind: u32, at: usize) {
        put_text(&mut self.tensors, name);
        self.tensors.extend((sizes.len() as u32).to_le_bytes());
        sizes.iter().for_each(|size| self.tensors.extend(size.to_le_bytes()));
        self.tensors.extend(kind.to_le_bytes());
        self.tensors.extend((at as u64).to_le_bytes());
    }

    /// The bytes of the header, with the fields and tensors so far.
    pub fn done(self, tensors: usize) -> Vec<u8> {
        let (version, counts) = (VERSION.to_le_bytes(), [tensors as u64, self.count].map(u64::to_le_bytes));
        let mut all = [MAGIC, &version, &counts.concat(), &self.fields, &self.tensors].concat();
        all.resize(all.len().next_multiple_of(ALIGNMENT), 0);
        all
    }
}

fn put_text(to: &mut Vec<u8>, text: &str) {
    to.extend((text.len() as u64).to_le_bytes());
    to.extend(text.as_bytes());
}
