//! `glass verify`: checks that the same seed gives the same bits on this machine.

use std::io::Write as _;
use std::rc::Rc;
use std::time::Instant;

use glass::backend::{Cpu, Packing};
use glass::verify::{Compared, Way, verify};
use serde_json::json;

use crate::args::VerifyArgs;
use crate::fail::Fail;
use crate::model_arg::Subject;
use crate::out::{Out, count, number};

/// Runs the command.
pub fn run(args: &VerifyArgs) -> Result<(), Fail> {
    let subject = Subject::open(args.model.as_deref())?;
    let packings = subject.packings(&args.packings)?;
    let (begun, mut out) = (Instant::now(), Out::new());
    let (mut all, mut documents) = (Vec::new(), Vec::new());
    for packing in packings {
        let compared = one(&mut out, args, &subject, packing)?;
        let ways = compared
            .iter()
            .map(|c| json!({"way": c.way.to_string(), "numbers": c.numbers, "differs": c.differs, "guessed": c.guesses.all, "right": c.guesses.right}));
        documents.push(json!({"packing": packing.map(Packing::name), "ways": ways.collect::<Vec<_>>()}));
        all.extend(compared);
    }
    let (seconds, numbers) = (begun.elapsed().as_secs_f64(), all.iter().map(|c| c.numbers).sum::<u64>());
    let apart = all.iter().filter(|c| c.differs.is_some()).count();
    if args.json {
        out.json(
            &json!({"model": subject.name, "same": apart == 0, "seconds": seconds, "packings": documents}),
        )?;
    } else if apart == 0 {
        let same = out.green("Same bits");
        writeln!(out, "{same}: {} compared in {seconds:.1} s", count(numbers as usize, "number"))?;
    }
    out.done()?;
    match apart {
        0 => Ok(()),
        _ => Err(Fail::failed(format!(
            "{}: {apart} of {} comparisons found different bits; please report it, with the output of --json",
            subject.name,
            all.len()
        ))),
    }
}

/// Checks one packing in all ways.
fn one(
    out: &mut Out,
    args: &VerifyArgs,
    subject: &Subject,
    packing: Option<Packing>,
) -> Result<Vec<Compared>, Fail> {
    // A way without a number of threads uses all of them.
    let model = Rc::new(subject.load(Cpu::new(Cpu::available_threads()), packing)?);
    let name = packing.map_or("packed", Packing::name);
    if !args.json {
        let heading = format!("{}, {name}", subject.name);
        writeln!(out, "{}", out.bold(&heading))?;
        out.show()?;
    }
    let mut open = |way: Way| {
        Ok(match way {
            Way::Threads(threads) | Way::Served(threads) => Rc::new(model.on(Cpu::new(threads))),
            _ => model.clone(),
        })
    };
    let (mut compared, mut failed) = (Vec::new(), Ok(()));
    let mut each = |found: Compared| {
        if !args.json && failed.is_ok() {
            failed = line(out, &found);
        }
        compared.push(found);
    };
    let own = model.draft().map(|_| Way::OWN);
    let ways: Vec<Way> = Way::ALL[1..].iter().copied().chain(own).collect();
    verify(&ways, &mut open, &mut each)?;
    failed.map(|()| compared)
}

fn line(out: &mut Out, found: &Compared) -> Result<(), Fail> {
    let what = if matches!(found.way, Way::Together | Way::Guessed(_) | Way::Served(_)) {
        "tokens"
    } else {
        "logits"
    };
    let said = match &found.differs {
        None => out.green("same"),
        Some(_) => out.yellow("differs"),
    };
    writeln!(out, "  {said}  {:<30} {:>11} {what}", found.way.to_string(), number(found.numbers))?;
    if found.guesses.all > 0 {
        let [right, all] = [found.guesses.right, found.guesses.all].map(|count| number(count as u64));
        writeln!(out, "        {right} of {all} guesses were right")?;
    }
    if let Some(differs) = &found.differs {
        out.hanging(&format!("    {differs}"), 4)?;
    }
    out.show()
}
