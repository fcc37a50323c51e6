//! A path to data, and how much of a mixture is to come from it: `stories.txt@0.7`, `code.txt@x3`.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use glass::train::mix::Amount;

/// A file or folder of data.
#[derive(Clone, Debug, PartialEq)]
pub struct DataPath {
    /// Where it is.
    pub path: PathBuf,
    /// How much of a mixture it is to be, if that was given.
    pub amount: Option<Amount>,
}

impl DataPath {
    /// Reads `PATH`, `PATH@SHARE` or `PATH@xTIMES`. A path that exists is taken as it is.
    pub fn parse(given: OsString) -> Result<DataPath, String> {
        let whole = DataPath { path: PathBuf::from(&given), amount: None };
        if whole.path.exists() {
            return Ok(whole);
        }
        let Some((path, amount)) = given.to_str().and_then(|text| text.rsplit_once('@')) else {
            return Ok(whole);
        };
        let (times, digits) = match amount.strip_prefix(['x', 'X']) {
            Some(digits) => (true, digits),
            None => (false, amount),
        };
        let Ok(number) = digits.parse::<f64>() else { return Ok(whole) };
        if !(number > 0.0 && number.is_finite()) {
            return Err(format!(
                "{amount} is not an amount: after @, a share of the tokens above 0 is needed, as in {path}@0.3, or x and how often it \
                 is seen, as in {path}@x2"
            ));
        }
        let amount = Some(if times { Amount::Times(number) } else { Amount::Share(number) });
        Ok(DataPath { path: path.into(), amount })
    }

    /// The same with an absolute path.
    pub fn absolute(&self) -> DataPath {
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        DataPath { path, amount: self.amount }
    }
}

impl From<PathBuf> for DataPath {
    fn from(path: PathBuf) -> DataPath {
        DataPath { path, amount: None }
    }
}

impl AsRef<Path> for DataPath {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// As it is given.
impl fmt::Display for DataPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.amount {
            None => write!(f, "{path}"),
            Some(Amount::Share(share)) => write!(f, "{path}@{share}"),
            Some(Amount::Times(times)) => write!(f, "{path}@x{times}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_they_are_written() {
        for (given, path, amount) in [
            ("a.txt", "a.txt", None),
            ("a.txt@0.7", "a.txt", Some(Amount::Share(0.7))),
            ("a@b/c.txt@x3", "a@b/c.txt", Some(Amount::Times(3.0))),
            ("me@home.txt", "me@home.txt", None),
            ("-@2", "-", Some(Amount::Share(2.0))),
        ] {
            let read = DataPath::parse(given.into()).unwrap();
            assert_eq!(read, DataPath { path: path.into(), amount }, "{given}");
            assert_eq!(read.to_string(), given);
        }
        for wrong in ["a@0", "a@-1", "a@nan", "a@xinf", "a@x0"] {
            let said = DataPath::parse(wrong.into()).unwrap_err();
            assert!(said.contains("as in a@0.3"), "{said}");
        }
    }
}
