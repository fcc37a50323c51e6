//! One file, from the server into the cache: continued if it was begun, checked, and put in place as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use glass::Error;

use crate::fail::{Fail, say};
use crate::hub_cache::Repository;
use crate::out::{bytes as size, count, number};

use super::answers::broken;
use super::files::{create, lock, remove};
use super::hash::{Expected, Hashing};
use super::hub::{Answer, Hub};
use super::patience::{Patience, Trouble};

/// A file to be fetched.
pub struct Wanted {
    /// Its path in the repository.
    pub name: String,
    /// Its size.
    pub size: u64,
    /// The name that its content is stored under.
    pub etag: String,
    /// Its path on the server.
    pub path: String,
}

/// A complete file under the name of its hash.
pub struct Blob {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it has just been fetched, so that nothing links to it yet.
    pub is_new: bool,
    /// Held until the file has its name in the snapshot.
    _lock: Option<File>,
}

/// Puts the content of `wanted` into `blobs/`, unless it is there. `None` if another process has put it into its
/// place in the meantime. `each` is told how many bytes of it are there, and how many of them just came: none if a remark follows.
pub fn fetch(
    hub: &Hub,
    repository: &Repository,
    wanted: &Wanted,
    place: &Path,
    each: &mut dyn FnMut(u64, u64),
) -> Result<Option<Blob>, Fail> {
    let blobs = repository.folder().join("blobs");
    create(&blobs)?;
    let blob = blobs.join(&wanted.etag);
    let lock = lock(repository, &wanted.name, &wanted.etag, each)?;
    let is_whole =
        |path: &Path| fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == wanted.size);
    if is_whole(place) {
        return Ok(None);
    }
    if is_whole(&blob) {
        return Ok(Some(Blob { path: blob, is_new: false, _lock: lock }));
    }
    let partial = blobs.join(format!("{}.incomplete", wanted.etag));
    let mut transfer = Transfer::begin(wanted, &partial)?;
    let was_begun = transfer.hashing.bytes > 0;
    let whole = match transfer.complete(hub, each) {
        // What an earlier run left may be spoilt; what this run fetched was sent so.
        Err(Wrong::Content(why)) if was_begun => {
            each(0, 0);
            say(&format!("{why}; what an earlier run left of it is dropped, and it is fetched again"));
            remove(&partial)?;
            transfer = Transfer::begin(wanted, &partial)?;
            transfer.complete(hub, each)
        }
        done => done,
    };
    match whole {
        Ok(()) => {}
        Err(Wrong::Content(why)) => {
            remove(&partial)?;
            return Err(Fail::failed(format!("{why}; the file was removed")));
        }
        Err(Wrong::Other(fail)) => return Err(fail),
    }
    transfer.file.sync_all().map_err(|error| Error::io("cannot write", &partial, error))?;
    drop(transfer);
    match fs::rename(&partial, &blob) {
        // Where locks do nothing, another process was quicker.
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_whole(&blob) => {}
        renamed => renamed.map_err(|error| Error::io("cannot write", &blob, error))?,
    }
    Ok(Some(Blob { path: blob, is_new: true, _lock: lock }))
}

/// Why a file is not complete.
enum Wrong {
    /// It is not what was expected.
    Content(String),
    /// It did not come.
    Other(Fail),
}

impl From<Fail> for Wrong {
    fn from(fail: Fail) -> Wrong {
        Wrong::Other(fail)
    }
}

/// A file that grows.
struct Transfer<'a> {
    wanted: &'a Wanted,
    partial: &'a Path,
    file: File,
    /// Of what the file holds.
    hashing: Hashing,
}

impl<'a> Transfer<'a> {
    /// Opens what an earlier run left of it, or a new file.
    fn begin(wanted: &'a Wanted, partial: &'a Path) -> Result<Self, Fail> {
        let wrong = |error| Error::io("cannot write", partial, error);
        let length = fs::metadata(partial).map_or(0, |file| file.len());
        if length > wanted.size {
            remove(partial)?;
            return Transfer::begin(wanted, partial);
        }
        // Never truncated in place: a process that ignores locks may have renamed it into a finished blob.
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(partial);
        let mut file = options.map_err(wrong)?;
        let mut hashing = Hashing::new(Expected::of(&wanted.etag), wanted.size);
        let (mut begun, mut buffer) = (Read::by_ref(&mut file).take(length), vec![0; 1 << 20]);
        loop {
            match begun.read(&mut buffer).map_err(wrong)? {
                0 => break,
                read => hashing.add(&buffer[..read]),
            }
        }
        Ok(Transfer { wanted, partial, file, hashing })
    }

    /// Begins again.
    fn restart(&mut self) -> Result<(), Fail> {
        remove(self.partial)?;
        *self = Transfer::begin(self.wanted, self.partial)?;
        Ok(())
    }

