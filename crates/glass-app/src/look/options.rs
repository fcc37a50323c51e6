//! Options that go together: one that would change nothing is refused.

use crate::args::{LookArgs, SweepKind};
use crate::fail::Fail;

/// Refuses options that change nothing beside the others.
pub fn check(args: &LookArgs) -> Result<(), Fail> {
    let picture = args.has_picture();
    let mode = mode(args)?;
    // An option, whether it is given, and the looks that it changes beside the tour.
    let options: [(&str, bool, &[&str]); 11] = [
        ("--lens", args.lens.is_some(), &[]),
        ("--head", args.head.is_some(), &[]),
        ("--transpose", args.transpose, &[]),
        ("--next", args.next.is_some(), &["--sweep"]),
        ("--from", args.from.is_some(), &["--sweep"]),
        ("--ablate", !args.ablate.is_empty(), &["--beside"]),
        ("--steer", !args.steer.is_empty(), &["--beside"]),
        ("--cut", !args.cut.is_empty(), &[]),
        ("--patch", !args.patch.is_empty(), &[]),
        ("--record", !args.record.is_empty(), &[]),
        ("--word", args.word.is_some(), &["--beside", "--of"]),
    ];
    for (option, given, changes) in options {
        if given && !mode.is_empty() && !changes.contains(&mode) {
            return Err(Fail::asked(format!(
                "{option}: it changes nothing with {mode}; leave one of them out"
            )));
        }
    }
    if args.data.is_some() && args.neuron.is_none() && !args.fit_lens {
        return Err(Fail::asked(
            "--data: nothing reads these texts; add --neuron BLOCK.NEURON or --fit-lens",
        ));
    }
    if args.out.is_some() && args.record.is_empty() && !args.fit_lens {
        return Err(Fail::asked("--out: nothing is written; add --record SITE or --fit-lens"));
    }
    if args.transpose && !picture {
        return Err(pictures_only("--transpose"));
    }
    let takes = !args.patch.is_empty() || matches!(args.sweep, Some(SweepKind::Heads | SweepKind::Residual));
    if args.from.is_some() && !takes {
        return Err(Fail::asked(
            "--from: nothing is taken from it; add --patch SITE, --sweep heads or --sweep residual",
        ));
    }
    Ok(())
}

/// What is looked at; an empty name for the tour of a text.
fn mode(args: &LookArgs) -> Result<&'static str, Fail> {
    let modes = [
        ("--train", args.train.is_some()),
        ("--circuits", args.circuits.is_some()),
        ("--neuron", args.neuron.is_some()),
        ("--fit-lens", args.fit_lens),
        ("--heads", args.heads),
        ("--sweep", args.sweep.is_some()),
        ("--beside", args.beside.is_some()),
        ("--of", !args.of.is_empty()),
    ];
    let mut given = modes.into_iter().filter(|(_, given)| *given).map(|(name, _)| name);
    match (given.next(), given.next()) {
        (Some(first), Some(second)) => {
            Err(Fail::asked(format!("{first} and {second} are two different results; ask for one at a time")))
        }
        (first, _) => Ok(first.unwrap_or_default()),
    }
}

/// Refuses an option that only pictures use.
pub fn pictures_only(option: &str) -> Fail {
    Fail::asked(format!("{option}: only pictures use it; add --svg, --png or --html with a file's name"))
}

/// `3.17`
pub fn two_numbers(option: &str, asked: &str, what: &str, most: [usize; 2]) -> Result<(usize, usize), Fail> {
    let numbers = asked.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    numbers.filter(|&(first, second)| first < most[0] && second < most[1]).ok_or_else(|| {
        let [first, second] = most.map(|count| count - 1);
        Fail::asked(format!("{option}: {asked:?} does not exist; give {what}, from 0.0 to {first}.{second}"))
    })
}
