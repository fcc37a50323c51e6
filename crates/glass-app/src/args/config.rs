//! Options in a file: `--config FILE.toml`, the file written by every run, the options of `--data sample`, and recipes.
//!
//! A file's options are treated as if given on the command line, but with lower priority: an option on the command
//! line, or one that excludes it, replaces the file's.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args as _, Command};
use toml::{Table, Value};

use super::TrainArgs;
use crate::fail::Fail;

/// The file in a run's folder that holds its options, for resuming.
pub const KEPT: &str = "train/config.toml";

/// The name of the text that comes with the program.
pub const SAMPLE: &str = "sample";

/// Options that learn something from the sample in half a minute on two cores.
const FOR_SAMPLE: &str = include_str!("sample.toml");

/// Options that belong together, by the name of the recipe; the first is that of a new model that names none.
pub const RECIPES: [(&str, &str); 2] = [("fast", include_str!("recipes/fast.toml")), ("gpt2", "")];

/// Options of a recipe that are for its optimiser only.
const OF_ITS_OPTIMISER: [&str; 4] = ["lr", "matrix-lr", "momentum", "muon-every"];

/// What the file with the options of a run begins with.
const OF_A_RUN: &str = "# The options of this run.";

/// Options of a single call, which are not kept with a run.
const OF_A_CALL: [&str; 8] = ["out", "config", "resume", "plan", "show-mask", "json", "plain", "help"];

/// Options whose value may name a file.
const PATHS: [&str; 8] = ["teacher", "data", "chat", "preferences", "val", "shards", "tokenizer", "from"];

/// The options of a training, for writing to a file, and which of them were typed.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Name and value, in the order of the help.
    all: Vec<(String, Value)>,
    /// The options on the command line itself.
    typed: HashSet<String>,
}

/// The arguments of the program, followed by those of the files that they name.
pub struct Expanded {
    pub arguments: Vec<OsString>,
    /// Options that are in a file, and in which one.
    files: Vec<(String, String)>,
}

impl Expanded {
    /// The file that an option is in.
    pub fn file_of(&self, option: &str) -> Option<&str> {
        self.files.iter().find(|(name, _)| name == option).map(|(_, file)| file.as_str())
    }
}

/// Reads the files that the arguments name.
pub fn expanded(arguments: Vec<OsString>) -> Result<Expanded, Fail> {
    let plain = |arguments| Expanded { arguments, files: Vec::new() };
    if arguments.get(1).is_none_or(|command| command != "train") {
        return Ok(plain(arguments));
    }
    let command = train();
    let mut given = Given::of(&command, &arguments[2..]);
    if given.has("help") {
        return Ok(plain(arguments));
    }
    let (typed, mut is_complete) = (given.value("recipe"), false);
    let mut added = Vec::new();
    if let Some(file) = given.value("config") {
        let text = std::fs::read_to_string(&file).map_err(|error| {
            Fail::asked(format!("--config: cannot read {}: {}", file.display(), glass::reason(&error)))
        })?;
        is_complete = text.starts_with(OF_A_RUN);
        added.extend(given.add(&command, &file.display().to_string(), &text)?);
    }
    if let Some(out) = given.value("out").filter(|_| given.has("resume")) {
        let file = out.join(KEPT);
        match std::fs::read_to_string(&file) {
            Ok(text) => {
                is_complete = true;
                added.extend(given.add(&command, &file.display().to_string(), &text)?);
            }
            Err(_)
                if out.join("train/run.json").exists()
                    && !["data", "chat", "preferences"].iter().any(|name| given.has(name)) =>
            {
                return Err(Fail::asked(format!(
                    "{}: a run keeps its options in this file, but it is missing; give --data and all other options as \
                         when it began",
                    file.display()
                )));
            }
            Err(_) => {}
        }
    }
    // The file of a run has all its options; the recipe may have others by now.
    let recipe = typed.or_else(|| {
        let named = || given.value("recipe").or_else(|| given.begins_a_model().then(|| RECIPES[0].0.into()));
        if is_complete { None } else { named() }
    });
    if let Some(recipe) = recipe {
        // An unknown name is refused with all other wrong values.
        let known = RECIPES.iter().find(|(name, _)| recipe == Path::new(name));
        if let Some((name, options)) = known {
            let options = given.suitable(name, options);
            added.extend(given.add(&command, &format!("--recipe {name}"), &options)?);
        }
    }
    if !given.has("resume") && given.value("data").is_some_and(|data| is_sample(&data)) {
        added.extend(given.add(&command, "sample.toml", FOR_SAMPLE)?);
    }
    Ok(Expanded { arguments: arguments.into_iter().chain(added).collect(), files: given.files })
}

