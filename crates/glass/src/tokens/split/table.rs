//! Which regular expressions are which split. A `tokenizer.json` holds them as one `Split` or as several in a row.

use super::Split;

/// A split and expressions of it, which follow each other in a file. Among entries with the same split, the first is
/// the one that is written.
pub struct Known {
    /// The split.
    pub split: Split,
    /// The expressions.
    pub expressions: &'static [&'static str],
    /// Whether they match all of any text, so that nothing is left between two matches.
    pub all: bool,
}

const fn one(split: Split, expression: &'static [&'static str]) -> Known {
    Known { split, expressions: expression, all: true }
}

const fn gpt4(digits: u8) -> Split {
    Split::Gpt4 { digits, tail: false }
}

/// Every split, with its expressions.
pub const KNOWN: [Known; 13] = [
    one(Split::Gpt2, &[r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"]),
    one(Split::Gpt2, &[r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"]),
    one(Split::Gpt2, &[r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"]),
    // Llama 3, OLMo 2, Granite 4, SmolLM3, and GPT-4 as it was first published.
    one(
        gpt4(3),
        &[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
    ),
    one(
        gpt4(3),
        &[
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
        ],
    ),
    // tiktoken's cl100k_base.
    one(
        Split::Gpt4 { digits: 3, tail: true },
        &[
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
        ],
    ),
    // nanochat.
    one(
        gpt4(2),
        &[
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
        ],
    ),
    one(
        gpt4(2),
        &[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
    ),
    // Qwen 2 to 3, StableLM 2.
    one(
        gpt4(1),
        &[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
    ),
    one(
        gpt4(1),
        &[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
    ),
    // tiktoken's o200k_base, Phi-4-mini.
    one(
        Split::O200k { digits: 3, endings: true },
        &[
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
    ),
    // Tekken: Mistral's newer models.
    one(
        Split::O200k { digits: 1, endings: false },
        &[
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
    ),
    Known {
        split: Split::DeepSeek,
        expressions: &[
            r"\p{N}{1,3}",
            "[一-龥\u{3040}-ゟ゠-ヿ]+",
            r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
        ],
        all: false,
    },
];

/// The split that the expressions of a file begin with, and how many of them it takes.
pub fn find(expressions: &[&str]) -> Option<&'static Known> {
    // Line ends are written as themselves or as escapes.
    let spelled = |expression: &str| expression.replace('\r', r"\r").replace('\n', r"\n");
    let same = |known: &&Known| {
        expressions.len() >= known.expressions.len()
            && known.expressions.iter().zip(expressions).all(|(known, found)| *known == spelled(found))
    };
    KNOWN.iter().find(same)
}

/// The expressions of a split; empty for those that are written in another way.
pub fn expressions(split: Split) -> &'static [&'static str] {
    KNOWN.iter().find(|known| known.split == split).map_or(&[], |known| known.expressions)
}
