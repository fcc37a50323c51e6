//! `glass tokenizer report`: measures how well a vocabulary fits a text.

use std::io::Write as _;

use glass::tokens::Tokenizer;
use glass::tokens::usage::{Ids, TokenKind, Usage};
use serde_json::{Value, json};

use super::{texts, whole};
use crate::args::ReportArgs;
use crate::fail::Fail;
use crate::model_arg;
use crate::out::{Out, count, number, percent};
use crate::printable::{lossy, quoted};
use crate::progress::ProgressLine;

/// The kinds of ids that are counted, with their names.
const KINDS: [(TokenKind, &str, &str); 3] = [
    (TokenKind::Byte, "bytes", "single bytes"),
    (TokenKind::Merged, "merged", "merged"),
    (TokenKind::Special, "special", "special"),
];

/// Shares of a text, and their labels.
const SHARES: [f64; 3] = [0.5, 0.9, 0.99];

/// Runs `glass tokenizer report`.
pub fn run(args: &ReportArgs) -> Result<(), Fail> {
    let (name, tokenizer) = match &args.vocab {
        Some(vocabulary) => (vocabulary.clone(), model_arg::vocabulary("--vocab", vocabulary)?),
        None => {
            let model = args.model.as_deref();
            (model_arg::name(model), model_arg::tokenizer(model)?)
        }
    };
    let report = Report::count(args, name, tokenizer)?;
    let mut out = Out::new();
    match args.json {
        true => out.json(&report.document())?,
        false => report.show(&mut out)?,
    }
    out.done()
}

struct Report {
    name: String,
    tokenizer: Tokenizer,
    files: usize,
    own: Usage,
    gpt2: Usage,
    top: usize,
}

impl Report {
    fn count(args: &ReportArgs, name: String, tokenizer: Tokenizer) -> Result<Report, Fail> {
        let reading = whole(&args.field);
        let (found, texts) = texts(&args.files, &reading)?;
        let (mut own, mut gpt2) = (Usage::new(&tokenizer), Usage::new(&Tokenizer::gpt2()));
        let mut line = ProgressLine::default();
        for text in texts {
            let text = text?;
            own.add(&text);
            gpt2.add(&text);
            let rate = own.bytes() as f64 / 1e6 / line.seconds().max(1e-3);
            line.show(&format!("{} bytes read, {rate:.1} MB/s", number(own.bytes())));
        }
        line.end();
        if own.bytes() == 0 {
            return Err(Fail::failed(format!(
                "{}: it holds no text; give files with text",
                found[0].display()
            )));
        }
        Ok(Report { name, tokenizer, files: found.len(), own, gpt2, top: args.top })
    }

    fn bytes(&self, id: u32) -> &[u8] {
        self.tokenizer.token(id).unwrap_or_default()
    }

    fn share(&self, tokens: u64) -> f64 {
        tokens as f64 / self.own.tokens().max(1) as f64
    }

    /// Tokens that never occur: merged ones first, since they were learned for nothing.
    fn never_used(&self) -> Vec<u32> {
        let mut never = self.own.never_used();
        never.sort_by_key(|id| self.own.kind(*id) != TokenKind::Merged);
        never
    }

    fn document(&self) -> Value {
        let Report { own, gpt2, top, .. } = self;
        let token = |id: &u32| {
            let (bytes, count) = (self.bytes(*id), own.count(*id));
            json!({"id": id, "text": lossy(bytes), "bytes": bytes.len(), "count": count, "share": self.share(count)})
        };
        let list = |ids: Vec<u32>| ids.iter().take(*top).map(token).collect::<Vec<_>>();
        let kinds = KINDS.map(|(kind, name, _)| {
            let Ids { ids, used, tokens } = own.ids(kind);
            (
                name.to_string(),
                json!({"ids": ids, "used": used, "tokens": tokens, "share": self.share(tokens)}),
            )
        });
        let covering = SHARES.map(|share| json!({"share": share, "ids": own.covering(share)}));
        let never = self.never_used();
        json!({
            "vocabulary": self.tokenizer.vocabulary_size(), "files": self.files, "bytes": own.bytes(),
            "tokens": own.tokens(), "bytes_per_token": own.bytes_per_token(),
            "gpt2": {"tokens": gpt2.tokens(), "bytes_per_token": gpt2.bytes_per_token()},
            "ids": Value::Object(kinds.into_iter().collect()), "covering": covering,
            "most_frequent": list(own.most_frequent()), "longest": list(own.longest()),
            "never_used": {"ids": never.len(), "examples": list(never)},
        })
    }

    fn show(&self, out: &mut Out) -> Result<(), Fail> {
        let (vocabulary, bytes) = (number(self.tokenizer.vocabulary_size() as u64), number(self.own.bytes()));
        let (name, files) = (out.bold(&self.name), count(self.files, "file"));
        out.prose(&format!("{name}: {vocabulary} tokens, on {bytes} bytes of text from {files}"))?;
        writeln!(out)?;
        self.lengths(out)?;
        self.kinds(out)?;
        self.list(out, "the most frequent", &self.own.most_frequent())?;
        self.list(out, "the longest", &self.own.longest())?;
        let never = self.never_used();
        self.list(out, &format!("never used: {}, as", number(never.len() as u64)), &never)
    }

    /// Compared with GPT-2's.
    fn lengths(&self, out: &mut Out) -> Result<(), Fail> {
        let heading = format!("{:<18}{:>12}{:>17}{:>13}", "", "tokens", "bytes per token", "of GPT-2's");
        writeln!(out, "{}", out.bold(&heading))?;
        let most = self.gpt2.tokens().max(1) as f64;
        for (name, usage) in [("this vocabulary", &self.own), ("GPT-2's", &self.gpt2)] {
            let (tokens, length) = (usage.tokens(), usage.bytes_per_token().unwrap_or_default());
            let part = percent(tokens as f64 / most, 1);
            writeln!(out, "{name:<18}{:>12}{length:>17.3}{part:>13}", number(tokens))?;
        }
        Ok(())
    }

    fn kinds(&self, out: &mut Out) -> Result<(), Fail> {
        let heading = format!("\n{:<18}{:>12}{:>15}{:>15}", "ids", "there", "used", "of all tokens");
        writeln!(out, "{}", out.bold(&heading))?;
        for (kind, _, name) in KINDS {
            let Ids { ids, used, tokens } = self.own.ids(kind);
            let [ids, used] = [ids, used].map(number);
            let share = percent(self.share(tokens), 1);
            writeln!(out, "{name:<18}{ids:>12}{used:>15}{share:>15}")?;
        }
        let covering = SHARES.map(|share| number(self.own.covering(share) as u64));
        out.prose(&format!("ids that cover 50 %, 90 %, 99 % of the tokens: {}", covering.join(", ")))
    }

    fn list(&self, out: &mut Out, heading: &str, ids: &[u32]) -> Result<(), Fail> {
        if ids.is_empty() || self.top == 0 {
            return Ok(());
        }
        let heading = format!("\n{:<29}{:>9}{:>12}", heading, "bytes", "times");
        writeln!(out, "{}", out.bold(&heading))?;
        for &id in ids.iter().take(self.top) {
            let (bytes, times) = (self.bytes(id), self.own.count(id));
            let share = out.dim(&format!("{:>8}", percent(self.share(times), 2)));
            writeln!(out, "{id:>7}  {:<22}{:>7}{:>12} {share}", quoted(bytes), bytes.len(), number(times))?;
        }
        Ok(())
    }
}