/// Whether this names the text that comes with the program. If there is a file of that name, it does not.
pub fn is_sample(data: &Path) -> bool {
    data == Path::new(SAMPLE) && !data.exists()
}

fn train() -> Command {
    let mut command = TrainArgs::augment_args(Command::new("train"));
    command.build();
    command
}

/// Options that were given: their names, and the values of some.
struct Given {
    names: HashSet<String>,
    values: Vec<(String, OsString)>,
    /// Those from a file, and its name.
    files: Vec<(String, String)>,
}

impl Given {
    fn of(command: &Command, arguments: &[OsString]) -> Given {
        let mut given = Given { names: HashSet::new(), values: Vec::new(), files: Vec::new() };
        for (at, argument) in arguments.iter().enumerate() {
            let Some(name) = argument.to_str().and_then(|argument| argument.strip_prefix("--")) else {
                continue;
            };
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(OsString::from(value))),
                None => (name, arguments.get(at + 1).cloned()),
            };
            if let Some(name) = find(command, name).and_then(Arg::get_long) {
                given.names.insert(name.into());
                given.values.extend(value.map(|value| (name.into(), value)));
            }
        }
        given
    }

    fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    fn value(&self, name: &str) -> Option<PathBuf> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| value.into())
    }

    /// Whether a new model of sizes of its own is trained. What needs --from is refused without it, but not if an option that excludes
    /// --from is there.
    fn begins_a_model(&self) -> bool {
        !["from", "preset", "draft-for", "resume", "lora", "preferences"]
            .iter()
            .any(|option| self.has(option))
    }

    /// A recipe with its name, without what is for its optimiser if another one was given. A rate that was given is that of all matrices.
    fn suitable(&self, name: &str, recipe: &str) -> String {
        let mut options: Table = recipe.parse().expect("a recipe of the program");
        let own = options.get("optimiser").and_then(Value::as_str).map(Path::new);
        if self.value("optimiser").is_some_and(|given| own.is_some_and(|own| given != own)) {
            OF_ITS_OPTIMISER.iter().for_each(|option| drop(options.remove(*option)));
        }
        if self.has("lr") {
            options.remove("matrix-lr");
        }
        options.insert("recipe".into(), name.into());
        options.to_string()
    }

    /// The arguments for a file's options, without those that are overridden.
    fn add(&mut self, command: &Command, file: &str, text: &str) -> Result<Vec<OsString>, Fail> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            Fail::asked(format!(
                "{file}:{line}: {}; options are written as in TOML: steps = 1000",
                error.message()
            ))
        })?;
        let (mut arguments, mut names) = (Vec::new(), Vec::new());
        for (key, value) in &table {
            let name = key.replace('_', "-");
            let known = find(command, &name)
                .filter(|arg| arg.get_long().is_some_and(|name| !["config", "help"].contains(&name)));
            let Some(arg) = known else {
                return Err(Fail::asked(format!(
                    "{file}: {key} is not an option of glass train; glass help train lists all"
                )));
            };
            let name = arg.get_long().unwrap_or_default();
            if self.has(name) || self.excludes(command, arg) {
                continue;
            }
            names.push(name.to_string());
            self.files.push((name.into(), file.into()));
            let values = arguments_for(arg, value).ok_or_else(|| {
                Fail::asked(format!(
                    "{file}: {key} = {value} was found, which is not a value for this option"
                ))
            })?;
            if let [first, ..] = &values[..]
                && let Some(value) = first.strip_prefix(&format!("--{name}="))
            {
                self.values.push((name.into(), value.into()));
            }
            arguments.extend(values.into_iter().map(OsString::from));
        }
        self.names.extend(names);
        Ok(arguments)
    }

    /// Whether a given option excludes this one or overrides it.
    fn excludes(&self, command: &Command, arg: &Arg) -> bool {
        let name = arg.get_long().unwrap_or_default();
        let in_one_group = |other: &Arg| {
            let mut groups = command.get_groups().filter(|group| group.get_id() == "source");
            groups.any(|group| {
                let mut ids = group.get_args();
                other.get_id() != arg.get_id()
                    && ids.any(|id| id == other.get_id())
                    && group.get_args().any(|id| id == arg.get_id())
            })
        };
        let given = self.names.iter().filter_map(|name| find(command, name));
        (name == "minutes" && (self.has("steps") || self.has("epochs")))
            || given.into_iter().any(|other| conflict(command, arg, other) || in_one_group(other))
    }
}

