//! The Jacobian lens: `--fit-lens` fits it, `--lens` reads through it.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use glass::backend::Cpu;
use glass::inspect::Inspector;
use glass::inspect::jacobian::{FILE, Fit, JacobianLens, TOKENS};
use glass::tokens::Special;
use glass::train::data::Reading;
use glass::train::pieces::{Pieces, Sizes};
use glass::weights::dtype::Dtype;
use serde_json::json;

use crate::args::{LookArgs, is_sample};
use crate::fail::Fail;
use crate::model_arg::{NamedModel, located, name};
use crate::out::{Out, count, number};
use crate::progress::ProgressLine;

/// What `--lens` calls the lens beside the model.
const BESIDE: &str = "jacobian";

/// Fits the lens on the texts of `data`.
pub fn fit(args: &LookArgs, model: &NamedModel, data: &Path) -> Result<(), Fail> {
    let (file, wanted) = (file(args)?, args.texts);
    let tokens = args.tokens.unwrap_or(TOKENS.min(model.config().context));
    let tokenizer = model.tokenizer()?;
    let mut fit = Fit::new(model, tokens, args.skip)?;
    let (mut line, mut short) = (ProgressLine::default(), 0);
    let reading = Reading::default();
    let pieces = match is_sample(data) {
        true => Pieces::of(data, Cursor::new(glass::built_in::SAMPLE), &reading, Sizes::default()),
        false => Pieces::of_files(&[data.into()], &reading, Sizes::default()),
    };
    for piece in pieces {
        let ids = tokenizer.encode_prompt(&piece?.text, Special::Plain);
        if !fit.read(&ids)? {
            short += 1;
            continue;
        }
        let read = fit.texts();
        let rate = format!("{:.2} s each", line.seconds() / read as f64);
        line.show_part(&format!("{} of {wanted} texts, {rate}", number(read)), read as f64 / wanted as f64);
        if read == wanted {
            break;
        }
    }
    line.end();
    let lens = fit.lens()?;
    lens.save(&file, Dtype::F32)?;
    let about = lens.about();
    let mut out = Out::new();
    if args.json {
        out.json(
            &json!({"file": file.display().to_string(), "texts": about.texts, "positions": about.positions,
                         "tokens": tokens, "skipped": about.skipped, "too_short": short,
                         "seconds": line.seconds()}),
        )?;
        return out.done();
    }
    let ended = if about.texts < wanted { "; there are no more" } else { "" };
    let left = if short == 0 { String::new() } else { format!(" ({} too short)", count(short, "other")) };
    out.prose(&format!(
        "{}: the Jacobian lens of {}, fitted on {} positions of {}{left}{ended}; glass look TEXT --lens {BESIDE} \
         reads through it.",
        file.display(),
        name(args.model.as_deref()),
        number(about.positions),
        count(about.texts as usize, "text"),
    ))?;
    out.done()
}

/// Where the lens is written: beside the model, unless another place is given.
fn file(args: &LookArgs) -> Result<PathBuf, Fail> {
    if let Some(file) = &args.out {
        return Ok(file.clone());
    }
    let folder = args.model.as_deref().map(|model| located(model, false)).transpose()?;
    match folder.filter(|folder| folder.is_dir()) {
        Some(folder) => Ok(folder.join(FILE)),
        None => Err(Fail::asked(format!(
            "--fit-lens: {} has no folder for the lens; give --out F.safetensors",
            name(args.model.as_deref())
        ))),
    }
}

/// The lens that `--lens` asks for.
pub fn asked(
    args: &LookArgs,
    model: &NamedModel,
    inspector: &Inspector<'_, Cpu>,
) -> Result<Option<JacobianLens>, Fail> {
    match args.lens.as_deref() {
        None => Ok(None),
        Some(BESIDE) => match JacobianLens::beside(&model.folder, inspector)? {
            Some(lens) => Ok(Some(lens)),
            None => Err(Fail::asked(format!(
                "--lens: there is no {FILE} beside {}; fit one with glass look --fit-lens --data F, or name its file",
                name(args.model.as_deref())
            ))),
        },
        Some(file) if !Path::new(file).is_file() => Err(Fail::asked(format!(
            "--lens: {file:?} is neither {BESIDE}, the lens beside the model, nor a file"
        ))),
        Some(file) => Ok(Some(JacobianLens::open(file.as_ref(), inspector)?)),
    }
}
