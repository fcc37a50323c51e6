//! What data look like that no ending tells: text, JSON lines, JSON, or a table.

use std::io::Read as _;
use std::path::Path;

/// Bytes that are looked at.
const BEGINNING: usize = 64 << 10;

/// Records of a table that must be alike.
const RECORDS: usize = 8;

/// What a text looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DataFormat {
    Text,
    Lines,
    Json,
    Csv,
    Tsv,
}

impl DataFormat {
    /// Of data whose documents would be in a column or field of this name.
    pub fn of(bytes: &[u8], field: &str) -> DataFormat {
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
        let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
        let second = text.get(1..).unwrap_or_default().trim_ascii_start().first();
        let is_json = |text: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
        match (text.first(), second) {
            (Some(b'{'), Some(b'"')) if is_json(first) || first.ends_with(b"}") => DataFormat::Lines,
            (Some(b'{'), Some(b'"')) => DataFormat::Json,
            // Several arrays are lines, of conversations: they are refused with advice.
            (Some(b'['), Some(b'{')) if is_json(first) && first.len() < text.trim_ascii_end().len() => {
                DataFormat::Lines
            }
            (Some(b'['), Some(b'{')) => DataFormat::Json,
            (Some(b'['), _) if is_json(text) => DataFormat::Json,
            _ => table(&text[..text.len().min(BEGINNING)], text.len() < BEGINNING, field)
                .unwrap_or(DataFormat::Text),
        }
    }

    /// Of a file, by its beginning. Text, where it cannot be read.
    pub fn of_file(path: &Path, field: &str) -> DataFormat {
        let mut bytes = Vec::new();
        let read =
            std::fs::File::open(path).and_then(|file| file.take(BEGINNING as u64).read_to_end(&mut bytes));
        if read.is_ok() { DataFormat::of(&bytes, field) } else { DataFormat::Text }
    }

    /// How a file of it ends.
    pub fn ending(self) -> &'static str {
        match self {
            DataFormat::Text => "txt",
            DataFormat::Lines => "jsonl",
            DataFormat::Json => "json",
            DataFormat::Csv => "csv",
            DataFormat::Tsv => "tsv",
        }
    }

    /// As one calls it.
    pub fn name(self) -> &'static str {
        match self {
            DataFormat::Text => "text",
            DataFormat::Lines => "JSON lines",
            DataFormat::Json => "JSON",
            DataFormat::Csv => "CSV",
            DataFormat::Tsv => "TSV",
        }
    }
}

/// The kind of table that a text is, if it is one: its records have as many fields as its first line has names, and the
/// field is among the names, or there are records and the names look like names.
fn table(text: &[u8], whole: bool, field: &str) -> Option<DataFormat> {
    [(b',', DataFormat::Csv), (b';', DataFormat::Csv), (b'\t', DataFormat::Tsv)].into_iter().find_map(
        |(separator, kind)| {
            let (names, rest) =
                records(text, whole, separator).split_first().map(|(a, b)| (a.clone(), b.to_vec()))?;
            let alike = rest.iter().all(|record| record.len() == names.len());
            let is_named = names.iter().any(|name| name.trim() == field);
            // One quoted column.
            let quoted = |record: &[String]| record.len() == 1 && text.starts_with(b"\"") && !rest.is_empty();
            let several =
                names.len() > 1 && (is_named || (rest.len() > 1 && names.iter().all(|name| is_name(name))));
            (alike && (several || (is_named && quoted(&names)))).then_some(kind)
        },
    )
}

/// Whether this is how a column may be called: a few words, with nothing around them.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || " _-.()/#".contains(c);
    !name.is_empty() && name.len() <= 40 && name.trim() == name && name.chars().all(plain)
}

/// The first records of a table. Of a text that is not whole, the last one may be cut off, and is left out.
fn records(text: &[u8], whole: bool, separator: u8) -> Vec<Vec<String>> {
    let (mut all, mut record, mut field) = (Vec::new(), Vec::new(), Vec::new());
    let (mut quoted, mut bytes) = (false, text.iter().copied().peekable());
    let end = |field: &mut Vec<u8>| String::from_utf8_lossy(&std::mem::take(field)).into_owned();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if quoted && bytes.peek() == Some(&b'"') => {
                field.push(byte);
                bytes.next();
            }
            b'"' if quoted || field.is_empty() => quoted = !quoted,
            b'\r' if !quoted && bytes.peek() == Some(&b'\n') => {}
            b'\n' if !quoted => {
                record.push(end(&mut field));
                // Empty lines are no records.
                if record.len() > 1 || !record[0].is_empty() {
                    all.push(std::mem::take(&mut record));
                }
                record.clear();
                if all.len() == RECORDS {
                    return all;
                }
            }
            byte if byte == separator && !quoted => record.push(end(&mut field)),
            byte => field.push(byte),
        }
    }
    if whole && !quoted && !(record.is_empty() && field.is_empty()) {
        record.push(end(&mut field));
        all.push(record);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::DataFormat;

    #[test]
    fn what_is_not_text_is_recognised() {
        for (text, field, kind) in [
            ("{\"text\":\"a\"}\n{\"text\":\"b\"}\n", "text", DataFormat::Lines),
            ("\u{feff}{\"text\":\"a\"}", "text", DataFormat::Lines),
            ("{\n  \"text\": \"a\"\n}\n", "text", DataFormat::Json),
            ("[{\"text\":\"a\"},{\"text\":\"b\"}]", "text", DataFormat::Json),
            ("[{\"text\":\"a\"},{\"text\":\"b\"}]\n", "text", DataFormat::Json),
            ("\n[\n  {\n    \"body\": \"a\"\n  }\n]\n", "text", DataFormat::Json),
            ("[\"a\", \"b\"]", "text", DataFormat::Json),
            ("[{\"role\":\"user\"}]\n[{\"role\":\"user\"}]\n", "text", DataFormat::Lines),
            ("id,text\n1,\"A dog, a ball.\"\n", "text", DataFormat::Csv),
            ("\"id\",\"text\"\r\n1,\"A \"\"dog\"\"\nand a ball.\"\r\n", "text", DataFormat::Csv),
            ("\u{feff}id;text\n1;A dog\n", "text", DataFormat::Csv),
            ("id\ttext\n1\tA dog\n", "text", DataFormat::Tsv),
            ("\"text\"\n\"A dog\"\n", "text", DataFormat::Csv),
            ("id,story\n1,A dog\n2,A ball\n3,\"a, b\"\n", "text", DataFormat::Csv),
        ] {
            assert_eq!(DataFormat::of(text.as_bytes(), field), kind, "{text}");
        }
    }

    #[test]
    fn what_is_text_stays_text() {
        for text in [
            "The dog, the ball\nand the house, all\n",
            "Twinkle, twinkle\nlittle, star\nhow, I\n",
            "Dear all,\nthis is text,\nwith commas,\n",
            "[1] A list\n[2] of notes\n",
            "{ int a = 3; }\n",
            "fn main() {\n    f(a,b);\n}\n",
            "text\nA word\n",
            "",
        ] {
            assert_eq!(DataFormat::of(text.as_bytes(), "text"), DataFormat::Text, "{text}");
        }
    }
}
