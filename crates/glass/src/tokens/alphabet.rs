//! GPT-2's alphabet for bytes: in a `tokenizer.json` every byte of a token stands as one printable character.
//!
//! Printable bytes of Latin-1 stand for themselves, the 68 others as the characters from U+0100 on (`bytes_to_unicode`
//! in OpenAI's `encoder.py`): a space is `Ġ`, a line feed `Ċ`.

/// Whether a byte stands for itself.
fn printable(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// The character of every byte, and the byte of every character below U+0144.
pub struct Alphabet {
    characters: [char; 256],
    bytes: [Option<u8>; 0x144],
}

impl Alphabet {
    /// Works it out.
    pub fn new() -> Alphabet {
        let (mut characters, mut bytes) = ([' '; 256], [None; 0x144]);
        let mut others = '\u{100}'..;
        for byte in 0..=255u8 {
            let character = match printable(byte) {
                true => char::from(byte),
                false => others.next().expect("there are 68 of them"),
            };
            characters[byte as usize] = character;
            bytes[character as usize] = Some(byte);
        }
        Alphabet { characters, bytes }
    }

    /// Bytes as they are written.
    pub fn write(&self, bytes: &[u8]) -> String {
        bytes.iter().map(|byte| self.characters[*byte as usize]).collect()
    }

    /// What is written as bytes; none where a character is not of the alphabet.
    pub fn read(&self, text: &str) -> Option<Vec<u8>> {
        text.chars().map(|character| *self.bytes.get(character as usize)?).collect()
    }
}