/// Whether two options exclude each other.
fn conflict(command: &Command, one: &Arg, other: &Arg) -> bool {
    let names = |a: &Arg, b: &Arg| command.get_arg_conflicts_with(a).iter().any(|c| c.get_id() == b.get_id());
    names(one, other) || names(other, one)
}

/// The option with this name or alias.
fn find<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    let has = |arg: &&Arg| {
        arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|others| others.contains(&name))
    };
    command.get_arguments().find(has)
}

/// The command-line arguments for an option with this value.
fn arguments_for(arg: &Arg, value: &Value) -> Option<Vec<String>> {
    let name = arg.get_long()?;
    if !arg.get_action().takes_values() {
        return value.as_bool().map(|is_on| is_on.then(|| format!("--{name}")).into_iter().collect());
    }
    let one = |value: &Value| match value {
        Value::String(text) => Some(format!("--{name}={text}")),
        Value::Integer(_) | Value::Float(_) => Some(format!("--{name}={value}")),
        _ => None,
    };
    match value {
        Value::Array(values) if matches!(arg.get_action(), clap::ArgAction::Append) => {
            values.iter().map(one).collect()
        }
        value => one(value).map(|one| vec![one]),
    }
}

impl Options {
    /// The effective options of a call.
    pub fn of(matches: &ArgMatches, arguments: &[OsString]) -> Options {
        let command = train();
        let mut all = Vec::new();
        let known = |arg: &&Arg| matches.try_contains_id(arg.get_id().as_str()).unwrap_or(false);
        let is_default = |arg: &Arg| {
            known(&arg) && matches.value_source(arg.get_id().as_str()) == Some(ValueSource::DefaultValue)
        };
        let given: Vec<&Arg> = command.get_arguments().filter(known).filter(|arg| !is_default(arg)).collect();
        for arg in command.get_arguments() {
            // A default value is included only if no given option excludes it.
            if !known(&arg) || (is_default(arg) && given.iter().any(|other| conflict(&command, arg, other))) {
                continue;
            }
            let Some(name) = arg.get_long().filter(|name| !OF_A_CALL.contains(name)) else { continue };
            let id = arg.get_id().as_str();
            let Ok(Some(values)) = matches.try_get_raw(id) else { continue };
            let values: Vec<Value> = values.map(|raw| value(name, raw)).collect();
            let value = match (arg.get_action(), &values[..]) {
                (clap::ArgAction::Append, _) => Value::Array(values),
                (action, [one]) if action.takes_values() => one.clone(),
                (_, [Value::String(one)]) if one == "true" => Value::Boolean(true),
                _ => continue,
            };
            all.push((name.to_string(), value));
        }
        let typed = Given::of(&command, arguments.get(2..).unwrap_or_default()).names;
        Options { all, typed }
    }

    /// Whether an option was given on the command line itself.
    pub fn is_typed(&self, name: &str) -> bool {
        self.typed.contains(name)
    }

    /// Sets an option to its effective value, and removes the options that it replaces.
    pub fn set(&mut self, name: &str, value: impl Into<Value>, instead_of: &[&str]) {
        self.all.retain(|(known, _)| !instead_of.contains(&known.as_str()));
        let value = value.into();
        match self.all.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.all.push((name.into(), value)),
        }
    }

    /// Removes options that a model does not have.
    pub fn remove(&mut self, names: &[&str]) {
        self.all.retain(|(known, _)| !names.contains(&known.as_str()));
    }

    /// The contents of a file for `--config`.
    pub fn to_toml(&self) -> String {
        let lines: String = self.all.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
        format!("{OF_A_RUN} `glass train --config THIS --out DIR` repeats the same training.\n{lines}")
    }
}

/// A value as given, with absolute file names, so that a run can be resumed from any folder.
fn value(name: &str, raw: &OsStr) -> Value {
    let text = raw.to_string_lossy().into_owned();
    if PATHS.contains(&name) {
        let whole = Path::new(raw).exists().then(|| std::path::absolute(raw).ok()).flatten();
        return Value::String(whole.map_or(text, |path| path.display().to_string()));
    }
    match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(whole), _) => Value::Integer(whole),
        (_, Ok(number)) if number.is_finite() => Value::Float(number),
        _ => Value::String(text),
    }
}
