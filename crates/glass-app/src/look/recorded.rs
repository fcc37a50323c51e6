//! `--record`: writes sites to a safetensors file.

use std::ffi::OsStr;
use std::path::Path;

use glass::Config;
use glass::backend::Cpu;
use glass::inspect::{Edits, Inspector};
use glass::probe::{Names, Site};
use serde_json::{Value, json};

use crate::args::LookArgs;
use crate::fail::{Fail, say};
use crate::out::{count, number};

/// The sites of --record, and the text. If no text is given elsewhere, the one value of --record that cannot be a
/// site is the text, so arguments may be given in any order.
pub fn sites_and_text<'a>(
    args: &'a LookArgs,
    config: &Config,
) -> Result<(Vec<Site>, Option<&'a OsStr>), Fail> {
    let mut text = args.text.as_deref();
    let given = text.is_some() || args.ids.is_some() || args.file.is_some();
    let mut sites = Vec::new();
    for pattern in &args.record {
        match named(pattern, config) {
            Ok(found) => sites.extend(found),
            Err(_) if !given && text.is_none() && !is_meant_as_site(pattern) => {
                text = Some(OsStr::new(pattern))
            }
            Err(error) => return Err(error),
        }
    }
    if !given && text.is_none() {
        return Err(Fail::asked("TEXT: give a text"));
    }
    Ok((sites, text))
}

/// Whether a value that is not a site was probably meant as one.
fn is_meant_as_site(value: &str) -> bool {
    let begins = |start: &&str| value.starts_with(start);
    !value.contains(' ')
        && (value.contains('*')
            || ["block", "hook_", "embedding.", "attention.", "mlp.", "L"].iter().any(begins))
        && value.contains(['.', '_', '*'])
}

/// The sites that match a pattern, by Glass's names or TransformerLens's.
fn named(pattern: &str, config: &Config) -> Result<Vec<Site>, Fail> {
    let layers = config.layers;
    if !pattern.contains('*') {
        return Ok(vec![Site::named(pattern, layers)?]);
    }
    let is_of = |site: &Site| {
        [Names::Glass, Names::TransformerLens]
            .iter()
            .any(|&names| fits(pattern.as_bytes(), site.name(names, layers).as_bytes()))
    };
    let found: Vec<Site> = Site::all(config).into_iter().filter(is_of).collect();
    match found.is_empty() {
        true => Err(Fail::asked(format!(
            "--record: no site matches {pattern:?}; the model has {}",
            count(layers, "block")
        ))),
        false => Ok(found),
    }
}

/// Records sites; returns a description for JSON.
pub fn record(
    args: &LookArgs,
    inspector: &mut Inspector<'_, Cpu>,
    ids: &[u32],
    changes: &Edits,
    sites: &[Site],
    file: &Path,
) -> Result<Value, Fail> {
    let config = inspector.model().config();
    let names = args.names.into();
    let mut record = inspector.record(sites.iter().copied());
    inspector.run(&[ids], (changes.clone(), &mut record))?;
    record.save(file, config, names)?;
    let numbers: usize = record.sites().map(|(_, matrix)| matrix.values.len()).sum();
    let recorded = record.sites().count();
    let sites: Vec<Value> = record
        .sites()
        .map(|(site, matrix)| {
            json!({"name": site.name(names, config.layers), "shape": matrix.shape(site, config, names)})
        })
        .collect();
    say(&format!("{}: {}, {} numbers", file.display(), count(recorded, "site"), number(numbers as u64)));
    Ok(json!({"file": file.display().to_string(), "sites": sites, "numbers": numbers}))
}

/// Whether a name matches a pattern, in which `*` matches anything.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match pattern {
        [] => name.is_empty(),
        [b'*', rest @ ..] => (0..=name.len()).any(|skipped| fits(rest, &name[skipped..])),
        [first, rest @ ..] => name.first() == Some(first) && fits(rest, &name[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_anything() {
        let fit = |pattern: &str, name: &str| fits(pattern.as_bytes(), name.as_bytes());
        assert!(fit("block.*.mlp.*", "block.11.mlp.out") && fit("*", "") && fit("a*c*", "abc"));
        assert!(!fit("block.1.*", "block.11.mlp.out") && !fit("norm", "block.1.mlp.norm") && !fit("a", ""));
    }
}
