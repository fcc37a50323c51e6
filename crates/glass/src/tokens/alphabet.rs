//! GPT-2's alphabet for bytes: `tokenizer.json` writes every byte of a token as one printable character.
//!
//! Printable bytes of Latin-1 are written as themselves, the 68 others as the characters from U+0100 on
//! (`bytes_to_unicode` in OpenAI's `encoder.py`): a space is `Ġ`, a line feed `Ċ`.

/// Whether a byte is written as itself.
fn printable(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// The character of every byte, and the byte of every character below U+0144.
pub struct Alphabet {
    characters: [char; 256],
    bytes: [Option<u8>; 0x144],
}

impl Alphabet {
    /// Builds the alphabet.
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

    /// Writes bytes in this alphabet.
    pub fn write(&self, bytes: &[u8]) -> String {
        bytes.iter().map(|byte| self.characters[*byte as usize]).collect()
    }

    /// Appends the bytes that a text writes in this alphabet; false, and nothing is appended, if a character does not
    /// belong to it.
    pub fn read(&self, text: &str, bytes: &mut Vec<u8>) -> bool {
        let from = bytes.len();
        for character in text.chars() {
            match self.bytes.get(character as usize) {
                Some(Some(byte)) => bytes.push(*byte),
                _ => {
                    bytes.truncate(from);
                    return false;
                }
            }
        }
        true
    }
}
