//! `glass completions` and `glass man`: shell completions and manual pages, generated from the command line's
//! definition.

use std::fs;
use std::io::Write as _;

use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::args::{self, CompletionsArgs, ManArgs};
use crate::fail::Fail;
use crate::out::Out;

/// The width of preformatted text in a page, whose margin is seven columns.
const COLUMNS: usize = 72;

/// Prints a completion script.
pub fn completions(args: &CompletionsArgs) -> Result<(), Fail> {
    let (mut command, mut script) = (args::command(COLUMNS), Vec::new());
    clap_complete::generate(args.shell, &mut command, "glass", &mut script);
    let mut out = Out::new();
    out.write_all(&script)?;
    out.done()
}

/// Prints a manual page, or writes all of them.
pub fn man(args: &ManArgs) -> Result<(), Fail> {
    let mut program = args::command(COLUMNS);
    program.build();
    if let Some(folder) = &args.out {
        fs::create_dir_all(folder).map_err(|error| glass::Error::io("cannot create", folder, error))?;
        for (name, command) in pages(&program) {
            let path = folder.join(format!("{name}.1"));
            fs::write(&path, page(&name, command)?)
                .map_err(|error| glass::Error::io("cannot write", path, error))?;
        }
        return Ok(());
    }
    let name = std::iter::once("glass").chain(args.command.iter().map(String::as_str));
    let name = name.collect::<Vec<_>>().join("-");
    let pages = pages(&program);
    let Some((name, command)) = pages.iter().find(|(found, _)| *found == name) else {
        let known: Vec<String> = pages.iter().skip(1).map(|(name, _)| name[6..].replace('-', " ")).collect();
        let asked = args.command.join(" ");
        return Err(Fail::asked(format!("COMMAND: {asked:?} is unknown; there are {}", known.join(", "))));
    };
    let mut out = Out::new();
    out.write_all(&page(name, command)?)?;
    out.done()
}

/// The program and its commands, with the names of their pages: `glass-tokenizer-learn`.
fn pages(program: &clap::Command) -> Vec<(String, &clap::Command)> {
    fn walk<'a>(name: &str, command: &'a clap::Command, found: &mut Vec<(String, &'a clap::Command)>) {
        found.push((name.into(), command));
        for next in command.get_subcommands().filter(|next| next.get_name() != "help") {
            walk(&format!("{name}-{}", next.get_name()), next, found);
        }
    }
    let mut found = Vec::new();
    walk("glass", program, &mut found);
    found
}

/// One page in roff.
fn page(name: &str, command: &clap::Command) -> Result<Vec<u8>, Fail> {
    let version = format!("glass {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone().display_name(name)).title(name).section("1").source(version);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut page)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let more = command.get_after_long_help().or_else(|| command.get_after_help());
    if let Some(more) = more {
        let mut roff = Roff::new();
        roff.control("SH", ["DETAILS"]).control("nf", []);
        for line in more.to_string().lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []).to_writer(&mut page)?;
    }
    Ok(page)
}
