//! Examines one attention head of the built-in model: where every token's attention goes.
//!
//! `cargo run --release --example head [BLOCK [HEAD]]`

use glass::backend::Cpu;
use glass::built_in;
use glass::inspect::{Inspector, Record};
use glass::probe::{Part, Site};
use glass::text_model::TextModel;
use glass::tokens::Special;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let block = arguments.next().transpose()?.unwrap_or(0);
    let head = arguments.next().transpose()?.unwrap_or(0);

    let model = TextModel::new(Cpu::new(2), built_in::model().ok_or("no built-in model")??)?;
    let (layers, heads) = (model.config().layers, model.config().heads.query);
    if block >= layers || head >= heads {
        return Err(format!("the model has blocks 0 to {} and heads 0 to {}", layers - 1, heads - 1).into());
    }
    let tokenizer = model.tokenizer.as_ref().ok_or("no tokenizer")?;
    let ids = tokenizer.encode("The dog lost the ball. The sad dog", Special::Plain);

    let site = Site::Block(block, Part::Pattern);
    let mut record = Record::of([site]);
    Inspector::new(&model, ids.len(), 1)?.run(&[&ids], &mut record)?;
    // Heads × queries rows; each sums to 1 over the keys that its query may see.
    let pattern = record.get(site)?;
    let word = |at: usize| String::from_utf8_lossy(model.bytes(ids[at])).into_owned();
    for query in 0..ids.len() {
        let row = pattern.row(head * ids.len() + query);
        let most = (0..=query).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0);
        println!("{:>10} attends most to {:<10} {:.2}", word(query).trim(), word(most).trim(), row[most]);
    }
    Ok(())
}