    /// Fetches the rest, and compares the hash.
    fn complete(&mut self, hub: &Hub, each: &mut dyn FnMut(u64, u64)) -> Result<(), Wrong> {
        let (name, mut patience, mut furthest) = (&self.wanted.name, Patience::new(), self.hashing.bytes);
        while self.hashing.bytes < self.wanted.size {
            let done = self.once(hub, each);
            if self.hashing.bytes > furthest {
                furthest = self.hashing.bytes;
                patience.renew();
            }
            match done {
                Ok(()) => break,
                Err(Step::Wrong(wrong)) => return Err(wrong),
                Err(Step::Trouble(trouble)) => {
                    each(self.hashing.bytes, 0);
                    patience.wait(name, trouble)?;
                }
            }
        }
        let Wanted { size, etag, .. } = self.wanted;
        let found = std::mem::replace(&mut self.hashing, Hashing::new(Expected::Unknown, 0)).finish();
        match found {
            Some(found) if found != *etag => {
                let bytes = number(*size);
                Err(Wrong::Content(format!(
                    "{name}: its {bytes} bytes have the hash {found}, and {etag} was expected"
                )))
            }
            _ => Ok(()),
        }
    }

    /// One request, until it is complete or breaks off.
    fn once(&mut self, hub: &Hub, each: &mut dyn FnMut(u64, u64)) -> Result<(), Step> {
        let mut answer = hub.get(&self.wanted.name, &self.wanted.path, self.hashing.bytes)?;
        let is_rest = self.check_before(&answer)?;
        if !is_rest && self.hashing.bytes > 0 {
            self.restart()?;
        }
        let begin = SeekFrom::Start(self.hashing.bytes);
        self.file.seek(begin).map_err(|error| Error::io("cannot write", self.partial, error))?;
        let mut body = answer.response.body_mut().as_reader();
        let mut buffer = vec![0; 1 << 18];
        loop {
            let read = match body.read(&mut buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Trouble::passing(broken(&error)).into()),
            };
            let (have, size) = (self.hashing.bytes, self.wanted.size);
            if read == 0 {
                return match have == size {
                    true => Ok(()),
                    false => {
                        let (have, size) = (number(have), number(size));
                        Err(Trouble::passing(format!(
                            "it ended after {have} bytes, and {size} were expected"
                        ))
                        .into())
                    }
                };
            }
            if have + read as u64 > size {
                return Err(self.wrong_size("more bytes"));
            }
            self.write(&buffer[..read])?;
            each(self.hashing.bytes, read as u64);
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fail> {
        if let Err(error) = self.file.write_all(bytes) {
            let missing = self.wanted.size - self.hashing.bytes;
            let (path, reason) = (self.partial.display(), glass::reason(&error));
            return Err(Fail::failed(format!(
                "cannot write {path}: {reason}; {} more were to come, and the same command continues",
                size(missing)
            )));
        }
        self.hashing.add(bytes);
        Ok(())
    }

    /// Compares the sizes that an answer announces; whether it is the rest that was asked for.
    fn check_before(&self, answer: &Answer) -> Result<bool, Step> {
        let headers = answer.response.headers();
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if text("content-encoding").is_some_and(|encoding| encoding != "identity") {
            let name = &self.wanted.name;
            return Err(Fail::failed(format!(
                "{name}: the server sends it compressed, which was not asked for"
            ))
            .into());
        }
        let size = self.wanted.size;
        let is_rest = answer.response.status() == 206;
        let announced = match is_rest {
            // bytes 100-199/200
            true => {
                let range =
                    text("content-range").and_then(|range| range.strip_prefix("bytes ")?.split_once('/'));
                let begin = range.and_then(|(range, _)| range.split('-').next()?.parse::<u64>().ok());
                if begin != Some(self.hashing.bytes) {
                    return Err(
                        Trouble::passing("the server sends another part than was asked for".into()).into()
                    );
                }
                range.and_then(|(_, all)| all.parse().ok())
            }
            false => text("content-length").and_then(|length| length.parse::<u64>().ok()),
        };
        match announced {
            Some(announced) if announced != size => Err(self.wrong_size(&count(announced as usize, "byte"))),
            _ => Ok(is_rest),
        }
    }

    fn wrong_size(&self, found: &str) -> Step {
        let (name, size) = (&self.wanted.name, number(self.wanted.size));
        Step::Wrong(Wrong::Content(format!("{name}: the server sends {found}, and {size} were expected")))
    }
}

/// How one request ended.
enum Step {
    /// With something that is not the file.
    Wrong(Wrong),
    /// Without the file.
    Trouble(Trouble),
}

impl<T: Into<Trouble>> From<T> for Step {
    fn from(trouble: T) -> Step {
        Step::Trouble(trouble.into())
    }
}
